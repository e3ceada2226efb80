"""Runs of trials that are no part of a study any more say so, wherever runs are looked at."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ocr_sweep.tracking.record import FENCED, Outcome, RunRecord
from ocr_sweep.tracking.tracker import Tracker


def put_up_fences(tracker: Tracker, study: str, fenced: Mapping[int, str], work: Path) -> None:
    """Tag the runs of fenced trials with the reason, end those that will not go on, and take the tag off all others.

    Args:
        fenced: trial -> why it is not comparable.
        work: the folder of the study's trials in progress.
    """
    for record in tracker.runs(study):
        why = fenced.get(record.trial, "")
        if record.fenced != why:
            tracker.set_tags(record.run_id, {FENCED: why}) if why else tracker.delete_tag(record.run_id, FENCED)
        if why and record.unfinished:
            tracker.finish(record.run_id, Outcome.FAILED, f"fenced: {why}")
    for trial in fenced:
        for folder in work.glob(f"{trial:04d}-*"):
            shutil.rmtree(folder)


def comparable_records(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Without the runs of fenced trials."""
    return [record for record in records if not record.fenced]
