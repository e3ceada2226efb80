"""The degradation model against its formula, and its strength."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ocr_sweep.corpus.degrade import EM, degrade, draw_degradation, kanungo
from ocr_sweep.corpus.glyphs import draw_cropped, normalise_ink
from ocr_sweep.corpus.jobs import SimulatedJob, make_image
from ocr_sweep.corpus.pictures import ink_of_gray


def test_kanungo_flips_as_often_as_its_formula_says() -> None:
    ink = np.zeros((400, 400), dtype=bool)
    ink[:, 200:] = True  # a straight edge: the distance is the number of columns to it
    rng = np.random.default_rng(0)
    flips = np.mean([kanungo(ink, decay=0.3, noise=0.01, closing=0, rng=rng) != ink for _ in range(20)], axis=(0, 1))
    for distance in (1, 2, 3, 10):
        expected = np.exp(-0.3 * distance**2) + 0.01
        np.testing.assert_allclose(flips[[200 - distance, 199 + distance]], expected, atol=0.015)


def test_kanungo_closing_fills_single_holes() -> None:
    ink = np.ones((9, 9), dtype=bool)
    ink[4, 4] = False
    closed = kanungo(ink, decay=50.0, noise=0.0, closing=3, rng=np.random.default_rng(0))
    assert closed[4, 4]


def test_equal_seeds_give_equal_pictures(ipaex: Path) -> None:
    glyph = draw_cropped(ipaex, 0, "國", EM)
    a, b, c = (degrade(glyph, draw_degradation(np.random.default_rng(seed), 0.7)) for seed in (1, 1, 2))
    assert (a == b).all() and (a != c).any()


def likeness(path: Path, char: str, wear: float) -> float:
    clean = cv2.GaussianBlur(normalise_ink(draw_cropped(path, 0, char, EM), 48, frame=EM), (0, 0), 2).astype(float)
    scores = []
    for seed in range(6):
        gray = degrade(draw_cropped(path, 0, char, EM), draw_degradation(np.random.default_rng(seed), wear))
        worn = cv2.GaussianBlur(normalise_ink(ink_of_gray(gray), 48, frame=EM), (0, 0), 2)
        scores.append(np.corrcoef(clean.ravel(), worn.astype(float).ravel())[0, 1])
    return float(np.mean(scores))


def test_wear_takes_likeness_away(ipaex: Path) -> None:
    none, half, full = (likeness(ipaex, "國", wear) for wear in (0.0, 0.5, 1.0))
    assert none > 0.95 and none > half > full > 0.2


@pytest.mark.parametrize("char", list("。、一·國"))
def test_the_worst_wear_leaves_ink(char: str, ipaex: Path) -> None:
    for number in range(5):
        image = make_image(SimulatedJob(ipaex, 0, char, 1.0, f"{char}{number}"), 32)
        assert isinstance(image, np.ndarray) and image.max() > 100
