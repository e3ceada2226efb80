"""Chance as a function of a place: any number can be drawn by itself, for a thousand images at once, and on any device.

Parameters come from Philox, which is counter-based; the noise of single pixels comes from an integer hash, because it must
be cheap and come out the same in numpy and in torch.

References:
    Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, SC 2011 (Philox4x32-10).
    Wellons: Prospecting for hash functions, 2018 (the constants of the hash).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

WORD = 2**32
_LOW = np.uint64(WORD - 1)
_SHIFT = np.uint64(32)
_FACTOR_0, _FACTOR_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
HASH_SHIFTS = (16, 15, 16)
HASH_FACTORS = (0x7FEB352D, 0x846CA68B)


def philox(counters: NDArray[np.uint64], keys: tuple[int, int]) -> NDArray[np.uint64]:
    """Four random words for each counter.

    Args:
        counters: (4, N), each below 2**32.
        keys: both below 2**32.

    Returns:
        (4, N), each below 2**32.
    """
    first, second, third, fourth = counters
    for i in range(_ROUNDS):
        key_0, key_1 = (np.uint64((key + i * weyl) % WORD) for key, weyl in zip(keys, (_WEYL_0, _WEYL_1), strict=True))
        product_0, product_1 = first * _FACTOR_0, third * _FACTOR_1
        first, second = (product_1 >> _SHIFT) ^ second ^ key_0, product_1 & _LOW
        third, fourth = (product_0 >> _SHIFT) ^ fourth ^ key_1, product_0 & _LOW
    return np.stack([first, second, third, fourth])


@dataclass(frozen=True)
class Stream:
    """The random numbers of a batch of images; each (seed, epoch, position) has numbers of its own."""

    seed: int  # below 2**32
    epoch: int  # below 2**32
    positions: NDArray[np.int64]  # (B,) places in the epoch's sequence

    def uniform(self, wishes: Sequence[tuple[int, NDArray[np.int64], int]]) -> list[NDArray[np.float64]]:
        """Draw for several purposes at once.

        Args:
            wishes: of each purpose its number below 2**32, the places of its m images in the batch, and how many numbers
                each of these needs.

        Returns:
            Per purpose (m, so many) numbers in [0, 1), multiples of 2**-32.
        """
        counters = [self._counters(purpose, places, -(-many // 4)) for purpose, places, many in wishes]
        words = (
            philox(np.concatenate(counters, axis=1), (self.seed, self.epoch)) if counters else np.empty((4, 0), dtype=np.uint64)
        )
        found: list[NDArray[np.float64]] = []
        first = 0
        for (_, places, many), counter in zip(wishes, counters, strict=True):
            block = words[:, first : first + counter.shape[1]].T.reshape(len(places), -1)
            found.append(block[:, :many].astype(np.float64) / WORD)
            first += counter.shape[1]
        return found

    def _counters(self, purpose: int, places: NDArray[np.int64], blocks: int) -> NDArray[np.uint64]:
        position = np.repeat(self.positions[places].astype(np.uint64), blocks)
        counter = np.empty((4, len(position)), dtype=np.uint64)
        counter[0] = np.tile(np.arange(blocks, dtype=np.uint64), len(places))
        counter[1], counter[2], counter[3] = position & _LOW, position >> _SHIFT, purpose
        return counter


def pixel_words(size: int, key: float) -> NDArray[np.uint32]:
    """A random word for each pixel, (size, size), from a whole number below 2**32."""
    return hashed_words(size * size, key).reshape(size, size)


def pixel_bytes(size: int, key: float) -> NDArray[np.uint8]:
    """A random byte for each pixel, (size, size): the bytes of a quarter as many words, lowest first."""
    words = hashed_words(-(-size * size // 4), key)
    return words.astype("<u4", copy=False).view(np.uint8)[: size * size].reshape(size, size)


def hashed_words(count: int, key: float) -> NDArray[np.uint32]:
    """Random words by their places, (count,), from a whole number below 2**32."""
    return _hash(hashed_places(count) ^ np.uint32(key))


@lru_cache(maxsize=16)
def hashed_places(count: int) -> NDArray[np.uint32]:
    """What the hash knows places by, (count,)."""
    places = _hash(np.arange(count, dtype=np.uint32))
    places.setflags(write=False)
    return places


def _hash(words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Mix (...) in place."""
    first, second, third = (np.uint32(shift) for shift in HASH_SHIFTS)
    words ^= words >> first
    words *= np.uint32(HASH_FACTORS[0])
    words ^= words >> second
    words *= np.uint32(HASH_FACTORS[1])
    words ^= words >> third
    return words
