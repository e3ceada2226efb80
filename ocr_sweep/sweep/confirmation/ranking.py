"""Trials ranked by what their runs reached: comparable ones, by the mean over their repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.search.front import on_front
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import best_first


def ranked_trials(study: StudyConfig, records: Sequence[RunRecord], base: int) -> list[RunRecord]:
    """The trials of a search that ended with a result, best first: each by its first run, with the means over its repeats.

    Where trials are compared by two numbers, the base and those that no other beats in both: what is dominated need not be
    confirmed.

    Args:
        base: the trial that is the study's base.
    """
    ranked = best_first(mean_trials(study, records), study.metric)
    if study.against is None:
        return ranked
    kept = on_front([(record.metrics[study.metric], record.metrics[study.against]) for record in ranked])
    return [record for record, ahead in zip(ranked, kept, strict=True) if ahead or record.trial == base]


def mean_trials(study: StudyConfig, records: Sequence[RunRecord]) -> list[RunRecord]:
    """One record for each comparable trial of the search whose repeats all ended with a result: the first, with the means."""
    by_trial: dict[int, list[RunRecord]] = {}
    for record in records:
        if record.role == "search" and record.complete and not record.fenced:
            by_trial.setdefault(record.trial, []).append(record)
    whole = [sorted(runs, key=lambda run: len(run.name)) for runs in by_trial.values() if len(runs) == study.repeats]
    return [replace(runs[0], metrics=_means(runs)) if len(runs) > 1 else runs[0] for runs in whole]


def _means(runs: Sequence[RunRecord]) -> dict[str, float]:
    names = set.intersection(*(set(run.metrics) for run in runs))
    return {name: sum(run.metrics[name] for run in runs) / len(runs) for name in sorted(names)}
