"""`ocr-sweep models`: what is registered, and what was in production when."""

from __future__ import annotations

from datetime import UTC, datetime, time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ocr_sweep.registry.chain import Entry
    from ocr_sweep.registry.history import History

app = typer.Typer(no_args_is_help=True)


class StageName(StrEnum):
    """Stages that a version can be promoted to."""

    production = "production"
    staging = "staging"


Model = Annotated[str, typer.Argument(help="A registered model, as `models list` names it.")]
Customer = Annotated[str | None, typer.Option("--for", help="The production of this customer or task.")]
Stage = Annotated[StageName, typer.Option(help="The stage, and the alias of the same name.")]


@app.command("list")
def list_models() -> None:
    """List registered versions, newest first, and what points to them.

    Example: ocr-sweep models list
    """
    from rich.table import Table

    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.registry.register import require_model, versions
    from ocr_sweep.tracking.tracker import Tracker

    tracker = Tracker.open(Paths.find())
    found = versions(tracker)
    if not found:
        raise NotFoundError("no registered model yet; `ocr-sweep sweep run STUDY` registers its winner")
    aliases = {name: require_model(tracker, name).aliases for name in dict.fromkeys(version.name for version in found)}
    table = Table("model", "version", "stage", "alias", "run ID", "ONNX sha256")
    for version in found:
        held = ", ".join(sorted(alias for alias, number in aliases[version.name].items() if number == version.number))
        table.add_row(version.name, str(version.number), version.stage, held, version.run_id, version.onnx_sha256[:12])
    console.print(table)


@app.command()
def show(
    model: Model,
    on: Annotated[str | None, typer.Option(help="What was there on this day (its end, UTC) or at this moment.")] = None,
    version: Annotated[int | None, typer.Option(help="This version, wherever it is.")] = None,
    customer: Customer = None,
    stage: Stage = StageName.production,
) -> None:
    """Show the model card of what is in production, or what was in production on a day.

    Example: ocr-sweep models show ocr-qianziwen --on 2026-11-01
    """
    from rich.markdown import Markdown

    from ocr_sweep.cli.console import console
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.registry.chain import as_of
    from ocr_sweep.registry.pointer import Pointer

    history, entries = _open(model)
    pointer = Pointer.of(stage.value, customer)
    moment = _moment(on)
    if version is not None:
        held = next((entry for entry in reversed(entries) if entry.version == version and entry.moves), None)
        where = f"version {version} of {model} was never in production or staging"
    else:
        held = as_of(entries, pointer.alias, moment)
        where = f"nothing of {model} is known to have been in {pointer.alias} on {moment:%Y-%m-%d %H:%M} UTC"
    if held is None or held.version is None:
        raise NotFoundError(f"{where}; `ocr-sweep models history {model}` shows what was")
    beside = f" beside version {held.parent} of the base" if held.parent else ""
    console.print(
        f"{model} version {held.version} ({held.alias}{beside}): since {held.when}, {held.what} by {held.who}: {held.why}\n"
        f"run {held.run_id}, ONNX sha256 {held.onnx_sha256}",
        markup=False,
        soft_wrap=True,
    )
    if on is None and (card := history.card_of(entries, held)):
        console.print(Markdown(card))


@app.command("history")
def show_history(model: Model) -> None:
    """Show everything that happened to a model's pointers: who, when, what, why.

    Example: ocr-sweep models history ocr-qianziwen
    """
    from rich.table import Table
    from rich.text import Text

    from ocr_sweep.cli.console import console

    _, entries = _open(model)
    if not entries:
        console.print(f"{model} has no history yet; it begins with the next promotion")
        return
    table = Table("", "when (UTC)", "what", "pointer", "version", "was", "by", "why")
    for entry in entries:
        what = f"{entry.what}, forced" if entry.forced else entry.what
        numbers = ("–" if number is None else str(number) for number in (entry.version, entry.former))
        cells = (str(entry.number), entry.when[:19].replace("T", " "), what, entry.alias, *numbers, entry.who, entry.why)
        table.add_row(*map(Text, cells))
    console.print(table)


def _open(model: str) -> tuple[History, list[Entry]]:
    """The history of a model that exists, after checking it."""
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.registry.history import History
    from ocr_sweep.registry.register import require_model
    from ocr_sweep.tracking.tracker import Tracker

    paths = Paths.find()
    tracker = Tracker.open(paths)
    require_model(tracker, model)
    history = History(tracker, paths, model)
    return history, history.entries()


def _moment(on: str | None) -> datetime:
    """The moment that a person means: a day's end, or a time; UTC unless it says otherwise."""
    from ocr_sweep.errors import ConfigError

    if on is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(on)
    except ValueError:
        raise ConfigError([f"--on must be a day or a time, as in 2026-11-01 or 2026-11-01T09:30, but got {on!r}"]) from None
    if "T" not in on and " " not in on:
        moment = datetime.combine(moment.date(), time.max)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
