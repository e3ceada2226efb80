"""What a network says to images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ocr_sweep.pulse import beat
from ocr_sweep.store import CorpusView
from ocr_sweep.training.feed import to_tensor

_BATCH, _LEAST = 256, 8


@torch.inference_mode()
def predict_logits(
    model: nn.Module, view: CorpusView, indices: NDArray[np.int64], image_size: int, parts: int = 1
) -> NDArray[np.float32]:
    """Return (N, K) logits of a network for images of a corpus, made where the network is.

    It answers in evaluation mode; the mode is put back after.

    Args:
        parts: that a training batch passes in: where memory is short for one, it is for the other.
    """
    if not len(indices):
        return np.zeros((0, view.num_classes), np.float32)
    size = max(_LEAST, _BATCH // parts)
    chunks = (indices[first : first + size] for first in range(0, len(indices), size))
    return _logits(model, (to_tensor(view.images[chunk], image_size, _device(model)) for chunk in chunks))


@torch.inference_mode()
def square_logits(model: nn.Module, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (N, K) logits of a network for squares of ink (N, S, S) of its size, N > 0, likewise."""
    chunks = (squares[first : first + _BATCH] for first in range(0, len(squares), _BATCH))
    return _logits(model, (to_tensor(chunk, squares.shape[1], _device(model)) for chunk in chunks))


def _logits(model: nn.Module, batches: Iterable[Tensor]) -> NDArray[np.float32]:
    was_training = model.training
    model.eval()
    logits = []
    for images in batches:
        beat()
        logits.append(model(images.contiguous(memory_format=torch.channels_last)).logits.float().cpu().numpy())
    model.train(was_training)
    return np.concatenate(logits)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
