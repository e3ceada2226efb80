"""The characters of one page: the page is decoded once, and each box is cut, cleared and normalised."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image

from ocr_sweep.corpus.glyphs import Gray, normalise_ink
from ocr_sweep.corpus.pictures import (
    MAX_PAGE_PIXELS,
    Unreadable,
    UnreadableImageError,
    cut_gray,
    has_dark_paper,
    open_picture,
    read_gray,
)
from ocr_sweep.corpus.scan import Box


def read_box(path: Path, boxes: tuple[Box, ...], number: int, size: int) -> Gray | Unreadable:
    """Make the image of one box of a page: (S, S) pixels, 0 paper, 255 full ink, or why there is none.

    A page has one polarity, that of most of its boxes: a mark that fills its own box would say the wrong one.
    """
    try:
        page, dark_paper = _page(path, boxes, path.stat().st_mtime_ns)
    except (UnreadableImageError, OSError) as error:
        return Unreadable(str(error))
    return _read_box(page, boxes[number], size, dark_paper=dark_paper)


@lru_cache(maxsize=1)
def _page(path: Path, boxes: tuple[Box, ...], changed: int) -> tuple[Image.Image, bool]:
    """Decode a page, and say whether its paper is dark; kept until the next page is asked for."""
    page = open_picture(path, MAX_PAGE_PIXELS)
    votes = sum(has_dark_paper(cut_gray(page, _crop(page, box))) for box in boxes)
    return page, 2 * votes > len(boxes)


def _crop(page: Image.Image, box: Box) -> tuple[int, int, int, int]:
    """The box with its margins as far as the page reaches: left, top, right, bottom."""
    left, top = max(0, box.x - box.margin), max(0, box.y - box.margin)
    right = min(page.width, box.x + box.width + box.margin)
    bottom = min(page.height, box.y + box.height + box.margin)
    return left, top, right, bottom


def _read_box(page: Image.Image, box: Box, size: int, *, dark_paper: bool) -> Gray | Unreadable:
    crop = _crop(page, box)
    gray = cut_gray(page, crop)
    try:
        ink = read_gray(gray, (box.x - crop[0], box.y - crop[1], box.width, box.height), dark_paper)
    except UnreadableImageError as error:
        return Unreadable(str(error))
    frame = max(ink.shape) * max(1.0, box.frame / max(gray.shape))  # the ink may have been shrunk
    return normalise_ink(ink, size, frame=round(frame))
