"""Copies of one picture: found by a perceptual hash, confirmed by correlation, without comparing everything with everything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ocr_sweep.corpus.looks import aligned, blurred, correlations, perceptual_hashes, without_strays

RADIUS = 8
"""Two hashes are near if at most so many of their 64 bits differ. Bits change in pairs, one over the median and one under
it: of 10,000 altered copies of handwriting, 2 that kept their strokes differ in eight bits and none in more."""

CORRELATION = 0.96
"""Near hashes are one picture if the blurred pictures correlate at least so well: simple glyphs hash alike."""

_BANDS = 11
_EQUAL = 3  # with RADIUS differing bits, at least so many of the bands are equal

Pairs = NDArray[np.int64]  # (P, 2) numbers, the smaller first, ascending


def same_pictures(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Number the groups of images that show the same picture, whatever they are called: scaled, shifted, re-encoded, brighter.

    Args:
        images: (N, S, S), 0 paper, 255 full ink; may be memory-mapped.

    Returns:
        (N,) group of each image, numbered in order of first appearance; most images are alone.
    """
    return joined(_links(aligned(images), np.zeros(len(images), np.int64)), len(images))


def duplicate_groups(
    images: NDArray[np.uint8], class_ids: NDArray[np.int64], compared: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Number the groups of images that show the same picture of the same class.

    Here a picture may have lost a dot that lies apart. Under two labels it may not: the dot may be what tells them apart.

    Args:
        images: (N, S, S), 0 paper, 255 full ink; may be memory-mapped.
        class_ids: (N,).
        compared: (N,) which of them are looked at; of the others only equal pixels are one picture. None: all.

    Returns:
        (N,) group of each image, numbered in order of first appearance; most images are alone.
    """
    near = np.arange(len(images), dtype=np.int64) if compared is None else np.flatnonzero(compared).astype(np.int64)
    places, cores = without_strays(images, near)
    owners = np.concatenate([near, places])  # a picture, and what is left of it
    looks = np.concatenate([aligned(images, near), aligned(cores)])
    links = owners[_links(looks, class_ids[owners])]
    equal = _equal_pixels(images, class_ids, np.setdiff1d(np.arange(len(images)), near))
    return joined(np.concatenate([links, equal]), len(images))


def _equal_pixels(images: NDArray[np.uint8], class_ids: NDArray[np.int64], places: NDArray[np.int64]) -> Pairs:
    """Pairs of each of these images with the first one that has its pixels and its class."""
    first: dict[tuple[int, bytes], int] = {}
    keys = ((int(class_ids[i]), hashlib.sha256(images[i].tobytes()).digest()) for i in places.tolist())
    pairs = [(first.setdefault(key, i), i) for key, i in zip(keys, places.tolist(), strict=True)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def joined(pairs: Pairs, count: int) -> NDArray[np.int64]:
    """(count,) number of the connected group of each item, in order of first appearance."""
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, found = connected_components(links, directed=False)
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return np.asarray(rank[inverse], dtype=np.int64)


def members(groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The items of every group that has two or more, in order."""
    order = np.argsort(groups, kind="stable")
    _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    return [order[s : s + n] for s, n in zip(starts, counts, strict=True) if n > 1]


def _links(looks: NDArray[np.uint8], keys: NDArray[np.int64]) -> Pairs:
    """Return pairs of equal pictures, just enough to join all that belong together.

    A picture is compared with those that nothing is joined to yet: a thousand prints of one thing cost a thousand
    comparisons and not half a million.

    Args:
        looks: (L, 32, 32), see `aligned`.
        keys: (L,); pictures with different keys are not compared.
    """
    if not len(looks):
        return np.empty((0, 2), np.int64)
    boxes, pictures = _Boxes(perceptual_hashes(looks), keys), blurred(looks)
    links: list[NDArray[np.int64]] = []
    for start in boxes.in_company().tolist():
        frontier = [start] if boxes.take(np.array([start])) else []
        while frontier:
            one = frontier.pop()
            others = boxes.near(one)
            found = others[correlations(pictures[one], pictures[others]) >= CORRELATION]
            boxes.take(found)
            links.append(np.stack([np.full_like(found, one), found], axis=1))
            frontier += found.tolist()
    return np.sort(np.concatenate([np.empty((0, 2), np.int64), *links]), axis=1)


class _Boxes:
    """The pictures that nothing is joined to yet: those of one key and one hash lie in one box."""

    def __init__(self, hashes: NDArray[np.uint64], keys: NDArray[np.int64]) -> None:
        order = np.lexsort((hashes, keys)).astype(np.int64)
        starts = np.ones(len(order), dtype=bool)
        starts[1:] = (hashes[order][1:] != hashes[order][:-1]) | (keys[order][1:] != keys[order][:-1])
        self._box = np.empty(len(order), np.int64)
        self._box[order] = np.cumsum(starts) - 1
        self._held = np.split(order, np.flatnonzero(starts)[1:])
        self._free = np.ones(len(order), dtype=bool)
        self._near = [[box] for box in range(len(self._held))]
        for one, other in near_hashes(hashes[order[starts]], keys[order[starts]]).tolist():
            self._near[one].append(other)
            self._near[other].append(one)

    def in_company(self) -> NDArray[np.int64]:
        """The pictures that there is any other to compare with, ascending."""
        company = [len(near) > 1 or len(held) > 1 for near, held in zip(self._near, self._held, strict=True)]
        return np.flatnonzero(np.array(company)[self._box]).astype(np.int64)

    def take(self, pictures: NDArray[np.int64]) -> bool:
        """Take pictures out; return whether they were all in."""
        were = bool(self._free[pictures].all())
        self._free[pictures] = False
        return were

    def near(self, picture: int) -> NDArray[np.int64]:
        """The pictures that are in and whose hashes are near to that of this one."""
        box = int(self._box[picture])
        self._near[box] = [other for other in self._near[box] if len(self._left(other))]
        return np.concatenate([np.empty(0, np.int64), *(self._held[other] for other in self._near[box])])

    def _left(self, box: int) -> NDArray[np.int64]:
        held = self._held[box]
        self._held[box] = held[self._free[held]]
        return self._held[box]


def near_hashes(hashes: NDArray[np.uint64], keys: NDArray[np.int64] | None = None) -> Pairs:
    """Return all pairs whose hashes differ in at most `RADIUS` bits.

    Such a pair agrees in three whole bands out of eleven, so only those with three equal bands are compared.

    Args:
        hashes: (N,).
        keys: (N,); only those with equal keys are compared.

    References:
        Manku, Jain, Das Sarma: Detecting near-duplicates for web crawling, WWW 2007 (the tables of permuted bands).
    """
    keys = np.zeros(len(hashes), np.int64) if keys is None else keys
    edges = np.linspace(0, 64, _BANDS + 1).astype(int)
    bands = [np.uint64((1 << int(high)) - (1 << int(low))) for low, high in pairwise(edges)]
    found = [np.empty((0, 2), np.int64)]
    for chosen in combinations(range(_BANDS), _EQUAL):
        mask = np.bitwise_or.reduce([bands[i] for i in chosen])
        earlier = [bands[i] for i in range(chosen[-1]) if i not in chosen]
        for pairs, differ in _near_in_table(hashes, keys, mask):
            once = np.ones(len(pairs), dtype=bool)
            for band in earlier:  # each pair comes from the table of the first bands in which it agrees
                once &= (differ & band) != 0
            found.append(pairs[once])
    pairs = np.sort(np.concatenate(found), axis=1)
    return np.asarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], dtype=np.int64)


