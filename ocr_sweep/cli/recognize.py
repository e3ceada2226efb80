"""`ocr-sweep recognize`: pictures of single characters to text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ocr_sweep.delivery import Reading, Recogniser

_CHUNK = 256  # pictures that are decoded at once, at most
_CHUNK_BYTES = 256_000_000  # of their pixels
_WIDE = 150  # columns where nobody looks through a terminal
_UNKNOWN = "unknown"


class _Read(NamedTuple):
    """A picture and what was read in it, or why it could not be."""

    path: Path
    reading: Reading | None
    problem: str


def recognize(
    images: Annotated[list[str], typer.Argument(help="Pictures of one character each; folders and patterns count, too.")],
    model: Annotated[
        str, typer.Option(help="production, a registered NAME, NAME:VERSION, or a FILE.onnx; it is checked before it is run.")
    ] = "production",
    top: Annotated[int, typer.Option(min=1, max=5, help="Show so many characters, most probable first.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
    threads: Annotated[int, typer.Option(min=0, help="Processor threads; 0 takes all.")] = 0,
) -> None:
    """Read pictures of single characters: any size and colour, either polarity; png, jpg, webp, bmp.

    A character whose confidence lies below the model's threshold is shown as unknown.

    Example: ocr-sweep recognize scans/ --model ocr-qianziwen:3 --top 5
    """
    from ocr_sweep.errors import DataError

    paths = _pictures(images)
    read = _read(_opened(model, threads), paths)
    problems = _as_json(read, top) if json else _as_table(read, top)
    if problems:
        raise DataError(f"{len(problems)} of {len(paths)} pictures could not be read: {_printable(problems[0].problem)}")


def _pictures(images: Sequence[str]) -> list[Path]:
    """The files that a person names, each once and in their order."""
    from glob import glob
    from pathlib import Path

    from ocr_sweep.delivery.pictures import SUFFIXES
    from ocr_sweep.errors import NotFoundError

    found: dict[Path, None] = {}
    for name in images:
        path = Path(name)
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        else:
            matches = [name] if path.is_file() else sorted(glob(name, recursive=True))  # noqa: PTH207 a pattern may be absolute
            files = [Path(file) for file in matches]
        if not files:
            raise NotFoundError(f"no pictures at {name!a}; name files, folders that hold {', '.join(SUFFIXES)}, or a pattern")
        found |= dict.fromkeys(file for file in files if not file.is_dir())
    return list(found)


def _opened(model: str, threads: int) -> Recogniser:
    from ocr_sweep.delivery import Recogniser

    if model.endswith(".onnx"):
        return Recogniser.open(model, threads=threads)
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from ocr_sweep.config.paths import Paths
    from ocr_sweep.registry.model_file import fetch_onnx, find_version
    from ocr_sweep.tracking.tracker import Tracker

    tracker = Tracker.open(Paths.find())
    version = find_version(tracker, model)
    with TemporaryDirectory(prefix="ocr-sweep-") as folder:
        file = fetch_onnx(tracker, version, Path(folder))
        return Recogniser.open(file, sha256=version.onnx_sha256, threads=threads)


def _read(recogniser: Recogniser, paths: Sequence[Path]) -> Iterator[_Read]:
    for chunk in _decoded(paths):
        readings = iter(recogniser.read([came for _, came in chunk if not isinstance(came, str)]))
        yield from (_Read(path, None, came) if isinstance(came, str) else _Read(path, next(readings), "") for path, came in chunk)


def _decoded(paths: Sequence[Path]) -> Iterator[list[tuple[Path, NDArray[np.uint8] | str]]]:
    """Some pictures at a time, or the reason why one cannot be read."""
    from ocr_sweep.delivery import read_picture
    from ocr_sweep.errors import DataError

    chunk: list[tuple[Path, NDArray[np.uint8] | str]] = []
    size = 0
    for path in paths:
        try:
            picture = read_picture(path)
            chunk.append((path, picture))
            size += picture.size
        except DataError as error:
            chunk.append((path, str(error)))
        if len(chunk) == _CHUNK or size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    yield chunk


def _as_json(read: Iterator[_Read], top: int) -> list[_Read]:
    """Print one object a line; returns what could not be read."""
    import json

    problems = []
    for one in read:
        line: dict[str, object]
        if one.reading is None:
            problems.append(one)
            line = {"file": _printable(str(one.path)), "problem": _printable(one.problem)}
        else:
            best = [{"char": char, "confidence": round(confidence, 6)} for char, confidence in one.reading.top[:top]]
            line = {
                "file": _printable(str(one.path)),
                "char": one.reading.char,
                "confidence": round(one.reading.confidence, 6),
                "top": best,
            }
        typer.echo(json.dumps(line, ensure_ascii=False))
    return problems


def _as_table(read: Iterator[_Read], top: int) -> list[_Read]:
    """Print a table; returns what could not be read."""
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("picture", "character", "confidence", *(["candidates"] if top > 1 else []))
    table.columns[0].overflow = "fold"
    problems = []
    for one in read:
        name = Text(_printable(str(one.path)))
        if one.reading is None:
            problems.append(one)
            table.add_row(name, Text("unreadable", style="red"), "")
            continue
        best = "  ".join(f"{char} {confidence:.1%}" for char, confidence in one.reading.top[:top])
        char = Text(one.reading.char) if one.reading.char is not None else Text(_UNKNOWN, style="yellow")
        table.add_row(name, char, f"{one.reading.confidence:.1%}", *([best] if top > 1 else []))
    Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE).print(table)
    return problems


def _printable(name: str) -> str:
    """A file's name as it is, or with escapes for what is undecodable or moves the cursor."""
    return name if name.isprintable() else ascii(name)[1:-1]
