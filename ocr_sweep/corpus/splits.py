"""Which scanned image goes to which split, and which faces are kept for the simulated scans."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.corpus import SplitShares
from ocr_sweep.corpus.fonts import Face
from ocr_sweep.errors import DataError

SPLITS = ("train", "val", "test")
HELD_OUT_COVERAGE = 0.5
"""A face is held out for simulated scans only if it draws at least this share of the charset."""

_BALANCE = 4.0  # weight of the whole source's shares against those of each class


def unite(*keys: Sequence[str]) -> NDArray[np.int64]:
    """Number the groups of N images; two images with an equal key in any of the lists are in one group.

    Args:
        keys: lists of N keys each, e.g. the writers and the hashes of the pixels.

    Returns:
        (N,) group numbers, in order of first appearance.
    """
    parent = list(range(len(keys[0])))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for column in keys:
        first: dict[str, int] = {}
        for i, key in enumerate(column):
            a, b = sorted((root(first.setdefault(key, i)), root(i)))
            parent[b] = a
    roots = [root(i) for i in range(len(parent))]
    numbers = {r: n for n, r in enumerate(dict.fromkeys(roots))}
    return np.array([numbers[r] for r in roots], dtype=np.int64)


def assign_parts(
    groups: NDArray[np.int64], class_ids: NDArray[np.int64], shares: Sequence[float], *, seed: int, must_learn: set[int]
) -> NDArray[np.int64]:
    """Give every group a part, so that the shares hold for the source as a whole and, as well as can be, for each class.

    Large groups first, each to the part that lacks it most; equal ones in an order drawn from the seed.

    Args:
        groups: (N,) group of each image.
        class_ids: (N,) class of each image.
        shares: of each part; they sum to 1.
        must_learn: classes whose first group goes to part 0, whatever its share.

    Returns:
        (N,) part of each image.
    """
    share = np.asarray(shares, dtype=np.float64)
    classes, class_of = np.unique(class_ids, return_inverse=True)
    wanted = np.outer(share, np.bincount(class_of, minlength=len(classes))).astype(np.float64)  # (P, K) images
    given = np.zeros_like(wanted)
    lacking = {int(i) for i, c in enumerate(classes) if int(c) in must_learn}
    part_of_group = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    for group, members in _in_order(groups, seed):
        held, counts = np.unique(class_of[members], return_counts=True)
        part = 0 if lacking & set(held.tolist()) else _neediest(wanted, given, held, counts, share)
        if part == 0:
            lacking -= set(held.tolist())
        given[part, held] += counts
        part_of_group[group] = part
    return part_of_group[groups]


def assign_splits(
    groups: NDArray[np.int64],
    class_ids: NDArray[np.int64],
    shares: SplitShares,
    *,
    folds: int | None,
    seed: int,
    must_train: set[int],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give every group a split and, where training and validation take turns, a fold.

    With folds, `shares.train + shares.val` is cut into so many equal folds; fold 0 validates unless somebody asks for
    another. What must train is in no fold, and never validates.

    Args:
        groups, class_ids: (N,), see `assign_parts`.
        must_train: classes that have no other training image, if this source trains at all.

    Returns:
        (N,) index into `SPLITS`, and (N,) fold, -1 for none.
    """
    must_learn = must_train if shares.train > 0 else set()
    if folds is None or shares.train == 0:
        parts = assign_parts(groups, class_ids, (shares.train, shares.val, shares.test), seed=seed, must_learn=must_learn)
        return parts, np.full(len(parts), -1, dtype=np.int64)
    each = (shares.train + shares.val) / folds
    parts = assign_parts(groups, class_ids, (0.0, *[each] * folds, shares.test), seed=seed, must_learn=must_learn)
    fold = np.where((parts >= 1) & (parts <= folds), parts - 1, -1)
    return np.select([parts == folds + 1, fold == 0], [2, 1], 0).astype(np.int64), fold


def _in_order(groups: NDArray[np.int64], seed: int) -> list[tuple[int, NDArray[np.int64]]]:
    order = np.argsort(groups, kind="stable")
    numbers, starts = np.unique(groups[order], return_index=True)
    members = np.split(order, starts[1:])
    drawn = np.random.default_rng(seed).permutation(len(numbers))
    return sorted(((int(numbers[i]), members[i]) for i in drawn), key=lambda item: -len(item[1]))  # sorting is stable


