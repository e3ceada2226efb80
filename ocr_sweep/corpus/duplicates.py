"""Copies of one picture: found by a perceptual hash, confirmed by correlation, without comparing everything with everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

RADIUS = 6
"""Two hashes are near if at most so many of their 64 bits differ. Bits change in pairs, one over the median and one under
it: of 1,500 altered copies of handwriting 4 differed in six bits and none in more, so a radius of 4 would lose them."""

CORRELATION = 0.96
"""Near hashes are one picture if the blurred pictures correlate at least so well: simple glyphs hash alike."""

_SIDE = 32  # pixels of the pictures that are compared
_SPREAD = 7.0  # pixels of standard deviation that their ink is scaled to
_LEAST_SPREAD = 0.08  # of the side: a dot is not blown up beyond this
_SIGMA = 0.6  # pixels of blur before pictures are correlated
_BANDS = 8  # with RADIUS differing bits, at least two of eight bands are equal
_CHUNK = 4096  # pictures or pairs at a time

Pairs = NDArray[np.int64]  # (P, 2) image numbers, the smaller first, ascending


def near_duplicates(images: NDArray[np.uint8]) -> Pairs:
    """Return the pairs of images that show the same picture: scaled, shifted, re-encoded, brighter or with another speck.

    Args:
        images: (N, S, S), 0 paper, 255 full ink; may be memory-mapped.

    Returns:
        (P, 2) image numbers, the smaller first, in ascending order.
    """
    looks = aligned(images)
    pairs = near_hashes(perceptual_hashes(looks))
    return pairs[_correlations(looks, pairs) >= CORRELATION]


def duplicate_groups(images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups of images that show the same picture of the same class; most images are alone.

    Made for `splits.unite`, together with writers and pages.

    Returns:
        (N,) group of each image, numbered in order of first appearance.
    """
    pairs = near_duplicates(images)
    return joined(pairs[class_ids[pairs[:, 0]] == class_ids[pairs[:, 1]]], len(images))


def joined(pairs: Pairs, count: int) -> NDArray[np.int64]:
    """(count,) number of the connected group of each item, in order of first appearance."""
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, found = connected_components(links, directed=False)
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return np.asarray(rank[inverse], dtype=np.int64)


def aligned(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale and shift every picture so that its ink has one centre and one spread, whatever box it was cropped to.

    A speck or a lost stroke end changes the crop of a picture a lot, and the moments of its ink hardly.

    Args:
        images: (N, S, S), 0 paper, 255 full ink.

    Returns:
        (N, 32, 32).
    """
    parts = [_aligned(np.asarray(images[i : i + _CHUNK])) for i in range(0, len(images), _CHUNK)]
    return np.concatenate(parts) if parts else np.empty((0, _SIDE, _SIDE), np.uint8)


def _aligned(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = images.shape[1]
    x = np.arange(side, dtype=np.int64)
    columns, rows = images.sum(axis=1, dtype=np.int64), images.sum(axis=2, dtype=np.int64)  # (n, S): whole numbers stay exact
    total = np.maximum(columns.sum(axis=1), 1)
    centres = np.stack([columns @ x / total, rows @ x / total], axis=1)
    variance = (columns @ x**2 + rows @ x**2) / total - (centres**2).sum(axis=1)
    spread = np.maximum(np.sqrt(np.maximum(variance, 0.0) / 2), _LEAST_SPREAD * side)
    return np.stack([_moved(*one) for one in zip(images, centres, _SPREAD / spread, strict=True)])


def _moved(image: NDArray[np.uint8], centre: NDArray[np.float64], scale: float) -> NDArray[np.uint8]:
    smooth = cv2.GaussianBlur(image, (0, 0), 0.5 / scale) if scale < 1 else image
    shift = (_SIDE - 1) / 2 - scale * centre
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    return np.asarray(cv2.warpAffine(smooth, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def perceptual_hashes(looks: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(N,) 64 bits each: which of the 8 x 8 lowest frequencies of the cosine transform exceed their median.

    The transform is computed in whole numbers, so that every machine gets the same bits.

    Args:
        looks: (N, 32, 32), see `aligned`.
    """
    k, x = np.arange(8)[:, None], np.arange(_SIDE)[None, :]
    basis = np.rint(1024 * np.cos(np.pi * (2 * x + 1) * k / (2 * _SIDE))).astype(np.int64)  # (8, 32)
    hashes = np.empty(len(looks), np.uint64)
    for i in range(0, len(looks), _CHUNK):
        part = basis @ looks[i : i + _CHUNK].astype(np.int64) @ basis.T  # (n, 8, 8)
        waves = part.reshape(len(part), 64)
        bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True)  # the mean gray says nothing of the shape
        hashes[i : i + _CHUNK] = np.packbits(bits, axis=1).view(">u8")[:, 0]
    return hashes


