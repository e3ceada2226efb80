"""Kanungo's degradation against its formula."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_sweep.augment.kanungo import Kanungo, edge_distance_squared


@pytest.fixture
def page() -> NDArray[np.uint8]:
    """Bars of ink 12 pixels wide, 256 pixels long."""
    page = np.zeros((256, 256), dtype=np.uint8)
    page[:, np.arange(256) % 24 < 12] = 255
    return page


@pytest.mark.parametrize(("decay", "noise"), [(1.0, 0.0), (0.6, 0.02), (3.0, 0.01)])
def test_the_rate_of_flips_falls_with_distance_as_the_formula_says(decay: float, noise: float, page: NDArray[np.uint8]) -> None:
    flipped, distance = np.zeros(page.shape), np.minimum(np.arange(256) % 12, 11 - np.arange(256) % 12) + 1
    entry = np.array([1.0, decay, noise, 0.0, 0.0])
    for key in np.random.default_rng(0).integers(0, 2**32, 40):
        entry[4] = key
        flipped += Kanungo((1, 3), (0, 1)).apply(page, entry) != page
    for d in (1, 2, 3, 4, 6):
        rate = flipped[:, 24:-24][:, distance[24:-24] == d].mean() / 40
        expected = np.exp(-decay * d**2) + noise
        assert rate == pytest.approx(expected, rel=0.05, abs=2e-4), d


def test_strength_is_kanungos_alpha_and_a_half_is_closed() -> None:
    entries = Kanungo((1, 3), (0, 0.02)).draw(np.random.default_rng(0).random((400, 4)), 0.5, 32)
    assert np.all(entries[:, 0] == 0.5) and entries[:, 1].min() >= 1 and entries[:, 1].max() <= 3
    assert entries[:, 2].max() <= 0.01 and entries[:, 3].mean() == pytest.approx(0.25, abs=0.06)


def test_squared_distance_is_exact_up_to_its_reach() -> None:
    ink = cv2.GaussianBlur(np.random.default_rng(1).random((60, 60)), (0, 0), 4) > 0.5
    solid = ink.astype(np.uint8)
    exact = sum(cv2.distanceTransform(x, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for x in (solid, 1 - solid))
    assert exact.max() > 7
    np.testing.assert_array_equal(edge_distance_squared(ink), np.minimum(np.rint(exact**2), 49))
    assert np.all(edge_distance_squared(np.ones((4, 4), dtype=np.bool_)) == 49)


def test_grey_keeps_its_tone_where_nothing_flips(page: NDArray[np.uint8]) -> None:
    grey = np.where(page > 0, 200, 30).astype(np.uint8)
    found = Kanungo((1, 3), (0, 1)).apply(grey, np.array([1.0, 1.0, 0.0, 0.0, 5.0]))
    assert set(np.unique(found)) == {30, 55, 200, 225}
