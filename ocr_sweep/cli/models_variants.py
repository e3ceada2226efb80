"""`ocr-sweep models variants`: smaller files of a model, and what they cost."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ocr_sweep.sweep.variants import Judged


class KindName(StrEnum):
    """Kinds of variants."""

    fp16 = "fp16"
    int8 = "int8"


def variants(
    name: Annotated[str, typer.Argument(help="A run's ID, production, a registered NAME, or NAME:VERSION.")],
    kind: Annotated[list[KindName] | None, typer.Option(help="Only this one; may be given twice.")] = None,
    out: Annotated[Path, typer.Option(help="The folder for the files.")] = Path("variants"),
) -> None:
    """Write a model in half precision and in whole numbers of eight bits, and judge each on val and test.

    Each file has its own temperature, threshold and card. The numbers are recorded beside the run.

    Example: ocr-sweep models variants production --kind int8 --out delivery
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from ocr_sweep.cli.console import console, corpus_progress
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.export.variants import KINDS
    from ocr_sweep.sweep.variants import make_variants

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("file", "kB", "ms, one", "ms, 64", "val", "val by class", "test", "test by class", "read otherwise", "worse"):
        table.add_column(column, justify="left" if column in ("file", "worse") else "right")
    kinds = [one for one in KINDS if kind is None or one in {wanted.value for wanted in kind}]
    with corpus_progress() as progress:
        make_variants(name, kinds, Paths.find(), out, progress, lambda judged: _add(table, judged, out))
    console.print(table)


def _add(table: Table, judged: Judged, out: Path) -> None:
    from ocr_sweep.cli.console import percent

    shares = [percent(judged.accuracy[key], 2) for key in ("val", "val_macro", "test", "test_macro")]
    file = "fp32, the file of record" if judged.kind == "fp32" else str(out / judged.file)
    times = [f"{milliseconds:.2f}" for milliseconds in (judged.latency_ms, judged.latency_large_ms)]
    table.add_row(file, f"{judged.num_bytes / 1000:,.0f}", *times, *shares, str(judged.flips), ", ".join(judged.worse))
