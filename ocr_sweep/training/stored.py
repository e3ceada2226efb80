"""The training images as they are stored, on the device that will distort them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ocr_sweep.augment.batched import upload
from ocr_sweep.pulse import beat
from ocr_sweep.store import CorpusView

_SHARE = 0.3  # of the GPU's free memory that images may take, beyond what is predicted for the network
_CHUNK = 8192  # images that are copied at once


class StoredImages:
    """Batches of uint8 images on a device: from the device itself where all of them fit, uploaded one by one elsewhere.

    Args:
        train: (N,) image numbers of the training set, ascending.
        resident: whether the device keeps all of them from the start; None: a GPU does, if they take at most three tenths
            of what is free.
        reserved: bytes of the GPU that count as taken, because the training will need them.
    """

    def __init__(
        self,
        view: CorpusView,
        train: NDArray[np.int64],
        device: torch.device,
        *,
        resident: bool | None = None,
        reserved: int = 0,
    ) -> None:
        self._view = view
        self._train = train
        self._device = device
        side = view.images.shape[1]
        if resident is None:
            resident = device.type == "cuda" and fits(len(train) * side * side, torch.cuda.mem_get_info(device)[0] - reserved)
        self._resident = self._copied() if resident else None  # (N, S, S)

    def take(self, chosen: NDArray[np.int64]) -> Tensor:
        """(B, S, S) uint8 on the device, of image numbers (B,) of the training set."""
        if self._resident is None:
            return upload(self._view.images[chosen], self._device)
        places = np.searchsorted(self._train, chosen)
        return self._resident[upload(places, self._device)]

    def _copied(self) -> Tensor:
        resident = torch.empty((len(self._train), *self._view.images.shape[1:]), dtype=torch.uint8, device=self._device)
        for first in range(0, len(self._train), _CHUNK):
            beat()
            part = self._train[first : first + _CHUNK]
            resident[first : first + len(part)] = torch.from_numpy(self._view.images[part])
        return resident


def fits(num_bytes: int, free_bytes: int) -> bool:
    """Whether images of so many bytes leave a GPU's free memory to the network."""
    return num_bytes <= _SHARE * free_bytes
