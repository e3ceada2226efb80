"""`ocr-sweep corpus generate`: characters that no font draws, by a GAN that learns from fonts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ocr_sweep.corpus.fonts import Progress


def generate(
    recipe: Annotated[str, typer.Argument(help="A study, or the path of a corpus recipe: what it lacks is drawn.")],
    source_font: Annotated[str, typer.Option(help="A font of wide coverage, or FONT#INDEX: it says what to draw.")],
    target_font: Annotated[list[str], typer.Option(help="The font whose style is learnt; several with commas, or again.")],
    out: Annotated[str, typer.Option(help="Name of the folder under <data root>/generated.")],
    chars: Annotated[str, typer.Option(help="Draw these, and learn nothing from them.")] = "",
    judge_font: Annotated[list[str] | None, typer.Option(help="More fonts that teach the recogniser.")] = None,
    steps: Annotated[int, typer.Option(min=1, max=1_000_000)] = 3000,
    size: Annotated[int, typer.Option(min=32, max=256, help="Pixels of the drawings, a multiple of 16.")] = 64,
    base_channels: Annotated[int, typer.Option(min=4, max=128)] = 32,
    batch_size: Annotated[int, typer.Option(min=2, max=1024)] = 16,
    lr: Annotated[float, typer.Option(min=1e-6, max=0.1, help="Adam's first rate.")] = 1e-3,
    learn: Annotated[int, typer.Option(min=16, max=20_000, help="Characters to learn from.")] = 1000,
    held_back: Annotated[int, typer.Option(min=4, max=5_000, help="Characters that measure the acceptance.")] = 100,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Probability at which the recogniser is believed.")] = 0.5,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="CPU threads; equal bits need equal threads.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
) -> None:
    """Draw the characters that no training face draws, in the style of a font, and keep what a recogniser can read.

    Example: ocr-sweep corpus generate unet_aug --source-font wide.ttf --target-font kai.ttf --out kai
    """
    from ocr_sweep.cli.corpus import recipe_of
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.corpus.gan import GanOrder, GanSettings, plan_gan
    from ocr_sweep.corpus.gan import generate as run
    from ocr_sweep.sweep.signals import Signals

    paths = Paths.find()
    folder = _folder(out, paths.data)
    _check_size(size)
    targets = tuple(name for text in target_font for name in text.split(",") if name)
    order = GanOrder(source_font, targets, tuple(judge_font or ()), chars, learn, held_back, threshold)
    settings = GanSettings(size, base_channels, steps, batch_size, lr, seed)
    config = recipe_of(recipe, paths)
    with Signals().listening() as signals, _view() as (bar, note):
        progress = signals.between(bar)
        plan = plan_gan(config, order, settings, data_root=paths.data, cache=paths.cache, progress=progress)
        report = run(plan, folder, cache=paths.cache, threads=threads, progress=progress, note=note)
    _tell(report, folder, out)


def _folder(out: str, data: Path) -> Path:
    from ocr_sweep.config.block import check_identifier
    from ocr_sweep.errors import OcrSweepError

    try:
        return data / "generated" / check_identifier(out)
    except ValueError as error:
        raise OcrSweepError(f"--out: {error}") from None


def _check_size(size: int) -> None:
    from ocr_sweep.errors import OcrSweepError

    if size % 16:
        raise OcrSweepError(f"--size must be a multiple of 16, but got {size}; write {size // 16 * 16}")


def _view() -> AbstractContextManager[tuple[Progress, Callable[[str], None]]]:
    """Bars for what is being done, and beside them how the losses stand."""
    from contextlib import contextmanager

    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from ocr_sweep.cli.console import console

    @contextmanager
    def view() -> Iterator[tuple[Progress, Callable[[str], None]]]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bars(*columns, TextColumn("{task.fields[note]}"), console=console, transient=True) as bars:
            tasks: dict[str, TaskID] = {}

            def report(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what, total=total, note="")
                bars.update(tasks[what], completed=done, total=total)

            def note(text: str) -> None:
                bars.update(list(tasks.values())[-1], note=text)

            yield report, note

    return view()


def _tell(report: dict[str, Any], folder: Path, name: str) -> None:
    from rich.table import Table

    from ocr_sweep.cli.console import console, percent

    table = Table("style", "held back", "accepted", "true glyphs accepted", "new", "accepted", "dropped")
    for style, accepted in report["accepted"].items():
        found, dropped = report["held_back"].get(style, {}), len(report["dropped"][style])
        rates = (percent(found.get("accepted")), percent(found.get("ceiling")))
        table.add_row(style, str(found.get("characters", 0)), *rates, str(accepted + dropped), str(accepted), str(dropped))
    console.print(table)
    for what in ("not_in_source", "drawn_by_targets"):
        if report[what]:
            console.print(f"not drawn ({what.replace('_', ' ')}): {report[what]}", markup=False, soft_wrap=True)
    console.print(f"images, report.json and sheet.png are in {folder}", markup=False, soft_wrap=True)
    console.print(
        f"add to the recipe:\ngenerated:\n  - name: {name}\n    path: generated/{name}\n    per_class: 10\n    fill: missing\n"
        "    max_bad: 0.0",
        markup=False,
    )
