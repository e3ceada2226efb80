"""`ocr-sweep runs`: past trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

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
def reproduce(run: Annotated[str, typer.Argument(help="The ID of a run that completed.")]) -> None:
    """Train a past run again from its record alone, and say: identical, within noise, or diverged (exit code 3).

    Example: ocr-sweep runs reproduce 4f0c6b1f5d4e4c7e8b0a9d2c3e5f7a81
    """
    from ocr_sweep.cli.console import console, simulated_mark
    from ocr_sweep.cli.live import LiveBoard
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.sweep.reproduce import JUDGED, reproduce, require_reproduced

    def announce(differences: Sequence[str]) -> None:
        console.print("nothing that is recorded differs from then" if not differences else "what differs from then:")
        for line in differences:
            console.print(f"  {line}", markup=False)

    with LiveBoard(console, None, study=f"reproduction of {run}", metric="val/accuracy_macro") as board:
        result = reproduce(run, Paths.find(), board, announce)
    mark = simulated_mark(result.old.simulated)
    for name in JUDGED:
        console.print(f"{name}{mark}  {result.old.metrics[name]:.6f} -> {result.new.metrics[name]:.6f}")
    console.print(f"new run {result.new.run_id} ({result.new.name})")
    console.print(f"[bold]{result.grade.value}[/bold]")
    require_reproduced(result)


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
