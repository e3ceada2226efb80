"""What a network says to images of a corpus."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ocr_sweep.pulse import beat
from ocr_sweep.store import CorpusView
from ocr_sweep.training.feed import to_tensor

_BATCH, _LEAST = 256, 8


@torch.inference_mode()
def predict_logits(
    model: nn.Module, view: CorpusView, indices: NDArray[np.int64], image_size: int, device: torch.device, parts: int = 1
) -> NDArray[np.float32]:
    """Return (N, K) logits of PyTorch for images of a corpus, in evaluation mode; the mode is put back after.

    Args:
        parts: that a training batch passes in: where memory is short for one, it is for the other.
    """
    size = max(_LEAST, _BATCH // parts)
    was_training = model.training
    model.eval()
    logits = []
    for first in range(0, len(indices), size):
        beat()
        images = to_tensor(view.images[indices[first : first + size]], image_size, device)
        logits.append(model(images.contiguous(memory_format=torch.channels_last)).logits.float().cpu().numpy())
    model.train(was_training)
    return np.concatenate(logits) if logits else np.zeros((0, view.num_classes), np.float32)
