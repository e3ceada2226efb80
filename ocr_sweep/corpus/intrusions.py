"""Pieces of the neighbouring characters that enter a scan from its edge are taken out of the ink."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.corpus.glyphs import (
    INK_LEVEL,
    INTRUSION_CUT,
    INTRUSION_DEPTH,
    INTRUSION_GAP,
    INTRUSION_SHARE,
    SPECK_SHARE,
    TIGHT_GAP,
    Gray,
    ink_box,
)

EDGE = 0.01  # a piece this near to the edge, as a share of the longer side, touches it
PADDING_STEP = 6.0  # gray levels; what differs more from the padding is paper
PADDING_FLAT = 0.98  # share of the outermost pixels that have the padding's level
PAPER_IN_LINE = 0.25  # share of a row's or column's bare pixels that are paper, where it lies inside the padding

Levels = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Window:
    """The part of a picture that shows something, in pixels; the edges that it has are where a neighbour is cut."""

    left: int
    top: int
    right: int  # one past the last column
    bottom: int

    def gaps(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Return the distances in pixels of a box (x, y, width, height) from the left, top, right and bottom edge."""
        x, y, width, height = box
        return x - self.left, y - self.top, self.right - x - width, self.bottom - y - height


def content_window(gray: Levels, ink: Gray) -> Window:
    """Find a scan that was pasted on flat padding; without padding, the window is the whole picture.

    Padding has one level and paper has grain: outside the ink, a row of the scan differs from the padding in many pixels.
    A drawing whose background was removed has no grain, so nothing of it is taken for padding.

    Args:
        gray: (h, w), 0 black to 255 white.
        ink: (h, w), its ink.
    """
    height, width = gray.shape
    whole = Window(0, 0, width, height)
    outermost = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    level = float(np.median(outermost))
    if (np.abs(outermost - level) <= PADDING_STEP).mean() < PADDING_FLAT:
        return whole
    reach = 2 * max(1, round(0.02 * max(gray.shape))) + 1
    bare = cv2.dilate(np.asarray(ink, dtype=np.uint8), np.ones((reach, reach), np.uint8)) < INK_LEVEL
    paper = bare & (np.abs(gray - level) > PADDING_STEP)
    spans = [_span(paper.sum(axis=axis), bare.sum(axis=axis)) for axis in (0, 1)]
    if spans[0] is None or spans[1] is None:
        return whole
    return Window(spans[0][0], spans[1][0], spans[0][1], spans[1][1])


def _span(paper: NDArray[np.int64], bare: NDArray[np.int64]) -> tuple[int, int] | None:
    """The first and one past the last line that is paper; None if they span less than half of the lines."""
    lines = np.flatnonzero(paper > PAPER_IN_LINE * np.maximum(bare, 1))
    if len(lines) == 0 or lines[-1] + 1 - lines[0] < len(paper) / 2:
        return None
    return int(lines[0]), int(lines[-1]) + 1


def remove_intrusions(ink: Gray, window: Window) -> Gray:
    """Erase the pieces of neighbouring characters: the rule "intrusions" of `PREPROCESSING`.

    Args:
        ink: (h, w), 0 paper, 255 full ink.
        window: where the scan ends.

    Returns:
        (h, w), the same ink without the intruding pieces; `ink` itself where there are none.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats((ink >= INK_LEVEL).astype(np.uint8), connectivity=8)
    area = stats[1:count, cv2.CC_STAT_AREA]
    sizable = np.flatnonzero(area >= SPECK_SHARE * area.sum()) + 1
    entering = [int(i) for i in sizable if _enters(labels, stats, int(i), window)]
    if not entering:
        return ink
    body = ink_box(np.where(np.isin(labels, entering), np.uint8(0), ink))
    if body is None or _tight(body, window):
        return ink
    largest = INTRUSION_SHARE * (area.sum() - stats[entering, cv2.CC_STAT_AREA].sum())
    foreign = [i for i in entering if stats[i, cv2.CC_STAT_AREA] <= largest and _apart(body, stats[i])]
    return _erase(ink, labels, foreign) if foreign else ink


def keep_box(ink: Gray, box: tuple[float, float, float, float]) -> Gray:
    """Erase the pieces that the edge of a crop cuts and that lie wholly outside the box of the character.

    Args:
        ink: (h, w), 0 paper, 255 full ink; the box and a margin around it.
        box: x, y, width and height in pixels.
    """
    count, labels = cv2.connectedComponents((ink >= INK_LEVEL).astype(np.uint8), connectivity=8)
    left, top, right, bottom = round(box[0]), round(box[1]), round(box[0] + box[2]), round(box[1] + box[3])
    within = set(np.unique(labels[top:bottom, left:right]).tolist())
    cut = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).tolist())
    foreign = sorted((cut - within) & set(range(1, count)))
    return _erase(ink, labels, foreign) if foreign else ink


def _enters(labels: NDArray[np.int32], stats: NDArray[np.int32], piece: int, window: Window) -> bool:
    """Whether a piece is cut off by an edge of the window: it meets the edge broadly, and does not reach deep."""
    x, y, width, height = (int(v) for v in stats[piece, :4])
    sides = (window.right - window.left, window.bottom - window.top)
    near = max(1, round(EDGE * max(sides)))
    own = labels[y : y + height, x : x + width] == piece
    bands = (own[:, :near], own[:near], own[:, -near:], own[-near:])  # left, top, right, bottom
    for edge, (gap, band) in enumerate(zip(window.gaps((x, y, width, height)), bands, strict=True)):
        along = edge % 2  # 0: the depth is measured across, and the cut runs downwards
        depth, extent = ((width, height), (height, width))[along]
        cut = band.any(axis=1 - along).sum() / extent
        if gap < near and depth <= INTRUSION_DEPTH * sides[along] and cut >= INTRUSION_CUT:
            return True
    return False


def _tight(body: tuple[int, int, int, int], window: Window) -> bool:
    """Whether the picture was cropped to its character: then any of its strokes may touch an edge."""
    reach = TIGHT_GAP * max(window.right - window.left, window.bottom - window.top)
    return sum(gap <= reach for gap in window.gaps(body)) >= 2


def _apart(body: tuple[int, int, int, int], piece: NDArray[np.int32]) -> bool:
    x, y, width, height = body
    left, top, right, bottom = piece[0], piece[1], piece[0] + piece[2], piece[1] + piece[3]
    gap = max(left - x - width, x - right, top - y - height, y - bottom)
    return bool(gap >= INTRUSION_GAP * max(width, height))


def _erase(ink: Gray, labels: NDArray[np.int32], pieces: list[int]) -> Gray:
    """Erase pieces and the soft seam around them, and no other piece."""
    own = np.isin(labels, pieces)
    around = cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    cleared: Gray = np.where(around & (own | (labels == 0)), np.uint8(0), ink)
    return cleared
