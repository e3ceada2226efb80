"""The corpus of a study or run, where the project keeps it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.corpus import build_corpus, plan_corpus
from ocr_sweep.corpus.jobs import Maker, make_batches
from ocr_sweep.corpus.room import Estimate, estimate
from ocr_sweep.disk import store_errors
from ocr_sweep.errors import EvidenceError
from ocr_sweep.store import CorpusView
from ocr_sweep.tracking.record import CORPUS, RunRecord

CorpusProgress = Callable[[str, int, int], None]


def open_corpus(recipe: CorpusConfig, paths: Paths, progress: CorpusProgress, make: Maker | None = None) -> CorpusView:
    """Build a recipe's corpus in the project's store, or open it there.

    Args:
        make: makes its images; None: as many processes of this machine as it has cores.

    Raises:
        see `ocr_sweep.corpus.build_corpus`.
    """
    with store_errors(f"creating {paths.corpora}"):
        paths.corpora.mkdir(parents=True, exist_ok=True)
    return build_corpus(
        recipe,
        data_root=paths.data,
        corpora=paths.corpora,
        cache=paths.cache,
        make=make or partial(make_batches, workers=os.cpu_count() or 1),
        progress=progress,
    )


def corpus_of_run(record: RunRecord, config: TrialConfig, paths: Paths, progress: CorpusProgress) -> CorpusView:
    """The corpus that a run learnt from and was judged on, in its own fold; built again where the store lacks it.

    Raises:
        EvidenceError: it can no longer be built as it was.
        see `ocr_sweep.corpus.build_corpus`.
    """
    fingerprint = record.tags.get(CORPUS, "")
    path = paths.corpora / fingerprint
    if not (path / "manifest.json").is_file():
        came = open_corpus(config.corpus, paths, progress).fingerprint
        if came != fingerprint:
            raise EvidenceError(
                f"the corpus of run {record.run_id} ({record.name}) must be {fingerprint[:12]}…, but the store lacks it, and "
                f"built again it is {came[:12]}…: fonts, scans or code have changed. Put it back under {paths.corpora}"
            )
    return CorpusView.open(path, config.training.fold)


def estimate_corpus(recipe: CorpusConfig, paths: Paths, progress: CorpusProgress) -> Estimate:
    """Say how large a recipe's corpus would be, without building it.

    Raises:
        see `ocr_sweep.corpus.plan_corpus`.
    """
    return estimate(plan_corpus(recipe, data_root=paths.data, cache=paths.cache, progress=progress))
