"""What the exported file says of every validation and test image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.export.scorer import Scorer
from ocr_sweep.store import CorpusView, Split

_CHUNK = 2048


@dataclass(frozen=True)
class Predictions:
    """One row per validation and test image, in the order of the corpus."""

    index: NDArray[np.int64]  # (N,) image number in the corpus
    set_id: NDArray[np.int16]  # (N,) named set
    label: NDArray[np.int64]  # (N,) true class
    top5: NDArray[np.int64]  # (N, 5) classes, most probable first; padded with -1 below five classes
    prob5: NDArray[np.float32]  # (N, 5) their softmax probabilities

    @classmethod
    def of(cls, scorer: Scorer, view: CorpusView) -> Predictions:
        """Run the exported file over validation and test."""
        index = np.concatenate([view.indices("val"), view.indices("test")])
        parts = [_top5(scorer.corpus_logits(view, index[first : first + _CHUNK])) for first in range(0, len(index), _CHUNK)]
        top5, prob5 = (np.concatenate(column) for column in zip(*parts, strict=True))
        return cls(index, np.asarray(view.rows["set_id"][index]), view.class_ids[index], top5, prob5)

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Read what `to_bytes` gave."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in ("index", "set_id", "label", "top5", "prob5")})

    def to_bytes(self) -> bytes:
        """The arrays as one .npz; equal predictions give equal bytes."""
        buffer = io.BytesIO()
        np.savez(buffer, index=self.index, set_id=self.set_id, label=self.label, top5=self.top5, prob5=self.prob5)
        return buffer.getvalue()

    def of_set(self, name: str, view: CorpusView) -> NDArray[np.int64]:
        """The rows of a named set or a whole split, as the run that made them saw it: each fold has a validation of its own."""
        return np.flatnonzero(np.isin(self.set_id, view.set_ids(name)))

    def confusion(self, split: Split, view: CorpusView) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(labels, predicted) of a split, as the confusion picture wants them."""
        rows = self.of_set(split, view)
        return self.label[rows], self.top5[rows, 0]

    def errors(
        self, split: Split, view: CorpusView
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """(index, label, top5, prob5) of a split, as the error sheet wants them."""
        rows = self.of_set(split, view)
        return self.index[rows], self.label[rows], self.top5[rows], self.prob5[rows]


def _top5(logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(N, K) logits as the five best classes and their probabilities; ties go to the lower class."""
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = exponent / exponent.sum(axis=1, keepdims=True)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :5].astype(np.int64)
    best = np.take_along_axis(probability, order, axis=1)
    missing = 5 - order.shape[1]
    if missing > 0:
        order = np.pad(order, ((0, 0), (0, missing)), constant_values=-1)
        best = np.pad(best, ((0, 0), (0, missing)))
    return order, best
