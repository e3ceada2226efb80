"""Philox against its published answers, and the independence of places; the hash of pixels on both devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from ocr_sweep.augment.batched import noise
from ocr_sweep.augment.chance import Stream, philox, pixel_bytes, pixel_words

ANSWERS = [  # counter, key, words: the known answers of Random123's philox4x32-10
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), ANSWERS)
def test_philox_gives_the_published_words(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    found = philox(np.array([counter, counter], dtype=np.uint64).T, key)
    assert found.T.tolist() == [list(words)] * 2


def test_a_number_belongs_to_its_place_and_purpose_alone() -> None:
    positions = np.array([5, 2**33, 9])
    stream, every = Stream(1, 2, positions), np.arange(3)
    first, second = stream.uniform([(0, every, 6), (7, every, 3)])
    assert first.shape == (3, 6) and second.shape == (3, 3)
    (alone,) = Stream(1, 2, positions[1:2]).uniform([(7, np.array([0]), 3)])
    np.testing.assert_array_equal(alone[0], second[1])
    others = [Stream(1, 3, positions), Stream(2, 2, positions), Stream(1, 2, positions + 1)]
    found = [first, second, *(stream.uniform([(0, every, 6)])[0] for stream in others)]
    assert len({x for part in found for x in part.ravel().tolist()}) == sum(part.size for part in found)


def test_numbers_are_uniform() -> None:
    (numbers,) = Stream(3, 1, np.arange(500)).uniform([(1, np.arange(500), 40)])
    assert stats.kstest(numbers.ravel(), "uniform").pvalue > 0.001


def test_pixels_have_the_same_chance_in_numpy_and_torch() -> None:
    keys = np.array([0.0, 1.0, 2.0**31, 2.0**32 - 1])
    found = noise.pixel_words(keys, torch.zeros(4, 33, 33)).numpy()
    np.testing.assert_array_equal(found, np.stack([pixel_words(33, key) for key in keys]).astype(np.int64))
    assert stats.kstest(found[3].ravel() / 2**32, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1]) < 0.1


def test_pixels_have_the_same_bytes_in_numpy_and_torch() -> None:
    keys = np.array([3.0, 2.0**32 - 2])
    found = noise.pixel_bytes(keys, torch.zeros(2, 45, 45)).numpy()
    np.testing.assert_array_equal(found, np.stack([pixel_bytes(45, key) for key in keys]))
    counts = np.bincount(pixel_bytes(256, 9.0).ravel(), minlength=256)
    assert stats.chisquare(counts).pvalue > 0.001
