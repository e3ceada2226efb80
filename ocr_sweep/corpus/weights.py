"""Bolder and lighter strokes: the outline of a large glyph is moved outwards or inwards by the same distance everywhere."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]

_SLACK = 3.0  # pixels by which a stroke may end earlier than its moved outline; more is a stroke that is gone
_SPECK = 0.0005  # share of the glyph's box below which a piece or a hole is none


def change_weight(ink: Gray, change: float) -> tuple[Gray, float]:
    """Make every stroke of a glyph `change` pixels wider (above 0) or thinner (below 0).

    A lighter glyph keeps all its strokes and a bolder one all its holes: where the change would break, erase or fill one,
    half of it is tried, then a quarter; where even that is too much, the glyph stays as drawn.

    Args:
        ink: (h, w), cropped to the ink and drawn several times larger than it is needed.
        change: pixels; each edge moves by half of it.

    Returns:
        The glyph, cropped to its ink, with edges as soft as one pixel; and the change that was made.
    """
    pad = max(0, int(np.ceil(change / 2))) + 2
    solid = cv2.threshold(cv2.copyMakeBorder(ink, pad, pad, pad, pad, cv2.BORDER_CONSTANT), 127, 1, cv2.THRESH_BINARY)[1]
    distance = _signed_distance(solid)
    for tried in (change, change / 2, change / 4):
        moved: Gray = np.clip((distance + (tried / 2 + 0.5)) * 255, 0, 255).astype(np.uint8)
        if _whole(solid, moved, tried / 2):
            x, y, width, height = cv2.boundingRect(cv2.threshold(moved, 63, 1, cv2.THRESH_BINARY)[1])
            return moved[y : y + height, x : x + width], tried
    return ink, 0.0


def _signed_distance(solid: Gray) -> NDArray[np.float32]:
    """(h, w) distance in pixels to the outline, above 0 inside; exact to 2 %."""
    inside = cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_5)
    outside = cv2.distanceTransform(1 - solid, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(inside - outside + (np.float32(0.5) - solid), dtype=np.float32)  # pixel centres lie half a pixel off it


def _whole(solid: Gray, moved: Gray, shift: float) -> bool:
    """Whether a glyph still has its pieces and holes, and reaches as far as its strokes do."""
    new = cv2.threshold(moved, 127, 1, cv2.THRESH_BINARY)[1]
    (pieces, holes), (pieces_now, holes_now) = _parts(solid), _parts(new)
    if shift > 0:
        return holes_now >= holes
    if pieces_now != pieces or holes_now < holes:
        return False
    reach = round(2.5 * -shift + _SLACK)  # a square corner is cut by 1.5 shifts
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return not bool((solid > cv2.dilate(new, disc)).any())


def _parts(solid: Gray) -> tuple[int, int]:
    """The number of pieces and of holes of a shape."""
    contours, tree = cv2.findContours(solid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if tree is None:
        return 0, 0
    large = [len(contour) >= 4 and cv2.contourArea(contour) >= _SPECK * solid.size for contour in contours]
    holes = sum(is_large and parent >= 0 for is_large, parent in zip(large, tree[0, :, 3], strict=True))
    return sum(large) - holes, holes