def _near_in_table(
    hashes: NDArray[np.uint64], keys: NDArray[np.int64], mask: np.uint64
) -> Iterator[tuple[Pairs, NDArray[np.uint64]]]:
    """Pairs within the radius that agree under `mask`, and their bits that differ: first with the next in order, then farther."""
    masked = hashes & mask
    order = np.lexsort((masked, keys)).astype(np.int64)
    masked, keys = masked[order], keys[order]
    live: NDArray[np.int64] = np.arange(len(order), dtype=np.int64)
    gap = 1
    while True:
        live = live[live + gap < len(order)]
        live = live[(masked[live] == masked[live + gap]) & (keys[live] == keys[live + gap])]
        if not len(live):
            return
        pairs = np.stack([order[live], order[live + gap]], axis=1)
        differ = hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]
        near = np.bitwise_count(differ) <= RADIUS
        yield pairs[near], differ[near]
        gap += 1


def copy_keys(images: NDArray[np.uint8], chars: Sequence[str], compared: Sequence[bool]) -> list[str]:
    """N keys, equal for images that show the same picture of the same character: a column for `splits.unite`.

    Args:
        compared: which of them are looked at, see `duplicate_groups`.
    """
    class_ids = np.array([ord(char) for char in chars], dtype=np.int64)
    groups = duplicate_groups(images, class_ids, np.array(compared, dtype=bool))
    return [f"copy {number}" for number in groups.tolist()]
