"""The one size rule for every picture of a character, and the drawing of a glyph from a font."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Gray = NDArray[np.uint8]

MARGIN = 1 / 16
"""Empty border on each side, as a share of the square's side."""

FULL_FROM = 0.5
"""Ink whose longer side is at least this share of its frame fills the square; smaller ink shrinks in proportion."""

INK_LEVEL = 64
"""Pixels of at least this much ink (of 255) count when the ink's box is found."""

SPECK_SHARE = 0.004
"""Connected pieces with less than this share of the ink's area are specks; they do not stretch the box."""

STROKE_SHARE = 0.03
"""Pieces with at least this share of the ink's area always belong to the character, wherever they lie."""

STRAY_GAP = 0.06
"""Smaller pieces belong to it if their distance to the rest is at most this share of the picture's longer side."""

OVERSAMPLING = 4
"""A glyph is drawn so many times larger than it is stored."""

PREPROCESSING: dict[str, Any] = {
    "polarity": "0 is paper, 255 is full ink; the paper is flattened to 0, the ink is not binarised",
    "crop": "to the box of all pixels with at least ink_level of 255, without specks (connected pieces below "
    "speck_share of the ink area) and strays (pieces below stroke_share, farther from the rest than stray_gap of the picture)",
    "size": "the longer side of the box fills the square less margin on each side; if the box's longer side is less than "
    "full_from of the frame's longer side (a glyph's em box, a scan's whole picture), it is smaller in that proportion",
    "place": "the box is centred",
    "resampling": "area when shrinking, linear when growing",
    "margin": MARGIN,
    "full_from": FULL_FROM,
    "ink_level": INK_LEVEL,
    "speck_share": SPECK_SHARE,
    "stroke_share": STROKE_SHARE,
    "stray_gap": STRAY_GAP,
}
"""What an image goes through before a network sees it, in words and numbers, for the model's metadata."""


def ink_box(ink: Gray) -> tuple[int, int, int, int] | None:
    """Return (x, y, width, height) in pixels of the ink without specks and strays; None where there is no ink.

    Args:
        ink: (h, w), 0 paper, 255 full ink.
    """
    solid = (ink >= INK_LEVEL).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    pieces = stats[1:]  # the first one is the paper
    if len(pieces) == 0:
        return None
    area = pieces[:, cv2.CC_STAT_AREA]
    place = pieces[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]]
    corners = np.hstack([place, place + pieces[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]])  # left, top, right, bottom
    total = area.sum()
    box = _hull(corners[area >= min(STROKE_SHARE * total, area.max())])
    small = corners[(area >= SPECK_SHARE * total) & (area < STROKE_SHARE * total)]
    box = _gather(box, small, reach=STRAY_GAP * max(ink.shape))
    left, top, right, bottom = (int(v) for v in box)
    return left, top, right - left, bottom - top


def _hull(corners: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])


def _gather(box: NDArray[np.int32], pieces: NDArray[np.int32], reach: float) -> NDArray[np.int32]:
    """Grow a box by the pieces within `reach` pixels of it, until no other is near enough."""
    while len(pieces):
        gaps = np.maximum(pieces[:, :2] - box[2:], box[:2] - pieces[:, 2:]).max(axis=1)
        if not (gaps <= reach).any():
            break
        box = _hull(np.vstack([box, pieces[gaps <= reach]]))
        pieces = pieces[gaps > reach]
    return box


def normalise_ink(ink: Gray, size: int, *, frame: int | None = None) -> Gray:
    """Crop to the ink, scale and centre it: the rule of `PREPROCESSING`, the same for glyphs and for scans.

    A mark that is small in its frame (、 。 ·) stays small instead of being blown up to the size of an ideograph.

    Args:
        ink: (h, w), 0 paper, 255 full ink; it must hold some ink.
        size: S, side of the result in pixels.
        frame: side in pixels of what the ink is measured against; None: the longer side of `ink`.

    Returns:
        (S, S), 0 paper, 255 full ink.
    """
    box = ink_box(ink)
    assert box is not None, "normalise_ink needs ink"
    x, y, width, height = box
    longer = max(width, height)
    fill = min(1.0, longer / (frame or max(ink.shape)) / FULL_FROM)
    scale = fill * size * (1 - 2 * MARGIN) / longer
    target = (max(1, round(width * scale)), max(1, round(height * scale)))  # (w, h)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(ink[y : y + height, x : x + width], target, interpolation=method)
    square = np.zeros((size, size), dtype=np.uint8)
    left, top = (size - target[0]) // 2, (size - target[1]) // 2
    square[top : top + target[1], left : left + target[0]] = small
    return square


@lru_cache(maxsize=16)
def load_face(path: Path, index: int, em: int) -> ImageFont.FreeTypeFont:
    """Open a face at `em` pixels. Basic layout: one code point is one glyph on every machine."""
    return ImageFont.truetype(str(path), em, index=index, layout_engine=ImageFont.Layout.BASIC)


def draw_on_canvas(font: ImageFont.FreeTypeFont, char: str, em: int) -> Gray:
    """Draw a glyph in the middle of a canvas of (2 em, 2 em) pixels, 0 paper, 255 ink."""
    canvas = Image.new("L", (2 * em, 2 * em), 0)
    ImageDraw.Draw(canvas).text((em, em), char, fill=255, font=font, anchor="mm")
    return np.asarray(canvas)


def draw_glyph(path: Path, index: int, char: str, size: int) -> Gray:
    """Draw a character that the face is known to cover (see `fonts.covered_chars`).

    Returns:
        (S, S), 0 paper, 255 full ink, normalised against the em box.
    """
    em = OVERSAMPLING * size
    return normalise_ink(draw_on_canvas(load_face(path, index, em), char, em), size, frame=em)


def draw_cropped(path: Path, index: int, char: str, em: int) -> Gray:
    """Draw a covered character at `em` pixels and crop it to its ink: (h, w), 0 paper, 255 full ink."""
    canvas = draw_on_canvas(load_face(path, index, em), char, em)
    box = ink_box(canvas)
    assert box is not None, "a covered character has ink"
    x, y, width, height = box
    return canvas[y : y + height, x : x + width]
