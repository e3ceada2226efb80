"""Batches: which images an epoch draws, in what order, and what augmentation makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ocr_sweep.augment import augment_batch, treatments
from ocr_sweep.augment.batched import augment_tensor, resize, upload
from ocr_sweep.config.augment import AugmentConfig
from ocr_sweep.config.training import TrainingConfig
from ocr_sweep.errors import DataError
from ocr_sweep.store import CorpusView, Source, resized
from ocr_sweep.training.stored import StoredImages


@dataclass(frozen=True)
class Batch:
    """One training batch on its device; images are ink in [0, 1]."""

    images: Tensor  # (B, 1, S, S), augmented
    clean: Tensor  # (B, 1, S, S), as stored
    labels: Tensor  # (B,) class ids
    whole: Tensor | None = None  # (N,) class ids of the batch that these images are a part of; None: they are the batch
    devices: int = 1  # that share the whole batch

    def parts(self, count: int) -> list[Batch]:
        """Cut into `count` parts as equal as can be, or into fewer so that none has less than two images.

        Devices that share a batch cut their slices, which may differ by an image, into equally many parts.
        """
        whole = self.labels if self.whole is None else self.whole
        count = min(count, max(1, len(whole) // self.devices // 2))
        pieces = (tensor.tensor_split(count) for tensor in (self.images, self.clean, self.labels))
        return [Batch(images, clean, labels, whole, self.devices) for images, clean, labels in zip(*pieces, strict=True)]

    @property
    def share(self) -> float:
        """What the mean loss of these images weighs in that of the whole, where devices average what they have."""
        return 1.0 if self.whole is None else len(self.labels) * self.devices / len(self.whole)

    def with_pixels(self, images: Tensor, clean: Tensor) -> Batch:
        """The same with its images laid out anew."""
        return replace(self, images=images, clean=clean)


class Feed:
    """The training batches of a trial, each a function of (seed, epoch, batch number) alone.

    With `augment_on: batch`, images go to `device` as they are stored and are distorted there; a GPU that has room keeps the
    whole training set so. Batches lie on `device` in either case.

    Args:
        reserved: bytes of a GPU that the training will need beside the images.
        rank, devices: which of so many devices this is; it gets its slice of every batch (see `device_slice`).

    Raises:
        DataError: there are fewer than two training images, or a class has none (see `training_indices`).
    """

    def __init__(
        self,
        view: CorpusView,
        training: TrainingConfig,
        augment: AugmentConfig,
        *,
        seed: int,
        image_size: int,
        device: torch.device | None = None,
        reserved: int = 0,
        rank: int = 0,
        devices: int = 1,
    ) -> None:
        self._view = view
        self._rank, self._devices = rank, devices
        self._seed = seed
        self._image_size = image_size
        self._batch_size = training.batch_size
        self._train = training_indices(view, training.leave_out)
        if len(self._train) < 2:
            raise DataError(f"a training set must hold at least 2 images, but got {len(self._train)}")
        self._training = training
        self._num_draws = training.images_per_epoch or len(self._train)
        self._treatments = treatments(augment)
        self._device = device or torch.device("cpu")
        self._stored: StoredImages | None = None
        if training.augment_on == "batch":
            self._stored = StoredImages(view, self._train, self._device, reserved=reserved)
        self._order: tuple[int, NDArray[np.int64]] = (-1, self._train)

    @property
    def batches_per_epoch(self) -> int:
        """Batches in an epoch; a last batch of one image is left out, because batch norm cannot use it."""
        full, rest = divmod(self._num_draws, self._batch_size)
        return full + (rest > 1)

    def batch(self, epoch: int, number: int) -> Batch:
        """Return batch `number` (from 0) of an epoch (from 0)."""
        if self._order[0] != epoch:
            self._order = (epoch, self._train[self._draw(epoch)])
        first = number * self._batch_size
        drawn = self._order[1][first : first + self._batch_size]  # (N,)
        mine = device_slice(len(drawn), self._rank, self._devices)
        first, chosen = first + mine.start, drawn[mine]
        labels = upload(self._view.class_ids[chosen], self._device)
        images, clean = self._pixels(chosen, epoch, first)
        if self._devices == 1:
            return Batch(images, clean, labels)
        copies = self._devices if len(chosen) == len(drawn) else 1
        whole = upload(np.tile(self._view.class_ids[drawn], copies), self._device)
        return Batch(images, clean, labels, whole, self._devices)

    def _pixels(self, chosen: NDArray[np.int64], epoch: int, first: int) -> tuple[Tensor, Tensor]:
        """Images augmented and as stored, (B, 1, S, S) each; the first of them is at place `first` of the epoch."""
        if self._stored is not None:
            stored = self._stored.take(chosen)
            return self._moved(stored, chosen, epoch, first), self._clean(stored)
        clean = np.asarray(self._view.images[chosen])  # (B, S, S)
        sources, positions = self._view.rows["source"][chosen], np.arange(first, first + len(chosen))
        images = augment_batch(clean, sources, self._treatments, seed=self._seed, epoch=epoch, positions=positions)
        size, device = self._image_size, self._device
        return to_tensor(images, size, device), to_tensor(clean, size, device)

    def _moved(self, stored: Tensor, chosen: NDArray[np.int64], epoch: int, first: int) -> Tensor:
        """(B, S, S) stored images distorted where they lie, (B, 1, size, size)."""
        sources, positions = self._view.rows["source"][chosen], np.arange(first, first + len(chosen))
        moved = augment_tensor(stored, sources, self._treatments, seed=self._seed, epoch=epoch, positions=positions)
        return resize(moved.float(), self._image_size).unsqueeze(1).div_(255)

    def _clean(self, stored: Tensor) -> Tensor:
        """(B, S, S) stored images as they are, (B, 1, size, size); resized where they lie, within a grey level of OpenCV."""
        if stored.device.type == "cpu":
            return to_tensor(stored.numpy(), self._image_size)
        return resize(stored.float(), self._image_size).unsqueeze(1).div_(255)

    def _draw(self, epoch: int) -> NDArray[np.int64]:
        training = self._training
        progress = epoch / max(1, training.epochs - 1)
        weights = sampling_weights(self._view.class_ids[self._train], training.sampling, progress)
        return draw_order(len(self._train), self._num_draws, weights, seed=self._seed, epoch=epoch)


def device_slice(num_images: int, rank: int, devices: int) -> slice:
    """The images of a batch that device `rank` of several gets: slices as equal as can be, of two images at least.

    A batch too small for that, the last of an epoch, goes whole to every device: their average is still its gradient.
    """
    if num_images < 2 * devices:
        return slice(0, num_images)
    least, more = divmod(num_images, devices)
    start = rank * least + min(rank, more)
    return slice(start, start + least + (rank < more))


def training_indices(view: CorpusView, leave_out: Sequence[str]) -> NDArray[np.int64]:
    """Image numbers, ascending, of all training images but those of the sources that are left out.

    Raises:
        DataError: a class has no other training image.
    """
    train = view.indices("train")
    left_out = [Source[name.upper()] for name in leave_out]
    kept = train[~np.isin(view.rows["source"][train], left_out)]
    lost = np.setdiff1d(view.class_ids[train], view.class_ids[kept])
    if len(lost):
        named = ", ".join(f"{view.chars[i]} U+{ord(view.chars[i]):04X}" for i in lost[:10].tolist())
        raise DataError(
            f"`training.leave_out: [{', '.join(leave_out)}]` must leave every class a training image, but {len(lost)} of "
            f"{view.num_classes} have none then: {named}{' ...' if len(lost) > 10 else ''}; add a font or scans for them, take "
            "them out of the charset, or leave nothing out"
        )
    return kept


def sampling_weights(labels: NDArray[np.int64], sampling: str, progress: float = 0.0) -> NDArray[np.float64] | None:
    """Probability of each image under a sampling, (N,); None when each image comes equally often.

    A class of n images is drawn in proportion to n (instance), sqrt(n) (square_root) or 1 (class_balanced); progressive
    goes from the first to the last: (1 - t) instance + t class_balanced.

    Args:
        progress: t, from 0 in the first epoch to 1 in the last.

    References:
        Kang et al., Decoupling representation and classifier, arXiv:1910.09217.
    """
    if sampling == "instance":
        return None
    counts = np.bincount(labels)[labels].astype(np.float64)  # (N,)
    weights = counts**-0.5 if sampling == "square_root" else 1 / counts
    weights /= weights.sum()
    if sampling == "progressive":
        weights = (1 - progress) / len(labels) + progress * weights
    return np.asarray(weights / weights.sum())


def draw_order(
    num_images: int, num_draws: int, weights: NDArray[np.float64] | None, *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Places in the training set in the order of an epoch, (num_draws,).

    Without weights every image comes once before any comes twice; with weights images are drawn independently.
    """
    rng = np.random.default_rng((seed, epoch))
    if weights is not None:
        return rng.choice(num_images, size=num_draws, p=weights)
    rounds = -(-num_draws // num_images)
    return np.concatenate([rng.permutation(num_images) for _ in range(rounds)])[:num_draws]


def to_tensor(images: NDArray[np.uint8], size: int, device: torch.device | None = None) -> Tensor:
    """(B, S, S) ink of 0 to 255 as (B, 1, size, size) in [0, 1] on a device, resized where the sizes differ."""
    pixels = resized(images, size)
    tensor = torch.from_numpy(pixels) if device is None or device.type == "cpu" else upload(pixels, device)
    return tensor.unsqueeze(1).float().div_(255)
