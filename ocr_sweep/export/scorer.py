"""The exported file at work: onnxruntime gives every number of record."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ocr_sweep.errors import IntegrityError
from ocr_sweep.export.onnx_file import INPUT
from ocr_sweep.pulse import beat
from ocr_sweep.store import CorpusView, resized

_BATCH = 256
_LATENCY_RUNS = 30


class Scorer:
    """An ONNX file, loaded.

    Raises:
        IntegrityError: it is no whole ONNX file of ours.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
            self.image_size = int(self._session.get_inputs()[0].shape[2])
            self.num_classes = int(self._session.get_outputs()[0].shape[1])
        except Exception as error:  # onnxruntime has a tree of its own, without a common root
            raise IntegrityError(f"{path} cannot be loaded by onnxruntime: {error}") from error

    def logits(self, images: NDArray[np.uint8], batch_size: int = _BATCH) -> NDArray[np.float32]:
        """Return (N, K) logits of (N, S, S) ink images of the network's size."""
        parts = [self._run(images[first : first + batch_size]) for first in range(0, len(images), batch_size)]
        return np.concatenate(parts) if parts else np.zeros((0, self.num_classes), np.float32)

    def corpus_logits(self, view: CorpusView, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (N, K) logits of images of a corpus, resized where the sizes differ."""
        parts = []
        for first in range(0, len(indices), _BATCH):
            parts.append(self._run(resized(view.images[indices[first : first + _BATCH]], self.image_size)))
        return np.concatenate(parts) if parts else np.zeros((0, self.num_classes), np.float32)

    def latency_ms(self) -> float:
        """Median time of one image, in milliseconds, warm."""
        blank = np.zeros((1, self.image_size, self.image_size), np.uint8)
        times = []
        for _ in range(_LATENCY_RUNS):
            began = time.perf_counter()
            self._run(blank)
            times.append(time.perf_counter() - began)
        return 1000 * statistics.median(times[_LATENCY_RUNS // 3 :])

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        beat()
        result: NDArray[np.float32] = self._session.run(None, {INPUT: images[:, None]})[0]
        return result
