"""`ocr-sweep runs`: past trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ocr_sweep.config.paths import Paths

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_runs(study: Annotated[str | None, typer.Argument(help="Only this study's runs.")] = None) -> None:
    """List past runs with their outcome and accuracy.

    Example: ocr-sweep runs list unet_aug
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.cli.tables import trials_table
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.tracking.tracker import Tracker

    records = Tracker.open(Paths.find()).runs(study)
    if not records:
        raise NotFoundError(f"no runs{f' of study {study}' if study else ''} yet; `ocr-sweep sweep run STUDY` makes some")
    console.print(trials_table(records, "val/accuracy_macro"))


@app.command()
def reproduce(
    run: Annotated[str, typer.Argument(help="The ID of a run that completed.")],
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Do only the first N steps, compare their losses, and record nothing.")
    ] = None,
    checkout: Annotated[
        bool,
        typer.Option("--checkout", help="Use the code and the packages of then, in a worktree and environment of their own."),
    ] = False,
) -> None:
    """Train a past run again from its record alone, and say: identical, within band, or diverged at step k (exit code 3).

    What differs from then is said before anything is trained. The band is what seeds do in the run's study.

    Example: ocr-sweep runs reproduce 4f0c6b1f5d4e4c7e8b0a9d2c3e5f7a81 --steps 50
    """
    from ocr_sweep.config.paths import Paths

    paths = Paths.find()
    if checkout:
        _reproduce_there(run, steps, paths)
    elif steps is not None:
        _reproduce_first(run, steps, paths)
    else:
        _reproduce(run, paths)


def _reproduce(run: str, paths: Paths) -> None:
    from ocr_sweep.cli.console import console, simulated_mark
    from ocr_sweep.cli.live import LiveBoard
    from ocr_sweep.sweep.reproduction.reproduce import reproduce
    from ocr_sweep.sweep.reproduction.verdict import JUDGED, require_reproduced

    with LiveBoard(console, None, study=f"reproduction of {run}", metric="val/accuracy_macro") as board:
        result = reproduce(run, paths, board, _announce)
    mark = simulated_mark(result.old.simulated)
    for name in JUDGED:
        console.print(f"{name}{mark}  {result.old.metrics[name]:.6f} -> {result.new.metrics[name]:.6f}")
    console.print(f"new run {result.new.run_id} ({result.new.name})")
    require_reproduced(result)
    console.print(f"[bold]{result.sentence}[/bold]")


def _reproduce_first(run: str, steps: int, paths: Paths) -> None:
    from ocr_sweep.cli.console import console
    from ocr_sweep.cli.live import LiveBoard
    from ocr_sweep.errors import EvidenceError
    from ocr_sweep.sweep.reproduction.first_steps import repeat_first_steps

    with LiveBoard(console, None, study=f"first steps of {run}", metric="val/accuracy_macro") as board:
        found = repeat_first_steps(run, steps, paths, board, _announce)
    if found.step is not None:
        raise EvidenceError(found.sentence)
    console.print(f"[bold]{found.sentence}[/bold]")


def _reproduce_there(run: str, steps: int | None, paths: Paths) -> None:
    from ocr_sweep.cli.console import console
    from ocr_sweep.sweep.reproduction.old_code import check_out, reproduce_there
    from ocr_sweep.sweep.reproduction.past import recall
    from ocr_sweep.tracking.tracker import Tracker

    past = recall(Tracker.open(paths), run)
    old = check_out(run, past.provenance, paths, lambda line: console.print(line, markup=False))
    raise typer.Exit(reproduce_there(old, run, steps, paths))


def _announce(differences: Sequence[str]) -> None:
    from ocr_sweep.cli.console import console

    console.print("nothing that is recorded differs from then" if not differences else "what differs from then:")
    for line in differences:
        console.print(f"  {line}", markup=False)


@app.command()
def compare(
    runs: Annotated[list[str] | None, typer.Argument(help="Run IDs; or give --study.")] = None,
    study: Annotated[str | None, typer.Option(help="Compare the arms of this study.")] = None,
) -> None:
    """Write a page that sets the arms of a study, or runs, side by side; it opens without a server.

    Example: ocr-sweep runs compare --study backbones
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.cli.tables import reported_table
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.report.collect import compare_runs, compare_study
    from ocr_sweep.tracking.tracker import Tracker

    if bool(runs) == bool(study):
        raise NotFoundError("give either run IDs or --study, for example: ocr-sweep runs compare --study backbones")
    paths = Paths.find()
    tracker = Tracker.open(paths)
    made = compare_study(study, tracker, paths) if study else compare_runs(runs or [], tracker, paths)
    console.print(made.headline)
    if made.reported is not None:
        console.print(reported_table(made.reported))
        console.print(made.reported.note)
    console.print(f"the comparison is in {made.page}")


@app.command("readings")
def list_readings(study: Annotated[str | None, typer.Argument(help="Only this study's runs.")] = None) -> None:
    """List whose test numbers have been read, when and for which purpose; a test set is worth less with every reading.

    Example: ocr-sweep runs readings unet_aug
    """
    from rich.table import Table

    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.tracking.test_readings import openings, readings
    from ocr_sweep.tracking.tracker import Tracker

    found = readings(Tracker.open(Paths.find()).runs(study))
    if not found:
        console.print("no test numbers have been read")
        return
    table = Table("when (UTC)", "purpose", "run", "corpus", "run ID")
    for reading in found:
        table.add_row(reading.when, reading.purpose, reading.run_name, reading.corpus[:12], reading.run_id)
    console.print(table)
    for corpus in dict.fromkeys(reading.corpus for reading in found):
        console.print(openings(found, corpus))


@app.command()
def confusions(
    runs: Annotated[list[str], typer.Argument(help="Run IDs, all of one corpus.")],
    out: Annotated[Path, typer.Option(help="The table to write, in the data root.")],
) -> None:
    """Write which characters past runs confuse on validation images, as neighbours for `loss.similarity`.

    Example: ocr-sweep runs confusions 4f0c6b1f5d4e4c7e8b0a9d2c3e5f7a81 --out data/confusions.tsv
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.sweep.confusions import write_confusions
    from ocr_sweep.tracking.tracker import Tracker

    paths = Paths.find()
    file = write_confusions(runs, out, Tracker.open(paths), paths)
    console.print("put this into the study's loss:")
    block = f"similarity: {{source: file, perplexity: null, file: {{file: {file.file}, sha256: {file.sha256}}}}}"
    console.print(block, markup=False, highlight=False, soft_wrap=True)
    console.print("validation labels are in it now: judge a study that uses it on other validation images, or on test once")
