"""The runtime that runs a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ocr_sweep.delivery.model_file import IMAGES, INK, LOGITS, PREPARED, ModelFile
from ocr_sweep.errors import IntegrityError

_ERRORS_ONLY = 3


def load_session(content: bytes, path: Path, *, threads: int, optimised: bool = True) -> onnxruntime.InferenceSession:
    """Load the bytes of a checked file.

    Args:
        path: named in errors.
        threads: that one call may use; 0: as many as there are cores.
        optimised: whether the runtime may rewrite the graph.

    Raises:
        IntegrityError: the runtime refuses them.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a tree of its own, without a common root
        raise IntegrityError(f"{path} cannot be loaded by onnxruntime: {_first_line(error)}") from error


class Network:
    """A file of the present version, loaded: pictures or squares in, logits out.

    Raises:
        IntegrityError: the runtime refuses it, or its outputs are not what its metadata promise.
    """

    def __init__(self, file: ModelFile, *, threads: int, optimised: bool = True) -> None:
        self._path = file.path
        self._session = load_session(file.content, file.path, threads=threads, optimised=optimised)
        self.image_size, self.stored_size = file.image_size, file.stored_size
        self.num_classes = len(file.charset)
        shapes = {output.name: list(output.shape)[1:] for output in self._session.get_outputs()}
        promised = {LOGITS: [self.num_classes], INK: [self.image_size] * 2}
        if shapes != promised:
            raise IntegrityError(f"{file.path} must give the outputs {promised} for each picture, but gives {shapes}")

    def of_pictures(self, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return logits (B, K) and the squares that were read (B, S, S), of pictures (B, H, W, C) of either polarity."""
        return self._run(pictures, prepared=False)

    def of_squares(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits (B, K) of squares of ink (B, S, S)."""
        return self._run(squares[..., None], prepared=True)[0]

    def _run(self, images: NDArray[np.uint8], prepared: bool) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        try:
            logits, ink = self._session.run([LOGITS, INK], {IMAGES: images, PREPARED: np.array(prepared)})
        except Exception as error:
            raise IntegrityError(f"{self._path} cannot be run on images {images.shape}: {_first_line(error)}") from error
        return logits, ink


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
