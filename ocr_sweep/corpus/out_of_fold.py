"""What a small model says of each image when neither it nor its group took part in fitting the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

NEIGHBOURS = 10
"""k of the nearest-neighbour vote."""

TOP = 20
"""So many of an image's most probable classes are kept: N x K probabilities of a large charset fill no memory."""

_FOLDS = 5
_ENOUGH = 2  # images of its class that a model must have seen to judge an image
_SHRINKAGE = 0.2  # share of the round covariance in the pooled one
_DIRECTIONS = 128  # at most so many discriminant directions
_SAMPLE = 4000  # images on which the temperature is found
_TEMPERATURES = np.geomspace(0.5, 32.0, 37)
_ROWS = 1024  # images at a time

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class OutOfFold:
    """N images, T most probable classes of each, k nearest neighbours among the images of the other folds."""

    judged: NDArray[np.bool_]  # (N,) false: too few images of its class in the other folds
    log_own: Floats  # (N,) log probability of the label
    top_class: Ints  # (N, T) most probable first
    top_log: Floats  # (N, T) their log probabilities
    neighbours: Ints  # (N, k) labels, nearest first


@dataclass(frozen=True)
class _Fold:
    held: Ints  # images that are judged
    seen: NDArray[np.bool_]  # (K,) classes with enough images
    means: Floats  # (K, d)
    points: Floats  # (held, d)
    neighbours: Ints  # (held, k)


def out_of_fold(features: Floats, labels: Ints, groups: Ints, *, num_classes: int, seed: int) -> OutOfFold:
    """Fit shrunken linear discriminant analysis on four fifths of the groups, judge the last fifth, and so on round.

    The probabilities are those of equally frequent classes, softened by the one temperature that fits the labels best.

    Args:
        features: (N, D).
        labels: (N,) class of each image, right or wrong.
        groups: (N,) what may not be torn over folds.
        num_classes: K.
        seed: of the folds.
    """
    fold_of = assign_folds(groups, _FOLDS, seed=seed)
    folds = [_fold(features, labels, np.flatnonzero(fold_of == f), fold_of, num_classes) for f in range(_FOLDS)]
    folds = [fold for fold in folds if len(fold.held) and fold.seen.any()]
    temperature = _temperature(folds, labels, seed)
    width, count = min(TOP, num_classes), len(labels)
    found = OutOfFold(
        judged=np.zeros(count, bool),
        log_own=np.full(count, -np.inf, np.float32),
        top_class=np.zeros((count, width), np.int64),
        top_log=np.full((count, width), -np.inf, np.float32),
        neighbours=np.full((count, NEIGHBOURS), -1, np.int64),
    )
    for fold in folds:
        _judge(fold, labels, temperature, found)
    return found


def assign_folds(groups: Ints, folds: int, *, seed: int) -> Ints:
    """(N,) fold of each image; whole groups, in an order drawn from the seed and large ones first, to the smallest fold."""
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    drawn = np.random.default_rng(seed).permutation(len(names))
    order = drawn[np.argsort(-sizes[drawn], kind="stable")]
    fold_of, load = np.zeros(len(names), np.int64), np.zeros(folds, np.int64)
    for group in order:
        fold = int(load.argmin())
        fold_of[group] = fold
        load[fold] += sizes[group]
    return np.asarray(fold_of[inverse])


def _fold(features: Floats, labels: Ints, held: Ints, fold_of: Ints, num_classes: int) -> _Fold:
    rest = np.flatnonzero(~np.isin(np.arange(len(labels)), held))
    counts = np.bincount(labels[rest], minlength=num_classes)
    seen = counts >= _ENOUGH
    if not len(held) or not seen.any():
        empty = np.empty((0, 0), np.float32)
        return _Fold(held, np.zeros(num_classes, bool), empty, empty, np.empty((0, NEIGHBOURS), np.int64))
    rest = rest[seen[labels[rest]]]
    project, means = _discriminants(features[rest], labels[rest], seen)
    points, known = project(features[held]), project(features[rest])
    return _Fold(held, seen, means, points, _nearest(points, known, labels[rest]))


@dataclass(frozen=True)
class _Projection:
    centre: Floats  # (D,)
    matrix: Floats  # (D, d)

    def __call__(self, features: Floats) -> Floats:
        """(n, D) to (n, d)."""
        return np.asarray((features - self.centre) @ self.matrix, dtype=np.float32)


