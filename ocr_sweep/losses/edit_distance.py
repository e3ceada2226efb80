"""Levenshtein distances of many pairs of sequences at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_CHUNK = 65_536  # pairs at a time


def edit_distances(
    sequences: Sequence[NDArray[np.int32]], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(P,) insertions, deletions and replacements that lead from sequence `first` to sequence `second`.

    Args:
        sequences: of numbers from 0.
        first, second: (P,) places in `sequences`.
    """
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    distances = np.empty(len(first), np.int64)
    order = np.argsort(np.maximum(lengths[first], lengths[second]), kind="stable")  # pairs of about one length together
    for start in range(0, len(order), _CHUNK):
        chosen = order[start : start + _CHUNK]
        a, b = first[chosen], second[chosen]
        most = int(max(lengths[a].max(), lengths[b].max()))
        padded = np.stack([_padded(sequences, places, most) for places in (a, b)])
        distances[chosen] = _distances(padded[0], padded[1], lengths[a], lengths[b])
    return distances


def _padded(sequences: Sequence[NDArray[np.int32]], places: NDArray[np.int64], length: int) -> NDArray[np.int32]:
    """(length, P) the sequences, one a column."""
    used, inverse = np.unique(places, return_inverse=True)
    table = np.full((length, len(used)), -1, np.int32)
    for column, place in enumerate(used.tolist()):
        table[: len(sequences[place]), column] = sequences[place]
    return np.asarray(table[:, inverse])


def _distances(
    a: NDArray[np.int32], b: NDArray[np.int32], a_lengths: NDArray[np.int64], b_lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The table of Wagner and Fischer, row by row, for all pairs at once; each pair is read where its sequences end."""
    length, num_pairs = a.shape
    row = np.repeat(np.arange(length + 1, dtype=np.int16)[:, None], num_pairs, axis=1)  # (length + 1, P)
    pairs = np.arange(num_pairs)
    distances = np.where(a_lengths == 0, b_lengths, 0)
    for i in range(length):
        above, row = row, np.empty_like(row)
        row[0] = i + 1
        for j in range(length):
            replaced = above[j] + (a[i] != b[j])
            row[j + 1] = np.minimum(np.minimum(above[j + 1], row[j]) + 1, replaced)
        ends = a_lengths == i + 1
        distances[ends] = row[b_lengths[ends], pairs[ends]]
    return distances
