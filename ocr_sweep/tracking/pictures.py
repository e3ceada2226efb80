"""Pictures of what a run gets wrong: which characters it confuses, and its most confident errors."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ocr_sweep.metrics import confused_pairs
from ocr_sweep.store import CorpusView

_PAPER, _INK, _QUIET, _RIGHT, _WRONG = "#ffffff", "#1f2328", "#656d76", "#0072b2", "#b34700"
_MARGIN, _HEAD, _GAP = 24, 92, 6  # pixels
_CELL = 52  # side of a cell of the heat map
_THUMB, _CAPTION, _TILES = 72, 34, 4  # side of a thumbnail, height of the line below it, errors side by side


def confusion_picture(view: CorpusView, labels: NDArray[np.integer], predicted: NDArray[np.integer], *, top: int = 16) -> bytes:
    """PNG of the most confused characters: a row for each as written, a column for each as read, counts in the cells.

    Args:
        labels: (N,) true classes.
        predicted: (N,) predicted classes.
        top: show at most so many characters.
    """
    title = f"Most confused characters, {_scans(view)}"
    classes = _most_confused(labels, predicted, top)
    if not classes:
        return _nothing_wrong(title, len(labels))
    counts = np.array([[np.sum((labels == row) & (predicted == column)) for column in classes] for row in classes])
    worst = int(counts[~np.eye(len(classes), dtype=bool)].max())
    side = (len(classes) + 1) * _CELL
    lines = [
        f"{int(np.sum(labels != predicted))} of {len(labels)} images are read wrong",
        "row: as written · column: as read · orange: number of errors · blue: read right",
    ]
    canvas, draw = _page(title, lines, side, side)
    for place, class_id in enumerate(classes):
        middle = (place + 1) * _CELL
        canvas.paste(_glyph(view, class_id, _CELL - _GAP), (_MARGIN, _HEAD + middle))
        canvas.paste(_glyph(view, class_id, _CELL - _GAP), (_MARGIN + middle, _HEAD))
    for row, column in np.ndindex(counts.shape):
        corner = _MARGIN + (column + 1) * _CELL, _HEAD + (row + 1) * _CELL
        _heat_cell(draw, corner, int(counts[row, column]), worst, on_diagonal=row == column)
    return _png(canvas)


def error_sheet(
    view: CorpusView,
    indices: NDArray[np.integer],
    labels: NDArray[np.integer],
    top5: NDArray[np.integer],
    prob5: NDArray[np.floating],
    *,
    limit: int = 48,
) -> bytes:
    """PNG of images that are read wrong, most confident errors first: the scan, what it is, and what it is taken for.

    Args:
        indices: (N,) image numbers in `view`.
        labels: (N,) true classes.
        top5: (N, 5) predicted classes, best first.
        prob5: (N, 5) their probabilities.
        limit: show at most so many.
    """
    title = f"Most confident errors, {_scans(view)}"
    wrong = np.flatnonzero(top5[:, 0] != labels)
    if not len(wrong):
        return _nothing_wrong(title, len(labels))
    shown = wrong[np.argsort(-prob5[wrong, 0], kind="stable")][:limit]
    lines = [
        f"{len(shown)} of {len(wrong)} errors on {len(labels)} images, the most confident first",
        "left: the image · middle: what it is · right: what it was read as, and how probable that seemed",
    ]
    tile_width, tile_height = 3 * (_THUMB + _GAP) + 3 * _GAP, _THUMB + _CAPTION
    columns = min(_TILES, len(shown))
    canvas, draw = _page(title, lines, columns * tile_width, -(-len(shown) // columns) * tile_height)
    for place, i in enumerate(shown):
        x, y = _MARGIN + place % columns * tile_width, _HEAD + place // columns * tile_height
        pictures = [_scaled(view.images[indices[i]], _THUMB)]
        pictures += [_glyph(view, int(class_id), _THUMB) for class_id in (labels[i], top5[i, 0])]
        captions = [("image", _QUIET), ("is", _RIGHT), (f"read {prob5[i, 0]:.0%}", _WRONG)]
        for column, (picture, (text, colour)) in enumerate(zip(pictures, captions, strict=True)):
            left = x + column * (_THUMB + _GAP)
            canvas.paste(picture, (left, y))
            draw.rectangle((left - 1, y - 1, left + _THUMB, y + _THUMB), outline=colour)
            draw.text((left + _THUMB // 2, y + _THUMB + 4), text, fill=colour, font=_font(13), anchor="ma")
    return _png(canvas)


def _scans(view: CorpusView) -> str:
    return "simulated scans" if view.simulated else "scans"


def _most_confused(labels: NDArray[np.integer], predicted: NDArray[np.integer], top: int) -> list[int]:
    """Classes of the most frequent mistakes, each pair side by side, at most `top`."""
    classes: list[int] = []
    for label, read, _ in confused_pairs(labels, predicted, len(labels)):
        new = [class_id for class_id in (label, read) if class_id not in classes]
        if len(classes) + len(new) > top:
            break
        classes += new
    return classes


def _heat_cell(draw: ImageDraw.ImageDraw, corner: tuple[int, int], count: int, worst: int, *, on_diagonal: bool) -> None:
    x, y = corner
    depth = count / worst if not on_diagonal else min(count, 1) * 0.12
    full = (0, 114, 178) if on_diagonal else (213, 94, 0)  # Okabe and Ito's blue and vermilion
    shade = tuple(round(255 + (channel - 255) * depth) for channel in full)
    draw.rectangle((x, y, x + _CELL - 2, y + _CELL - 2), fill=shade if count else "#f6f8fa")
    if count:
        colour = _PAPER if depth > 0.6 else _INK
        draw.text((x + _CELL // 2, y + _CELL // 2), str(count), fill=colour, font=_font(16), anchor="mm")


def _glyph(view: CorpusView, class_id: int, side: int) -> Image.Image:
    """What a class looks like; its code point where the corpus has no training image of it."""
    place = int(view.glyph_indices[class_id])
    if place >= 0:
        return _scaled(view.images[place], side)
    card = Image.new("RGB", (side, side), "#f6f8fa")
    code = f"{ord(view.chars[class_id]):04X}"
    ImageDraw.Draw(card).text((side // 2, side // 2), f"U+\n{code}", fill=_QUIET, font=_font(12), anchor="mm", align="center")
    return card


def _scaled(image: NDArray[np.uint8], side: int) -> Image.Image:
    """Dark ink on white, enlarged or shrunk to `side` pixels."""
    return Image.fromarray(255 - np.asarray(image)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)


def _page(title: str, lines: Sequence[str], width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A white page with a title and legend, and room for (width, height) pixels below them."""
    texts = [_font(14).getlength(line) for line in lines] + [_font(20).getlength(title)]
    canvas = Image.new("RGB", (2 * _MARGIN + max(width, int(max(texts)) + 1), _HEAD + height + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_MARGIN, 14), title, fill=_INK, font=_font(20))
    for place, line in enumerate(lines):
        draw.text((_MARGIN, 42 + 20 * place), line, fill=_QUIET, font=_font(14))
    return canvas, draw


def _nothing_wrong(title: str, num_images: int) -> bytes:
    canvas, _ = _page(title, [f"No errors: all {num_images} images are read right."], 0, 0)
    return _png(canvas)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _png(canvas: Image.Image) -> bytes:
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG")
    return buffer.getvalue()
