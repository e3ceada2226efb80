"""`ocr-sweep sweep status` and `logs`: what the project's studies do, and what they said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ocr_sweep.sweep.watching.overview import Best, StudyStatus


def status(
    study: Annotated[str | None, typer.Argument(help="Only this study.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs: a list of studies.")] = False,
) -> None:
    """Say how each study is: running, stopped, finished, died or never run, its best with its interval, and the time left.

    Example: ocr-sweep sweep status unet_aug --json
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.sweep.watching.overview import overview

    found = overview(Paths.find(), study)
    if json:
        console.print(_as_json(found), markup=False, highlight=False, soft_wrap=True)
        return
    console.print(_table(found))
    for one in found:
        for line in _details(one) if one.pid is not None or study is not None else []:
            console.print(line, markup=False, soft_wrap=True)


def _as_json(found: list[StudyStatus]) -> str:
    import json
    from dataclasses import asdict

    return json.dumps([asdict(one) for one in found], ensure_ascii=False, indent=1, allow_nan=False)


def _table(found: list[StudyStatus]) -> Table:
    import time

    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from ocr_sweep.cli.picture import duration

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("study", "is"):
        table.add_column(name, no_wrap=True)
    table.add_column("trainings", justify="right", no_wrap=True)
    table.add_column("best so far, or winner")
    table.add_column("time left", justify="right", no_wrap=True)
    table.add_column("last heard of", justify="right", no_wrap=True)
    styles = {"running": "cyan", "finished": "green", "stopped": "yellow", "never run": "dim"}
    for one in found:
        table.add_row(
            one.study,
            Text(one.condition, style=styles.get(one.condition, "red")),
            "" if not (one.done or one.total) else str(one.done) if one.total is None else f"{one.done} of {one.total}",
            "" if one.best is None else _best(one.best),
            "" if one.seconds_left is None else duration(one.seconds_left),
            "" if one.heard is None else f"{duration(time.time() - one.heard)} ago",
        )
    return table


def _best(best: Best) -> str:
    from ocr_sweep.cli.console import percent, simulated_mark

    interval = "" if best.low is None or best.high is None else f" [{100 * best.low:.1f}, {100 * best.high:.1f}]"
    return f"{best.name}: {best.metric}{simulated_mark(best.simulated)} {percent(best.value)}{interval}"


def _details(one: StudyStatus) -> list[str]:
    from ocr_sweep.sweep.watching.plain_text import printable

    lines = [f"{one.study}: process {one.pid} on {one.host}"] if one.pid is not None else []
    lines += [f"{one.study}: {printable(one.sentence, keep='')}"] if one.sentence else []
    return lines + ([f"{one.study}: its sayings are in {one.log}"] if one.log else [])


def logs(
    study: Annotated[str, typer.Argument(help="A study's name.")],
    trial: Annotated[
        str | None,
        typer.Argument(help="A trial's number, or a run's name as the tables show it; without it, the study's sayings."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more is said, until it ends or Ctrl-C.")] = False,
) -> None:
    """Show what a study said, or one of its trials: a running one from its folder, a finished one from its run.

    Example: ocr-sweep sweep logs unet_aug 3 --follow
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.sweep.watching.plain_text import printable
    from ocr_sweep.sweep.watching.sayings import study_sayings, trial_sayings

    paths = Paths.find()
    said = study_sayings(paths, study, follow) if trial is None else trial_sayings(paths, study, trial, follow)
    try:
        for text in said:
            console.print(printable(text.replace("\r\n", "\n")), markup=False, highlight=False, soft_wrap=True, end="")
    except KeyboardInterrupt:
        return
