"""What the exported file says of every validation and test image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.export.scorer import Scorer, ValidationLogits, corpus_chunks
from ocr_sweep.metrics import beats_neighbours, confidence_and_nll, fit_temperature
from ocr_sweep.store import CorpusView, Split

_ALWAYS = ("index", "set_id", "label", "top5", "prob5")
_SINCE = ("confidence", "nll", "beats", "temperature")  # what files of former versions lack


@dataclass(frozen=True)
class Predictions:
    """One row per validation and test image, in the order of the corpus."""

    index: NDArray[np.int64]  # (N,) image number in the corpus
    set_id: NDArray[np.int16]  # (N,) named set
    label: NDArray[np.int64]  # (N,) true class
    top5: NDArray[np.int64]  # (N, 5) classes, most probable first; padded with -1 below five classes
    prob5: NDArray[np.float32]  # (N, 5) their softmax probabilities

    confidence: NDArray[np.float32] | None = None  # (N,) the largest of softmax(z / T)
    nll: NDArray[np.float32] | None = None  # (N,) -log softmax(z / T) of the true class
    beats: NDArray[np.int8] | None = None  # (N,) whether the true class beats all that look like it; -1: nothing does
    temperature: NDArray[np.float64] | None = None  # () T, fitted on validation

    @classmethod
    def of(
        cls,
        scorer: Scorer,
        view: CorpusView,
        neighbours: NDArray[np.integer] | None = None,
        validation: ValidationLogits | None = None,
    ) -> Predictions:
        """Run the exported file over validation and test.

        Args:
            neighbours: (K, k) the classes that look most like each class, -1 where there are fewer; None: not known.
            validation: of this file, where somebody has asked for it before; None: nobody has.
        """
        index = np.concatenate([view.indices("val"), view.indices("test")])
        validation = validation or ValidationLogits(scorer, view)
        chosen, logits = validation.sample()
        temperature = fit_temperature(logits, view.class_ids[chosen])
        near = np.full((view.num_classes, 1), -1) if neighbours is None else neighbours
        parts = []
        for chosen, logits in chain(validation.chunks(), corpus_chunks(scorer, view, view.indices("test"))):
            true = view.class_ids[chosen]
            judged = confidence_and_nll(logits, true, temperature)
            parts.append((*_top5(logits), *judged, beats_neighbours(logits, true, near)))
        top5, prob5, confidence, nll, beats = (np.concatenate(column) for column in zip(*parts, strict=True))
        return cls(
            index=index,
            set_id=np.asarray(view.rows["set_id"][index]),
            label=view.class_ids[index],
            top5=top5,
            prob5=prob5,
            confidence=confidence,
            nll=nll,
            beats=beats,
            temperature=np.asarray(temperature),
        )

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Read what `to_bytes` gave, in this version or a former one."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in (*_ALWAYS, *_SINCE) if name in _ALWAYS or name in arrays})

    def to_bytes(self) -> bytes:
        """The arrays as one .npz; equal predictions give equal bytes."""
        buffer = io.BytesIO()
        arrays = {name: getattr(self, name) for name in (*_ALWAYS, *_SINCE)}
        np.savez(buffer, **{name: array for name, array in arrays.items() if array is not None})
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
