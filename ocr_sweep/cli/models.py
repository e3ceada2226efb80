"""`ocr-sweep models`: the registry."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ocr_sweep.config.paths import Paths

app = typer.Typer(no_args_is_help=True)


class StageName(StrEnum):
    """Stages that a version can be promoted to."""

    production = "production"
    staging = "staging"


@app.command("list")
def list_models() -> None:
    """List registered versions, newest first, and who is in production.

    Example: ocr-sweep models list
    """
    from rich.table import Table

    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.registry.register import holder, versions
    from ocr_sweep.tracking.tracker import Tracker

    tracker = Tracker.open(Paths.find())
    found = versions(tracker)
    if not found:
        raise NotFoundError("no registered model yet; `ocr-sweep sweep run STUDY` registers its winner")
    production = {name: holder(tracker, name, "production") for name in {version.name for version in found}}
    table = Table("model", "version", "stage", "alias", "run ID", "ONNX sha256")
    for version in found:
        held = production[version.name]
        alias = "production" if held is not None and held.number == version.number else ""
        table.add_row(version.name, str(version.number), version.stage, alias, version.run_id, version.onnx_sha256[:12])
    console.print(table)


@app.command()
def promote(
    study: Annotated[str | None, typer.Option(help="Promote the winner of this study.")] = None,
    run: Annotated[str | None, typer.Option(help="Promote this run.")] = None,
    stage: Annotated[StageName, typer.Option(help="The stage, and the alias of the same name.")] = StageName.production,
) -> None:
    """Prove a run's ONNX and put it into production: stage and alias move together, the former version is archived.

    Example: ocr-sweep models promote --study unet_aug
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.registry.promote import promote as promote_run
    from ocr_sweep.tracking.tracker import Tracker

    if bool(study) == bool(run):
        raise NotFoundError("give either --study or --run, for example: ocr-sweep models promote --study unet_aug")
    paths = Paths.find()
    tracker = Tracker.open(paths)
    record = tracker.run(run or _winner(study or "", paths))
    done = promote_run(tracker, paths, record, stage.value)
    new, old = done.version, done.former
    was = f"version {old.number} (run {old.run_id})" if old is not None else "nobody"
    if not done.changed:
        console.print(f"{new.name}: version {new.number} is in {stage.value} already; its file was proven again")
    else:
        console.print(f"{new.name}: {stage.value} was {was}, is [bold]version {new.number}[/bold] (run {new.run_id})")
        if old is not None:
            console.print(f"version {old.number} is archived")
    console.print(
        f"proven: sha256 {new.onnx_sha256[:12]}… as recorded; logits agree with PyTorch within "
        f"{done.parity.max_difference:.1e} of the largest on {done.parity.num_images} images"
    )


def _winner(study: str, paths: Paths) -> str:
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.sweep.storage import find_verdict

    verdict = find_verdict(study, paths)
    if verdict is None:
        raise NotFoundError(f"study '{study}' has no winner yet; run `make sweep STUDY={study}` to its end first")
    return str(verdict["run_id"])
