"""Page images with character boxes: each box becomes a scan, and no page is torn over the splits."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from ocr_sweep.config.corpus import ScannedConfig
from ocr_sweep.corpus.charset import char_of_folder, code_points
from ocr_sweep.corpus.coco import read_coco
from ocr_sweep.corpus.labels import table_path
from ocr_sweep.corpus.pictures import picture_size
from ocr_sweep.corpus.scan import Annotation, Box, Scan, find_inside, printable
from ocr_sweep.corpus.splits import unite
from ocr_sweep.corpus.tables import read_table, refuse
from ocr_sweep.errors import DataError

COLUMNS = ("page", "label", "x", "y", "width", "height")


@dataclass(frozen=True)
class _Found:
    """A box that was checked."""

    page: str
    path: Path
    char: str
    box: Box
    group: str


def list_boxed(config: ScannedConfig, folder: Path) -> list[Scan]:
    """List the boxes of a source's pages, page by page, from the top left to the bottom right.

    Raises:
        DataError: with the first ten problems: pages that do not exist, boxes outside their page or without area, labels
            that are no character, boxes that repeat; or the file is neither such a CSV nor COCO.
    """
    name = config.boxes or ""
    path = table_path(folder, name, "boxes")
    if path.suffix.lower() == ".json":
        boxes, problems = read_coco(path, config.group)
    else:
        boxes, problems = _read_csv(path, config.group)
    found, wrong = _check(boxes, folder)
    refuse(str(path), problems + wrong)
    return _scans(config, found)


def _read_csv(path: Path, group: str | None) -> tuple[list[Annotation], list[str]]:
    table = read_table(path, COLUMNS if group is None else (*COLUMNS, group), None)
    boxes: list[Annotation] = []
    for line, row in table.rows:
        try:
            x, y, width, height = (float(row[name]) for name in COLUMNS[2:])
        except ValueError:
            values = ", ".join(printable(row[name]) or "nothing" for name in COLUMNS[2:])
            table.add(line, f"x, y, width and height must be numbers of pixels, but are {values}")
            continue
        own = row[group] if group is not None else None
        boxes.append(Annotation(f"line {line}", row["page"], row["label"], (x, y), (width, height), own))
    return boxes, table.problems


def _check(boxes: Iterable[Annotation], folder: Path) -> tuple[list[_Found], list[str]]:
    """Return the sound boxes, and what is wrong with the others."""
    found: list[_Found] = []
    problems: list[str] = []
    sizes: dict[str, tuple[int, int] | None] = {}
    first: dict[tuple[str, str, Box], str] = {}
    for one in boxes:
        try:
            page, path = find_inside(folder, one.page)
            char = char_of_folder(one.label, kind="label")
            if page not in sizes:
                sizes[page] = picture_size(path)
            box = _box(one, sizes[page])
            if (before := first.setdefault((page, char, box), one.place)) != one.place:
                raise ValueError(f"repeats the box of {before}")
            if one.group == "":
                raise ValueError("its group is empty: without it, the page could leak from one split into another")
            found.append(_Found(page, path, char, box, page if one.group is None else one.group))
        except (ValueError, DataError) as error:
            problems.append(f"{one.place}: {error}")
    return found, problems


def _box(one: Annotation, page: tuple[int, int] | None) -> Box:
    """Round a box to whole pixels. A page that cannot be read has no size: its boxes are reported when it is decoded."""
    numbers = (*one.corner, *one.size)
    shown = "x={:g}, y={:g}, width={:g}, height={:g}".format(*numbers)
    if not all(math.isfinite(value) for value in numbers):
        raise ValueError(f"a box must have finite numbers, but has {shown}")
    (x, y), (width, height) = one.corner, one.size
    left, top, right, bottom = round(x), round(y), round(x + width), round(y + height)
    if right <= left or bottom <= top:
        raise ValueError(f"a box must have an area, but has {shown}")
    if left < 0 or top < 0 or (page is not None and (right > page[0] or bottom > page[1])):
        size = f" of {page[0]}x{page[1]} pixels" if page is not None else ""
        raise ValueError(f"a box must lie on its page{size}, but has {shown}")
    return Box(left, top, right - left, bottom - top, 0, 0)


def _scans(config: ScannedConfig, found: list[_Found]) -> list[Scan]:
    found = sorted(found, key=lambda one: (one.page, one.box.y, one.box.x, one.box.height, one.box.width, one.char))
    longer: dict[str, list[float]] = defaultdict(list)
    for one in found:
        longer[one.page].append(max(one.box.width, one.box.height) * (1 + 2 * config.box_margin))
    frames = {page: round(median(values)) for page, values in longer.items()}
    groups = _whole_pages(config, found)
    scans = []
    for one, group in zip(found, groups, strict=True):
        margin = round(config.box_margin * max(one.box.width, one.box.height))
        box = replace(one.box, margin=margin, frame=frames[one.page])
        file = f"{code_points(one.char)}/{printable(one.page)}@{box.x},{box.y},{box.width},{box.height}"
        scans.append(Scan(one.path, file, one.char, group, box=box))
    return scans


def _whole_pages(config: ScannedConfig, found: list[_Found]) -> list[str]:
    """The group of each box: its page, or the named one; groups that share a page are one, since a page is never torn."""
    column = config.group or "page"
    numbers = unite([one.page for one in found], [one.group for one in found]).tolist()
    names: dict[int, str] = {}
    for one, number in zip(found, numbers, strict=True):
        names.setdefault(number, f"{column}={one.group}")
    return [names[number] for number in numbers]
