"""The one size rule for every picture of a character, and the drawing of a glyph from a font."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from ocr_sweep.corpus.weights import change_weight

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

FINEST = 56
"""A glyph for squares smaller than this is drawn a whole number of times larger, so that hinting does not bend it."""

PROBE_EM = 128
"""Pixels per em at which a glyph is measured and compared with others."""
INTRUSION_SHARE = 0.25
"""A piece of a neighbour has at most this share of the area of the ink that no edge cuts."""

INTRUSION_DEPTH = 0.3
"""It reaches at most this share of the picture's side inwards."""

INTRUSION_CUT = 0.4
"""It meets the edge with at least this share of its extent along the edge: a stroke that only touches meets it with less."""

INTRUSION_GAP = 0.15
"""Its distance from the rest of the ink is at least this share of the longer side of that ink's box."""

TIGHT_GAP = 0.04
"""Ink that comes so near to two edges or more, as a share of the longer side, fills a picture that was cropped to it."""

OVERSAMPLING = 4
"""A glyph whose stroke weight is changed is drawn so many times larger than it is stored."""

_raw_encoder: Any = Image.core.raw_encoder  # type: ignore[attr-defined]
_STEPS = 64  # sizes of an open face per octave: the box is within 0.6 % of what it should be
_OPEN_FACES = 128  # one face at many sizes; a face of a CFF font takes about 1 MB

PREPROCESSING: dict[str, Any] = {
    "polarity": "0 is paper, 255 is full ink, whichever was darker (on a page, that of most boxes); the paper is flattened to 0, "
    "the ink is not binarised",
    "intrusions": "of a scan, pieces of neighbouring characters are erased: pieces that an edge of the picture (inside flat "
    "padding, if there is any) cuts along at least intrusion_cut of their extent, no deeper than intrusion_depth of the "
    "picture's side, with at most intrusion_share of the area of the other ink, and at least intrusion_gap of its box's longer "
    "side away from that box; none if the other ink comes within tight_gap of the longer side to two edges or more. Of a box "
    "on a page also every piece that lies wholly outside the box and reaches the edge of the margin that is cut with it",
    "crop": "to the box of all pixels with at least ink_level of 255, without specks (connected pieces below "
    "speck_share of the ink area) and strays (pieces below stroke_share, farther from the rest than stray_gap of the picture); "
    "a glyph has neither, its box is that of all its ink",
    "size": "the longer side of the box fills the square less margin on each side; if the box's longer side is less than "
    "full_from of the frame's longer side (a glyph's em box, a scan's whole picture; for a box on a page the median box of that "
    "page with its margins, or its own crop if that is larger), it is smaller in that proportion",
    "place": "the box is centred",
    "resampling": "area when shrinking, linear when growing; a glyph is drawn at the size at which its box fits to a pixel, or "
    "at a whole multiple of it (squares below finest) and shrunk by area",
    "margin": MARGIN,
    "full_from": FULL_FROM,
    "ink_level": INK_LEVEL,
    "speck_share": SPECK_SHARE,
    "stroke_share": STROKE_SHARE,
    "stray_gap": STRAY_GAP,
    "finest": FINEST,
    "intrusion_share": INTRUSION_SHARE,
    "intrusion_depth": INTRUSION_DEPTH,
    "intrusion_cut": INTRUSION_CUT,
    "intrusion_gap": INTRUSION_GAP,
    "tight_gap": TIGHT_GAP,
}
"""What an image goes through before a network sees it, in words and numbers, for the model's metadata."""


def ink_box(ink: Gray, stroke_share: float = STROKE_SHARE, stray_gap: float = STRAY_GAP) -> tuple[int, int, int, int] | None:
    """Return (x, y, width, height) in pixels of the ink without specks and strays; None where there is no ink.

    Args:
        ink: (h, w), 0 paper, 255 full ink.
        stroke_share, stray_gap: what a stray is; see `STROKE_SHARE` and `STRAY_GAP`.
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
    box = _hull(corners[area >= min(stroke_share * total, area.max())])
    small = corners[(area >= SPECK_SHARE * total) & (area < stroke_share * total)]
    box = _gather(box, small, reach=stray_gap * max(ink.shape))
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
    scale = filled(longer / (frame or max(ink.shape))) * size / longer
    return _centred(_scaled(ink[y : y + height, x : x + width], scale), size)


def filled(extent: float) -> float:
    """Return the share of the square's side that ink fills whose longer side is `extent` of its frame."""
    return min(1.0, extent / FULL_FROM) * (1 - 2 * MARGIN)


