"""Tables of a search whose trials are more than one number each: means over repeats, accuracy against a cost."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ocr_sweep.cli.console import percent, simulated_mark
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.report.words import COSTS
from ocr_sweep.sweep.confirmation.ranking import mean_trials
from ocr_sweep.sweep.search.front import on_front
from ocr_sweep.tracking.record import ARM, RunRecord
from ocr_sweep.tracking.tracker import best_first


def means_table(study: StudyConfig, records: Sequence[RunRecord]) -> Table:
    """The trials by their mean over repeats, best first, with the lowest and the highest of them."""
    table = _table("trial", f"mean {study.metric}{_mark(records)}", "lowest", "highest", "repeats")
    for trial in best_first(mean_trials(study, records), study.metric):
        runs = [run for run in records if run.role == "search" and run.trial == trial.trial and run.complete]
        values = [run.metrics[study.metric] for run in runs]
        low, high = percent(min(values)), percent(max(values))
        table.add_row(str(trial.trial), percent(trial.metrics[study.metric]), low, high, str(len(values)))
    return table


def front_table(study: StudyConfig, records: Sequence[RunRecord]) -> Table:
    """The trials that no other beats in both numbers, cheapest first, and what fresh seeds said of those that were confirmed."""
    assert study.against is not None
    cost = COSTS[study.against]
    trials = mean_trials(study, records)
    points = [(trial.metrics[study.metric], trial.metrics[study.against]) for trial in trials]
    front = [trial for trial, ahead in zip(trials, on_front(points), strict=True) if ahead]
    table = _table("front: trial", "arm", f"{cost.name}, {cost.unit}", f"{study.metric}{_mark(records)}", "confirmed")
    for trial in sorted(front, key=lambda trial: trial.metrics[study.against or ""]):
        fresh = [
            run.metrics[study.metric] for run in records if run.role == "confirm" and run.trial == trial.trial and run.complete
        ]
        value = f"{trial.metrics[study.against] * cost.scale:.3g}"
        confirmed = f"{percent(fmean(fresh))} over {len(fresh)}" if fresh else "–"
        table.add_row(str(trial.trial), trial.tags[ARM], value, percent(trial.metrics[study.metric]), confirmed)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _mark(records: Sequence[RunRecord]) -> str:
    return simulated_mark(any(record.simulated for record in records))
