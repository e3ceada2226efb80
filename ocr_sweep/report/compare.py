"""The comparison page: arms side by side in one HTML file that needs no server and no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ocr_sweep.report import characters, charts, tables
from ocr_sweep.report.arms import gather_arms
from ocr_sweep.report.page import write_page
from ocr_sweep.report.runs import ComparedRun
from ocr_sweep.report.verdict import judge
from ocr_sweep.report.words import points, runs_of
from ocr_sweep.store import CorpusView


def write_comparison(path: Path, *, title: str, question: str, runs: Sequence[ComparedRun], view: CorpusView) -> Path:
    """Write the page that sets the arms of `runs` side by side, and return its path.

    The verdict is about val alone. An arm counts by the runs of role "confirm" of its best trial where it has any,
    otherwise by its single run with the best val/accuracy_macro, and the page says so.

    Raises:
        DataError: there is no run, no val image, or the runs were not judged on the same images.
        StoreError: the page cannot be written.
    """
    arms = gather_arms(runs, view)
    verdict = judge(arms, view)
    val, test = (tables.accuracy_rows(arms, view, split) for split in ("val", "test"))
    better, worse = characters.changes(arms[0], arms[1], view) if len(arms) > 1 else ([], [])
    content = dict(
        title=title,
        question=question,
        view=view,
        simulated=" (simulated)" if view.simulated else "",
        arms=arms,
        runs=runs,
        counted={run.run_id for arm in arms for run in arm.runs},
        verdict=verdict,
        leads=charts.leads(arms[0], verdict.leads, "lead of the best arm") if verdict.leads else None,
        val=val,
        val_chart=charts.whiskers(val, arms, "accuracy on val"),
        test=test,
        test_chart=charts.whiskers(test, arms, "accuracy on test") if test else None,
        config=tables.config_rows(arms),
        better=better,
        worse=worse,
        pairs=[characters.pairs(arm, view) for arm in arms],
        scatters=charts.cost_scatters(arms, view),
        curves=charts.curve_charts(arms),
        costs=tables.cost_rows(arms),
    )
    filters: dict[str, Callable[..., Any]] = {"points": points, "runs_of": runs_of, "key": charts.key}
    return write_page(path, "compare.html", content, filters)
