from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_sweep.augment import BUILT_IN, Treatment, augment_batch, policy_sheet
from ocr_sweep.errors import DataError
from ocr_sweep.store import Source

Glyph = NDArray[np.uint8]
EXPECTED_MEANS = [48.4, 50.5, 43.4, 49.9, 50.0, 47.1, 50.2, 54.8, 41.4, 50.0, 46.8, 50.0]
EXPECTED_MEANS += [45.2, 47.7, 50.0, 48.2, 46.4, 50.0, 56.9, 50.2, 45.3, 47.8, 50.0, 50.1]


def at(rendered: float, scanned: float) -> dict[Source, Treatment]:
    """The built-in policies at these strengths."""
    return {
        Source.RENDERED: Treatment(BUILT_IN["rendered"], rendered),
        Source.SCANNED: Treatment(BUILT_IN["scanned"], scanned),
    }


FULL = at(1.0, 1.0)


@pytest.fixture
def batch(glyph: Glyph) -> tuple[Glyph, Glyph]:
    return np.stack([glyph] * 24), np.arange(24, dtype=np.uint8) % 2


def test_strength_zero_is_the_same_bits_in_new_memory(batch: tuple[Glyph, Glyph]) -> None:
    images, sources = batch
    found = augment_batch(images, sources, at(0.0, 0.0), seed=1, epoch=0, positions=np.arange(24))
    np.testing.assert_array_equal(found, images)
    assert not np.shares_memory(found, images)


def test_each_source_has_its_own_strength(batch: tuple[Glyph, Glyph]) -> None:
    images, sources = batch
    found = augment_batch(images, sources, at(1.0, 0.0), seed=1, epoch=0, positions=np.arange(24))
    same = (found == images).all(axis=(1, 2))
    np.testing.assert_array_equal(same, sources == Source.SCANNED)


def test_a_picture_does_not_depend_on_the_batching(batch: tuple[Glyph, Glyph]) -> None:
    images, sources = batch
    positions = np.arange(100, 124)
    whole = augment_batch(images, sources, FULL, seed=7, epoch=3, positions=positions)
    order = np.random.default_rng(0).permutation(24)
    for part in (order[:5], order[5:6], order[6:]):
        cut = augment_batch(images[part], sources[part], FULL, seed=7, epoch=3, positions=positions[part])
        np.testing.assert_array_equal(cut, whole[part])


def test_seed_epoch_and_position_each_change_the_picture(batch: tuple[Glyph, Glyph]) -> None:
    images, sources = batch[0], np.zeros(24, dtype=np.uint8)
    positions = np.arange(24)
    first = augment_batch(images, sources, FULL, seed=7, epoch=3, positions=positions)
    for seed, epoch, moved in [(8, 3, 0), (7, 4, 0), (3, 7, 0), (7, 3, 24)]:
        other = augment_batch(images, sources, FULL, seed=seed, epoch=epoch, positions=positions + moved)
        assert not (first == other).all(axis=(1, 2)).any()
    assert len(np.unique(first, axis=0)) == 24


def test_the_pictures_of_today_are_those_of_tomorrow(batch: tuple[Glyph, Glyph]) -> None:
    # If this fails, past runs cannot be reproduced: say so in CHANGELOG.md before changing the numbers.
    images, sources = batch
    found = augment_batch(images, sources, at(0.5, 0.5), seed=1, epoch=2, positions=np.arange(24))
    np.testing.assert_allclose(found.mean(axis=(1, 2)), EXPECTED_MEANS, atol=0.2)  # processors differ in the last bits


def test_the_memory_map_stays_as_it_was(batch: tuple[Glyph, Glyph]) -> None:
    images, sources = batch
    images.setflags(write=False)
    augment_batch(images, sources, FULL, seed=1, epoch=0, positions=np.arange(24))


def test_a_source_without_a_treatment_is_an_error(batch: tuple[Glyph, Glyph]) -> None:
    rendered = {Source.RENDERED: Treatment(BUILT_IN["rendered"], 1.0)}
    with pytest.raises(DataError, match="every source of the batch must have a treatment, but SCANNED has none"):
        augment_batch(*batch, rendered, seed=1, epoch=0, positions=np.arange(24))


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_a_strength_beyond_its_bounds_is_an_error(strength: float) -> None:
    with pytest.raises(DataError, match=r"0 <= strength <= 1 must hold, but got"):
        Treatment(BUILT_IN["rendered"], strength)


@pytest.mark.parametrize("source", ["rendered", "scanned"])
def test_sheet_is_a_page_with_a_row_per_effect(source: str, glyph: Glyph) -> None:
    policy = BUILT_IN[source]
    sheet = policy_sheet(glyph, policy, source)
    np.testing.assert_array_equal(sheet, policy_sheet(glyph, policy, source))
    rows = (len(sheet) - 24) // 76
    assert rows == 1 + len(policy.steps) + 4
    cells = sheet[24:, 190:].reshape(rows, 76, 5, 76)
    assert all(len(np.unique(cells[row, :72, :, :72], axis=1)) > 1 for row in range(rows))
