"""Which scanned image goes to which split, and which faces are kept for the simulated scans."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.corpus import SplitShares
from ocr_sweep.corpus.fonts import Face

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


def assign_splits(
    groups: NDArray[np.int64], class_ids: NDArray[np.int64], shares: SplitShares, *, seed: int, must_train: set[int]
) -> NDArray[np.int64]:
    """Give every group a split, so that the shares hold for the source as a whole and, as well as can be, for each class.

    Large groups first, each to the split that lacks it most; equal ones in an order drawn from the seed.

    Args:
        groups: (N,) group of each image.
        class_ids: (N,) class of each image.
        must_train: classes that have no other training image: their first group goes to train if train has a share.

    Returns:
        (N,) index into `SPLITS`.
    """
    share = np.array([shares.train, shares.val, shares.test])
    classes, class_of = np.unique(class_ids, return_inverse=True)
    wanted = np.outer(share, np.bincount(class_of, minlength=len(classes))).astype(np.float64)  # (3, K) images
    given = np.zeros_like(wanted)
    lacking = {int(i) for i, c in enumerate(classes) if int(c) in must_train} if shares.train > 0 else set()
    split_of_group = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    for group, members in _in_order(groups, seed):
        held, counts = np.unique(class_of[members], return_counts=True)
        split = 0 if lacking & set(held.tolist()) else _neediest(wanted, given, held, counts, share)
        if split == 0:
            lacking -= set(held.tolist())
        given[split, held] += counts
        split_of_group[group] = split
    return split_of_group[groups]


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


def cap_training(
    class_ids: Sequence[int], sources: Sequence[int], names: Sequence[str], cap: int, *, seed: int
) -> NDArray[np.bool_]:
    """Choose at most `cap` images of each class, round-robin over the sources, in an order drawn from the seed.

    Args:
        class_ids, sources, names: of N training images; the names are unique.

    Returns:
        (N,) whether an image is kept.
    """
    drawn: dict[int, dict[int, list[tuple[bytes, int]]]] = defaultdict(lambda: defaultdict(list))
    for i, (class_id, source, name) in enumerate(zip(class_ids, sources, names, strict=True)):
        drawn[class_id][source].append((hashlib.sha256(f"{seed} {name!a}".encode()).digest(), i))
    kept = np.zeros(len(class_ids), dtype=bool)
    for by_source in drawn.values():
        turns = ((turn, source, i) for source, images in by_source.items() for turn, (_, i) in enumerate(sorted(images)))
        kept[[i for _, _, i in sorted(turns)[:cap]]] = True
    return kept


def hold_out(faces: Sequence[Face], num_classes: int, max_faces: int) -> tuple[list[Face], Face, bool]:
    """Part the faces into those for training and the one that simulated scans are drawn with.

    No face of the held-out face's file or family trains. A face is held out only if it covers `HELD_OUT_COVERAGE` of the
    charset and the others still draw every character that all draw together; of several the last one by coverage, so that
    the widest ones train. Where there is none, the widest face serves both.

    Args:
        faces: those of widest coverage first.

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
