"""The exported file at work on stored squares: onnxruntime gives every number of record."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.delivery.model_file import ModelFile
from ocr_sweep.delivery.session import Network, load_session
from ocr_sweep.errors import IntegrityError
from ocr_sweep.pulse import beat
from ocr_sweep.store import CorpusView, resized

_BATCH = 256
_CHUNK = 2048  # images whose (., K) logits are held at once
_KEPT = 32_000_000  # logits of validation that may be kept, and that a temperature is fitted on
_LATENCY_RUNS = 30


class _Squares(Protocol):
    """What takes squares of ink (B, S, S) and gives logits (B, K)."""

    image_size: int
    num_classes: int

    def of_squares(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]: ...


class Scorer:
    """An ONNX file, loaded; of the present version or a former one.

    Args:
        source: the file's path, or the file where it has been read and checked already.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is no whole ONNX file of ours.
    """

    def __init__(self, source: Path | ModelFile, *, threads: int, optimised: bool = True) -> None:
        self._file = source if isinstance(source, ModelFile) else ModelFile.read_any(source)
        self._threads = threads
        self.pictures = None if self._file.former else Network(self._file, threads=threads, optimised=optimised)
        self._network: _Squares = self.pictures or _Former(self._file, threads, optimised)
        self.image_size, self.num_classes = self._network.image_size, self._network.num_classes

    def unoptimised(self) -> Scorer:
        """The same file, run as it is written: what onnxruntime's rewriting changes, shows."""
        return Scorer(self._file, threads=self._threads, optimised=False)

    def logits(self, images: NDArray[np.uint8], batch_size: int = _BATCH) -> NDArray[np.float32]:
        """Return (N, K) logits of (N, S, S) ink images of the network's size."""
        parts = []
        for first in range(0, len(images), batch_size):
            beat()
            parts.append(self._network.of_squares(images[first : first + batch_size]))
        return np.concatenate(parts) if parts else np.zeros((0, self.num_classes), np.float32)

    def corpus_logits(self, view: CorpusView, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (N, K) logits of images of a corpus, resized where the sizes differ."""
        parts = []
        for first in range(0, len(indices), _BATCH):
            parts.append(self.logits(resized(view.images[indices[first : first + _BATCH]], self.image_size)))
        return np.concatenate(parts) if parts else np.zeros((0, self.num_classes), np.float32)

    def latency_ms(self, batch_size: int = 1) -> float:
        """Median time of one batch of squares, in milliseconds, warm."""
        blank = np.zeros((batch_size, self.image_size, self.image_size), np.uint8)
        return _median_ms(lambda: self.logits(blank))

    def picture_latency_ms(self, picture: NDArray[np.uint8]) -> float | None:
        """Likewise of one picture (H, W) that the file prepares itself; None: a file of a former version prepares none."""
        network = self.pictures
        return None if network is None else _median_ms(lambda: network.of_pictures(picture[None, :, :, None]))


class ValidationLogits:
    """What a file says of validation, which its certificate and its predictions both ask for: run once, if it can be kept."""

    def __init__(self, scorer: Scorer, view: CorpusView) -> None:
        self._scorer, self._view, self._indices = scorer, view, view.indices("val")
        self._step = max(1, -(-len(self._indices) * view.num_classes // _KEPT))  # every so many images one can be kept
        self._kept: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []

    def chunks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Image numbers (N,) and their logits (N, K), in the order of the corpus."""
        if self._step > 1:
            return corpus_chunks(self._scorer, self._view, self._indices)
        self._kept = self._kept or list(corpus_chunks(self._scorer, self._view, self._indices))
        return iter(self._kept)

    def sample(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Image numbers and logits of as many as can be kept, from all over validation."""
        some = list(self.chunks() if self._step == 1 else corpus_chunks(self._scorer, self._view, self._indices[:: self._step]))
        return np.concatenate([chosen for chosen, _ in some]), np.concatenate([logits for _, logits in some])


def corpus_chunks(
    scorer: Scorer, view: CorpusView, indices: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield image numbers and their logits, few enough at a time for the logits of many classes; of no images, one empty pair."""
    for first in range(0, max(1, len(indices)), _CHUNK):
        chosen = indices[first : first + _CHUNK]
        yield chosen, scorer.corpus_logits(view, chosen)


def _median_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(_LATENCY_RUNS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[_LATENCY_RUNS // 3 :])


class _Former:
    """A file of version 1: its one input takes squares of ink (batch, 1, S, S)."""

    def __init__(self, file: ModelFile, threads: int, optimised: bool) -> None:
        self._session = load_session(file.content, file.path, threads=threads, optimised=optimised)
        try:
            self.image_size = int(self._session.get_inputs()[0].shape[2])
            self.num_classes = int(self._session.get_outputs()[0].shape[1])
        except (IndexError, TypeError, ValueError):
            raise IntegrityError(f"{file.path} must take squares of ink and give logits, but does not") from None

    def of_squares(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self._session.run(None, {self._session.get_inputs()[0].name: squares[:, None]})[0]
        return result
