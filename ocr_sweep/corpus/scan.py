"""One character image of a scanned source, wherever it was found, and how the files of a source are named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ocr_sweep.config.yaml_file import is_file


@dataclass(frozen=True)
class Box:
    """Where a character stands on a page, in pixels of the upright page, origin top left."""

    x: int
    y: int
    width: int
    height: int
    margin: int  # cut so much more on each side
    frame: int  # what the ink is measured against: the longer side of the page's median box, with its margins


@dataclass(frozen=True)
class Annotation:
    """One box as its file gives it, not yet checked."""

    place: str  # "line 7" or "annotation 12", for errors
    page: str
    label: str
    corner: tuple[float, float]  # x, y in pixels
    size: tuple[float, float]  # width, height in pixels
    group: str | None


@dataclass(frozen=True)
class Scan:
    """One picture of a scanned source, not yet decoded."""

    path: Path
    file: str  # "U+XXXX/name.png": the same on every machine, and once in a source
    char: str
    group: str  # what may not be torn over splits
    rows: tuple[int, int] | None = None  # rows to keep
    box: Box | None = None  # the part of a page
    split: str | None = None  # train, val or test where the user gave it; else the shares decide
    may_train: bool = True  # false: in no set, if it falls to train


def printable(name: str) -> str:
    """A file's name for manifests and screens: as it is, or with escapes for what is undecodable or moves the cursor."""
    return name if name.isprintable() else ascii(name)[1:-1]


def find_inside(folder: Path, name: str) -> tuple[str, Path]:
    """Find a file that a table names relative to `folder`; return its name in plain form, and its path.

    Raises:
        ValueError: the name is empty, leaves the folder, or there is no such file; the text is the reason.
    """
    relative = PurePosixPath(name)
    if not name:
        raise ValueError("the file's name is empty")
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"{name!a} must be a name inside the folder, without '..' and not absolute")
    path = folder / relative
    if not is_file(path):
        hint = "; write / between folder and file" if "\\" in name else ""
        raise ValueError(f"there is no file {printable(name)!r}{hint}")
    return str(relative), path
