"""A past run as its record tells it, proven before anything is trained by it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.paths import Paths
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import read_json
from ocr_sweep.errors import EvidenceError, IntegrityError, NotFoundError
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.running.run_tags import run_params
from ocr_sweep.sweep.stored.corpora import CorpusProgress, open_corpus
from ocr_sweep.sweep.trials.attempt import CONFIG, LOSSES, PROVENANCE, read_config
from ocr_sweep.sweep.trials.micro_batches import MicroBatches, parts_of
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.provenance import differences
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker, as_params

Losses = NDArray[np.float32]


@dataclass(frozen=True)
class Past:
    """A complete run, and all that a repetition needs of it."""

    record: RunRecord
    config: TrialConfig
    provenance: dict[str, Any]
    losses: Losses | None  # (S,) of its steps

    @property
    def parts(self) -> MicroBatches | None:
        """The parts in which its batches passed, where they were others than configured."""
        return parts_of(self.record)

    def corpus(self, paths: Paths, progress: CorpusProgress) -> CorpusView:
        """The corpus that it learnt from, built again where it is missing.

        Raises:
            IntegrityError: its bytes are not what its manifest says.
        """
        view = open_corpus(self.config.corpus, paths, progress)
        view.verify()
        return view

    def differences(self, now: dict[str, Any]) -> list[str]:
        """What differs from a provenance of now, and what cannot be repeated, the likeliest cause first."""
        found = differences(self.provenance, now)
        if self.parts is not None and self.parts.since:  # it found out on its way how little memory there was
            found.append(f"batches: passed in larger parts until epoch {self.parts.since}, now all pass in {self.parts.count}")
        return found


def recall(tracker: Tracker, run_id: str) -> Past:
    """Fetch what a run recorded, and compare it with what the database says.

    Raises:
        NotFoundError: there is no such run.
        EvidenceError: the run never completed.
        IntegrityError: what it recorded was changed since; a changed setting is named.
    """
    record = tracker.run(run_id)
    if not record.complete:
        raise EvidenceError(
            f"only a run that completed can be reproduced, but run {run_id} ({record.name}) is "
            f"{record.tags.get(tag.OUTCOME, record.status.lower())}"
        )
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as name:
        folder = Path(name)
        _require_settings(tracker, record, folder)
        return Past(
            record=record,
            config=read_config(tracker.artifact(run_id, CONFIG, folder)),
            provenance=read_json(tracker.artifact(run_id, PROVENANCE, folder)),
            losses=losses_of(tracker, run_id, folder),
        )


def losses_of(tracker: Tracker, run_id: str, into: Path) -> Losses | None:
    """The losses of a run's steps, (S,); None where it recorded none."""
    try:
        found: Losses = np.load(tracker.artifact(run_id, LOSSES, into), allow_pickle=False)
    except NotFoundError:
        return None
    return found


def _require_settings(tracker: Tracker, record: RunRecord, folder: Path) -> None:
    """Compare the configuration's file with the parameters in the database, whatever its hash says."""
    path = tracker.unproven(record.run_id, CONFIG, folder)
    if path is None:
        return
    try:
        params = as_params(run_params(read_config(path)))
    except (ValueError, OSError):
        return  # it is damaged, and its hash will say so
    for name, value in params.items():
        known = record.params.get(name)
        if known is not None and known != value:
            raise IntegrityError(
                f"{CONFIG} of run {record.run_id} ({record.name}) was changed after its training: "
                f"{name} is {value} in the file and {known} in the database; restore the file, and reproduce it again"
            )