def _scaled(ink: Gray, scale: float) -> Gray:
    target = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))  # (w, h)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(ink, target, interpolation=method), dtype=np.uint8)


def _centred(ink: Gray, size: int) -> Gray:
    square = np.zeros((size, size), dtype=np.uint8)
    height, width = ink.shape
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = ink
    return square


@lru_cache(maxsize=_OPEN_FACES)
def load_face(path: Path, index: int, em: float) -> ImageFont.FreeTypeFont:
    """Open a face at `em` pixels. Basic layout: one code point is one glyph on every machine."""
    return ImageFont.truetype(str(path), em, index=index, layout_engine=ImageFont.Layout.BASIC)


def draw_ink(font: ImageFont.FreeTypeFont, char: str) -> Gray:
    """Draw a glyph and crop it to its ink: (h, w), 0 paper, 255 full ink; (0, 0) where there is none."""
    mask = font.getmask(char, "L")
    width, height = mask.size
    if not (width and height):
        return np.zeros((0, 0), dtype=np.uint8)
    encoder = _raw_encoder("L", "L", 0, 1)  # what Image.tobytes does, in a tenth of the time
    encoder.setimage(mask, (0, 0, width, height))
    ink: Gray = np.frombuffer(encoder.encode(width * height)[2], dtype=np.uint8).reshape(height, width)
    x, y, width, height = cv2.boundingRect(cv2.threshold(ink, INK_LEVEL - 1, 255, cv2.THRESH_BINARY)[1])
    return ink[y : y + height, x : x + width]


def measure(path: Path, index: int, char: str) -> float:
    """Return the longer side of a glyph's ink as a share of the em."""
    return max(draw_ink(load_face(path, index, PROBE_EM), char).shape) / PROBE_EM


def draw_glyph(path: Path, index: int, char: str, size: int, *, extent: float | None = None) -> Gray:
    """Draw a character that the face is known to cover (see `coverage.examine`).

    FreeType weighs every pixel by the area that the outline covers, so a glyph drawn at the size at which its box fits the
    square needs no resampling, and is sharper than one that was.

    Args:
        extent: longer side of its ink as a share of the em (see `measure`); None: measured here.

    Returns:
        (S, S), 0 paper, 255 full ink, normalised against the em box.
    """
    em, times = fitting_em(extent or measure(path, index, char), size)
    ink = draw_ink(load_face(path, index, em), char)
    return _centred(_scaled(ink, 1 / times) if times > 1 else ink[:size, :size], size)


def fitting_em(extent: float, size: int) -> tuple[float, int]:
    """Return the pixels per em at which ink of this extent fills the square as it should, times a whole number, and that."""
    times = -(-FINEST // size)
    em = times * filled(extent) * size / extent
    return 2 ** (round(math.log2(em) * _STEPS) / _STEPS), times


def draw_weighted(path: Path, index: int, char: str, size: int, weight: float) -> tuple[Gray, float]:
    """Draw a covered character with its strokes made wider (above 0) or thinner (below 0) by a share of the em.

    Returns:
        (S, S) as of `draw_glyph`; and the weight that the strokes could bear (see `weights.change_weight`).
    """
    em = OVERSAMPLING * max(size, FINEST)
    ink, borne = change_weight(draw_ink(load_face(path, index, em), char), weight * em)
    longer = max(ink.shape)
    return _centred(_scaled(ink, filled(longer / em) * size / longer), size), borne / em


def draw_cropped(path: Path, index: int, char: str, em: int) -> Gray:
    """Draw a covered character at `em` pixels and crop it to its ink: (h, w), 0 paper, 255 full ink."""
    return draw_ink(load_face(path, index, em), char)