def _neediest(
    wanted: NDArray[np.float64],
    given: NDArray[np.float64],
    held: NDArray[np.int64],
    counts: NDArray[np.int64],
    share: NDArray[np.float64],
) -> int:
    open_splits = np.flatnonzero(share > 0)
    want, have = wanted[open_splits][:, held], given[open_splits][:, held]
    in_class = ((1 - have / want) * counts).sum(axis=1) / counts.sum()
    overall = 1 - given[open_splits].sum(axis=1) / wanted[open_splits].sum(axis=1)
    need = in_class + _BALANCE * overall
    return int(open_splits[np.lexsort((-share[open_splits], -need.round(9)))[0]])


def take_turns(class_ids: Sequence[int], sources: Sequence[int], names: Sequence[str], *, seed: int) -> NDArray[np.int64]:
    """Order the images of each class: its sources in turn, within a source as the seed draws them.

    A cap keeps the first so many of each class (`ocr_sweep.store.first_of_each_class`).

    Args:
        class_ids, sources, names: of N images; the names are unique.

    Returns:
        (N,) place of each image among those of its class, from 0.
    """
    drawn: dict[int, dict[int, list[tuple[bytes, int]]]] = defaultdict(lambda: defaultdict(list))
    for i, (class_id, source, name) in enumerate(zip(class_ids, sources, names, strict=True)):
        drawn[class_id][source].append((hashlib.sha256(f"{seed} {name!a}".encode()).digest(), i))
    place = np.zeros(len(class_ids), dtype=np.int64)
    for by_source in drawn.values():
        turns = ((turn, source, i) for source, images in by_source.items() for turn, (_, i) in enumerate(sorted(images)))
        order = [i for _, _, i in sorted(turns)]
        place[order] = np.arange(len(order))
    return place


def choose_pseudo_tail(candidates: Sequence[int], count: int, *, seed: int) -> tuple[set[int], set[int]]:
    """Draw the classes whose scans are hidden from training: half to tune by, half to report.

    Their scans are the only honest estimate of what a class without any real image costs (science: the pseudo-tail).

    Args:
        candidates: classes that have scans and another image to learn from.

    Returns:
        The classes for val and those for test; val gets one more when the count is odd.

    Raises:
        DataError: there are fewer candidates than `count`.
    """
    if count > len(candidates):
        raise DataError(
            f"`pseudo_tail: {count}` must not exceed the {len(candidates)} classes that have training scans and are drawn by a "
            "training font; lower it"
        )
    drawn = np.random.default_rng([seed, 0x7A11]).choice(np.sort(np.asarray(candidates, dtype=np.int64)), count, replace=False)
    half = (count + 1) // 2
    return set(drawn[:half].tolist()), set(drawn[half:].tolist())


def hold_out(faces: Sequence[Face], num_classes: int, max_faces: int) -> tuple[list[Face], Face, bool]:
    """Part the faces into those for training and the one that simulated scans are drawn with.

    No face of the held-out face's file or family trains. A face is held out only if it covers `HELD_OUT_COVERAGE` of the
    charset and the others still draw every character that all draw together; of several the last one by coverage, so that
    the widest ones train. Where there is none, the widest face serves both.

    Args:
        faces: in the order in which they are taken.

    Returns:
        The training faces, at most `max_faces`; the simulated one; whether it is shared with training.
    """
    everything = set().union(*(face.chars for face in faces))
    candidates: list[tuple[int, list[Face], Face]] = []
    for face in faces:
        others = [other for other in faces if other.family != face.family and other.sha256 != face.sha256][:max_faces]
        covered: set[str] = set().union(*(other.chars for other in others))
        if len(face.chars) >= HELD_OUT_COVERAGE * num_classes and covered == everything:
            candidates.append((len(face.chars), others, face))
    if not candidates:
        return list(faces[:max_faces]), faces[0], True
    widest = max(count for count, _, _ in candidates)
    _, training, held = next(candidate for candidate in reversed(candidates) if candidate[0] == widest)
    return training, held, False
