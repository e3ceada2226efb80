"""The comparison page: arms side by side in one HTML file that needs no server and no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr_sweep.config.study import ReportedConfig
from ocr_sweep.report import characters, charts, tables
from ocr_sweep.report.arms import gather_arms
from ocr_sweep.report.page import write_page
from ocr_sweep.report.reported import Reported, beside_reported
from ocr_sweep.report.runs import ComparedRun
from ocr_sweep.report.verdict import judge
from ocr_sweep.report.words import points, runs_of
from ocr_sweep.store import CorpusView


@dataclass(frozen=True)
class Title:
    """What a comparison is about."""

    text: str
    question: str = ""
    arms: str = "model"  # the key of the configuration that arms are meant to differ in
    race: tuple[str, ...] = ()  # how the confirmation went, a line each


@dataclass(frozen=True)
class Comparison:
    """The page, and what stands in it that a terminal can show."""

    page: Path
    headline: str
    reported: Reported | None


def write_comparison(
    path: Path,
    title: Title,
    *,
    runs: Sequence[ComparedRun],
    view: CorpusView,
    read_test: Callable[[Sequence[str]], str],
    reported: ReportedConfig | None = None,
) -> Comparison:
    """Write the page that sets the arms of `runs` side by side.

    The verdict is about val alone. An arm counts by the runs of role "confirm" of its best trial where it has any,
    otherwise by its single run with the best val/accuracy_macro, and the page says so.

    Args:
        read_test: hears the IDs of the runs whose test numbers the page shows, before it does, and says how often such
            numbers have been read.

    Raises:
        DataError: there is no run, no val image, or the runs were not judged on the same images.
        StoreError: the page cannot be written.
    """
    arms = gather_arms(runs, view)
    verdict = judge(arms, view, title.arms)
    beside = beside_reported(reported, arms, view) if reported else None
    val, test = (tables.accuracy_rows(arms, view, split) for split in ("val", "test"))
    counted = [run.run_id for arm in arms for run in arm.runs]
    opened = read_test(counted) if test else ""
    better, worse = characters.changes(arms[0], arms[1], view) if len(arms) > 1 else ([], [])
    content = dict(
        title=title.text,
        question=title.question,
        race=title.race,
        reported=beside,
        view=view,
        simulated=" (simulated)" if view.simulated else "",
        arms=arms,
        runs=runs,
        counted=set(counted),
        verdict=verdict,
        leads=charts.leads(arms[0], verdict.leads, "lead of the best arm") if verdict.leads else None,
        val=val,
        val_chart=charts.whiskers(val, arms, "accuracy on val"),
        test=test,
        opened=opened,
        test_chart=charts.whiskers(test, arms, "accuracy on test") if test else None,
        config=tables.config_rows(arms),
        better=better,
        worse=worse,
        pairs=[characters.pairs(arm, view) for arm in arms],
        confusable=tables.confusable_rows(arms, view),
        calibration=tables.calibration_rows(arms),
        reliability=charts.reliability_chart(arms, view),
        scatters=charts.cost_scatters(arms, view),
        curves=charts.curve_charts(arms),
        costs=tables.cost_rows(arms),
    )
    filters: dict[str, Callable[..., Any]] = {"points": points, "runs_of": runs_of, "key": charts.key}
    return Comparison(write_page(path, "compare.html", content, filters), verdict.headline, beside)
