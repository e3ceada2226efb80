"""`ocr-sweep report`: what was tried lately and what it taught."""

from __future__ import annotations

from typing import Annotated

import typer


def report(
    since: Annotated[str, typer.Option(help="How far back: 2w, 10d, 36h, or a day like 2026-11-01.")] = "2w",
) -> None:
    """Write the progress report, as slides (HTML) and as a work log (Markdown), from the records alone.

    It tells what each study asked, did and learnt, its winner and failures, what happened to registered models, and what
    to ask next. It reads no test numbers.

    Example: ocr-sweep report --since 2w
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.report.progress.period import Period
    from ocr_sweep.report.progress.write import said, write_report
    from ocr_sweep.tracking.tracker import Tracker

    paths = Paths.find()
    written = write_report(Period.parse(since), Tracker.open(paths), paths)
    news = written.news
    console.print(f"{news.period}: {said(news)}")
    for study in news.studies:
        console.print(f"  {study.study}: {study.learnt}{' (simulated)' if study.simulated else ''}", markup=False)
    console.print(f"the slides are in {written.slides}, the work log is in {written.log}", soft_wrap=True)
