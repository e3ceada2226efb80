"""Glyphs drawn at the size at which they fit, against the same glyph drawn sixteen times larger; and stroke weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ocr_sweep.corpus.glyphs import FINEST, MARGIN, Gray, draw_glyph, draw_ink, draw_weighted, fitting_em, ink_box, load_face
from ocr_sweep.corpus.weights import change_weight

CHARS = "國龍永黃。一"


def exact(path: Path, char: str, size: int) -> list[Gray]:
    """The glyph at 16 times the size, scaled to fit exactly and averaged over whole pixels, at 16 subpixel places."""
    side = max(ink_box(draw_glyph(path, 0, char, size))[2:])  # type: ignore[index]
    large = draw_ink(load_face(path, 0, 1024), char)
    scale = 16 * side / max(large.shape)
    large = cv2.resize(large, (round(large.shape[1] * scale), round(large.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    found = []
    for x in range(0, 16, 4):
        for y in range(0, 16, 4):
            canvas = np.zeros((16 * size, 16 * size), np.uint8)
            top, left = (16 * size - large.shape[0]) // 32 * 16 + y, (16 * size - large.shape[1]) // 32 * 16 + x
            canvas[top : top + large.shape[0], left : left + large.shape[1]] = large
            found.append(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA))
    return found


def straightforward(path: Path, char: str, size: int) -> Gray:
    """Draw at the size, crop, and scale to fit: what a first loop with Pillow does."""
    ink = draw_ink(load_face(path, 0, size), char)
    side = max(ink_box(draw_glyph(path, 0, char, size))[2:])  # type: ignore[index]
    scale = side / max(ink.shape)
    ink = cv2.resize(ink, (round(ink.shape[1] * scale), max(1, round(ink.shape[0] * scale))), interpolation=cv2.INTER_LINEAR)
    square = np.zeros((size, size), np.uint8)
    top, left = (size - ink.shape[0]) // 2, (size - ink.shape[1]) // 2
    square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return square


def distance(image: Gray, wanted: list[Gray]) -> float:
    """Mean absolute difference in gray levels at the best of all subpixel places: where a glyph lies is not its quality."""
    shifted = [np.roll(image, (y, x), (0, 1)).astype(float) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    return min(float(np.abs(one - other).mean()) for one in shifted for other in wanted)


@pytest.mark.parametrize("size", [32, 64])
def test_a_fitted_glyph_is_no_farther_from_the_exact_one_than_one_that_was_drawn_and_resized(ipaex: Path, size: int) -> None:
    fitted = np.mean([distance(draw_glyph(ipaex, 0, char, size), exact(ipaex, char, size)) for char in CHARS])
    resized = np.mean([distance(straightforward(ipaex, char, size), exact(ipaex, char, size)) for char in CHARS])
    assert fitted < resized and fitted < 12


@pytest.mark.parametrize("size", [16, 24, 48, 64, 100, 256])
def test_the_box_fits_within_a_pixel_or_a_hundredth_and_is_centred(ipaex: Path, size: int) -> None:
    for char in "國一龍":
        x, y, width, height = ink_box(draw_glyph(ipaex, 0, char, size)) or (0, 0, 0, 0)
        assert abs(max(width, height) - size * (1 - 2 * MARGIN)) <= max(1, 0.015 * size)
        assert abs(2 * x + width - size) <= 2 and abs(2 * y + height - size) <= 2


def test_small_squares_are_shrunk_by_a_whole_number_and_large_ones_not_at_all() -> None:
    for size in (16, 28, 55, 56, 512):
        em, times = fitting_em(0.9, size)
        assert (times == 1) == (size >= FINEST) and em / times * 0.9 == pytest.approx(size * 7 / 8, rel=0.006)


def strokes(width: int) -> Gray:
    """A cross with strokes of `width` pixels."""
    ink = np.zeros((200, 200), np.uint8)
    ink[100 - width // 2 : 100 + width // 2] = ink[:, 100 - width // 2 : 100 + width // 2] = 255
    return ink


@pytest.mark.parametrize("change", [-8, -4, 4, 8])
def test_every_stroke_changes_by_the_width_that_was_asked_for(change: int) -> None:
    moved, made = change_weight(strokes(20), change)
    assert made == change
    assert moved[len(moved) // 2 - 60].astype(float).sum() / 255 == pytest.approx(20 + change, abs=0.5)


def test_a_stroke_that_would_vanish_is_thinned_less_or_not_at_all() -> None:
    thin = np.zeros((200, 200), np.uint8)
    thin[:, 90:110] = 255
    thin[100:106] = 255  # a hair line beside a heavy stroke
    moved, made = change_weight(thin, -8)
    assert made in (-4, -2) and moved[:, 20].max() > 128
    thin[100:106] = 0
    thin[100:102] = 255
    assert change_weight(thin, -8)[1] > -2


def test_a_hole_that_would_close_stays_open() -> None:
    ring = np.full((100, 100), 255, np.uint8)
    ring[46:54, 46:54] = 0
    moved, made = change_weight(ring, 12)
    assert made < 12 and moved[len(moved) // 2, len(moved) // 2] == 0


def test_weighted_glyphs_keep_the_size_rule(ipaex: Path) -> None:
    for weight in (-0.03, 0.03):
        image, made = draw_weighted(ipaex, 0, "國", 64, weight)
        _, _, width, height = ink_box(image) or (0, 0, 0, 0)
        assert abs(max(width, height) - 56) <= 1 and made != 0