def _discriminants(features: Floats, labels: Ints, seen: NDArray[np.bool_]) -> tuple[_Projection, Floats]:
    """Directions in which the scatter within classes is round, those first that part the class means most."""
    means = np.zeros((len(seen), features.shape[1]))
    np.add.at(means, labels, features)
    means /= np.maximum(np.bincount(labels, minlength=len(seen)), 1)[:, None]
    inside = features - means[labels].astype(np.float32)
    scatter = (inside.T @ inside).astype(np.float64) / len(features)
    size = len(scatter)
    scatter = (1 - _SHRINKAGE) * scatter + (_SHRINKAGE * np.trace(scatter) / size + 1e-12) * np.eye(size)
    root = np.linalg.cholesky(scatter)  # (D, D), lower
    centre = means[seen].mean(axis=0)
    apart = solve_triangular(root, (means[seen] - centre).T, lower=True)  # (D, seen), the class means where scatter is round
    directions, _, _ = np.linalg.svd(apart, full_matrices=False)
    chosen = directions[:, : max(1, min(_DIRECTIONS, int(seen.sum()) - 1))]
    matrix = solve_triangular(root, chosen, lower=True, trans="T")  # (D, d)
    projection = _Projection(centre.astype(np.float32), matrix.astype(np.float32))
    return projection, ((means - centre) @ matrix).astype(np.float32)


def _nearest(points: Floats, known: Floats, labels: Ints) -> Ints:
    """(n, k) labels of the nearest known points; -1 where there are fewer than k."""
    found = np.full((len(points), NEIGHBOURS), -1, np.int64)
    k = min(NEIGHBOURS, len(known))
    lengths = (known**2).sum(axis=1)
    for i in range(0, len(points), _ROWS):
        distance = lengths - 2 * points[i : i + _ROWS] @ known.T  # up to a constant of the row
        near = np.argpartition(distance, k - 1, axis=1)[:, :k]
        order = np.take_along_axis(distance, near, axis=1).argsort(axis=1, kind="stable")
        found[i : i + _ROWS, :k] = labels[np.take_along_axis(near, order, axis=1)]
    return found


def _logits(fold: _Fold, rows: slice | Ints) -> Floats:
    """(n, K), minus infinity for classes that the model has not seen."""
    logits = fold.points[rows] @ fold.means.T - 0.5 * (fold.means**2).sum(axis=1)
    logits[:, ~fold.seen] = -np.inf
    return np.asarray(logits, dtype=np.float32)


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), dtype=np.float32)


def _temperature(folds: list[_Fold], labels: Ints, seed: int) -> float:
    """The temperature at which the labels of a sample are most probable."""
    rng = np.random.default_rng(seed)
    losses = np.zeros(len(_TEMPERATURES))
    for fold in folds:
        able = np.flatnonzero(fold.seen[labels[fold.held]])
        rows = np.sort(rng.choice(able, min(len(able), _SAMPLE // _FOLDS), replace=False))
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            logits, own = _logits(fold, part), labels[fold.held[part]]
            for t, temperature in enumerate(_TEMPERATURES):
                losses[t] -= _log_softmax(logits / np.float32(temperature))[np.arange(len(part)), own].sum()
    return float(_TEMPERATURES[losses.argmin()])


def _judge(fold: _Fold, labels: Ints, temperature: float, found: OutOfFold) -> None:
    """Write what the fold's model says of its held images into `found`."""
    width = found.top_class.shape[1]
    for start in range(0, len(fold.held), _ROWS):
        rows = slice(start, start + _ROWS)
        held = fold.held[rows]
        logs = _log_softmax(_logits(fold, rows) / np.float32(temperature))
        top = np.argpartition(-logs, width - 1, axis=1)[:, :width]
        order = np.argsort(-np.take_along_axis(logs, top, axis=1), axis=1, kind="stable")
        top = np.take_along_axis(top, order, axis=1)
        found.top_class[held] = top
        found.top_log[held] = np.take_along_axis(logs, top, axis=1)
        found.log_own[held] = logs[np.arange(len(held)), labels[held]]
        found.judged[held] = fold.seen[labels[held]]
        found.neighbours[held] = fold.neighbours[rows]