def near_hashes(hashes: NDArray[np.uint64]) -> Pairs:
    """Return all pairs whose hashes differ in at most `RADIUS` bits.

    Such a pair agrees in two whole bands out of eight, so only images with two equal bands are compared.

    References:
        Manku, Jain, Das Sarma: Detecting near-duplicates for web crawling, WWW 2007 (the tables of permuted bands).
    """
    edges = np.linspace(0, 64, _BANDS + 1).astype(int)
    bands = [((1 << int(high)) - (1 << int(low))) for low, high in pairwise(edges)]
    found = [pairs for a, b in combinations(bands, 2) for pairs in _near_in_table(hashes, np.uint64(a | b))]
    if not found:
        return np.empty((0, 2), np.int64)
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _near_in_table(hashes: NDArray[np.uint64], mask: np.uint64) -> Iterator[Pairs]:
    """Pairs within the radius among the images that agree under `mask`: first with the next in order, then the one after."""
    keys = hashes & mask
    order = np.argsort(keys, kind="stable").astype(np.int64)
    keys = keys[order]
    live: NDArray[np.int64] = np.arange(len(order), dtype=np.int64)
    gap = 1
    while True:
        live = live[live + gap < len(order)]
        live = live[keys[live] == keys[live + gap]]
        if not len(live):
            return
        pairs = np.stack([order[live], order[live + gap]], axis=1)
        yield pairs[np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]) <= RADIUS]
        gap += 1


def _correlations(looks: NDArray[np.uint8], pairs: Pairs) -> NDArray[np.float64]:
    """(P,) correlation of the blurred pictures of each pair."""
    places, inverse = np.unique(pairs, return_inverse=True)
    blurred = [cv2.GaussianBlur(looks[i], (0, 0), _SIGMA).ravel() for i in places]
    pictures = np.stack(blurred) if blurred else np.empty((0, _SIDE**2), np.uint8)
    ends = inverse.reshape(pairs.shape)
    parts = [
        _correlate(pictures[ends[i : i + _CHUNK, 0]], pictures[ends[i : i + _CHUNK, 1]]) for i in range(0, len(ends), _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _correlate(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pearson correlation of rows; its sums are whole numbers below 2^53, hence exact in any order."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    n = x.shape[1]
    covariance = n * (x * y).sum(axis=1) - x.sum(axis=1) * y.sum(axis=1)
    spread = [n * (v * v).sum(axis=1) - v.sum(axis=1) ** 2 for v in (x, y)]
    return np.asarray(covariance / np.maximum(np.sqrt(spread[0] * spread[1]), 1.0))


def members(groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The items of every group that has two or more, in order."""
    order = np.argsort(groups, kind="stable")
    _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    return [order[s : s + n] for s, n in zip(starts, counts, strict=True) if n > 1]


def copy_keys(images: NDArray[np.uint8], chars: Sequence[str]) -> list[str]:
    """N keys, equal for images that show the same picture of the same character: a column for `splits.unite`."""
    class_ids = np.array([ord(char) for char in chars], dtype=np.int64)
    return [f"copy {number}" for number in duplicate_groups(images, class_ids).tolist()]
