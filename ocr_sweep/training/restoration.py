"""What a decoder costs: its weight at a step, and the image that it should restore."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ocr_sweep.config.model import DenseUNetConfig, ModelConfig, UNetConfig
from ocr_sweep.errors import DataError
from ocr_sweep.losses import reconstruction_loss, reconstruction_weight
from ocr_sweep.store import CorpusView, Source, resized
from ocr_sweep.training.feed import Batch


class Restoration:
    """The decoder's share of the loss.

    Raises:
        DataError: the target is the canonical glyph, and no class has one.
    """

    def __init__(self, config: ModelConfig, view: CorpusView, device: torch.device, *, image_size: int) -> None:
        self._config = config if isinstance(config, UNetConfig | DenseUNetConfig) and config.restores else None
        self._glyphs: CanonicalGlyphs | None = None
        if self._config is not None and self._config.reconstruction_target == "canonical":
            self._glyphs = CanonicalGlyphs(view, device, image_size)

    def __call__(self, restored: Tensor, batch: Batch, *, step: int, num_steps: int) -> Tensor:
        """The weighted loss of (B, 1, H, W) logits of ink for a batch on their device, a scalar."""
        assert self._config is not None, "a network without decoder restores nothing"
        weight = reconstruction_weight(self._config.reconstruction_weight, step, num_steps, fade=self._config.reconstruction_fade)
        target, known = self.target(batch)
        return weight * reconstruction_loss(restored, target, known, self._num_known(batch))

    def _num_known(self, batch: Batch) -> Tensor | None:
        """The known images of a whole batch that fall to a part of its size, so that parts add up to the whole; None: all."""
        if self._glyphs is None or batch.whole is None:
            return None
        return self._glyphs.known(batch.whole).sum().clamp(min=1) * (len(batch.labels) / len(batch.whole))

    def target(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What a batch should be restored to: (B, 1, H, W) ink in [0, 1], and (B,) whether it is known; None: all are."""
        if self._glyphs is not None:
            return self._glyphs(batch.labels)
        assert self._config is not None
        return (batch.images if self._config.reconstruction_target == "input" else batch.clean), None


class CanonicalGlyphs:
    """The glyph of each class: its first rendered training image, as the corpus has it, on a device.

    It is what a class looks like, whichever sources train: `training.leave_out` does not touch it.

    References:
        Wang et al., Learning canonical forms of glyphs, arXiv:1907.05577.
    """

    def __init__(self, view: CorpusView, device: torch.device, image_size: int) -> None:
        indices = view.glyph_indices  # a rendered image where the class has one
        known = (indices >= 0) & (view.rows["source"][indices] == Source.RENDERED)
        if not known.any():
            raise DataError(
                "`model.reconstruction_target: canonical` needs rendered training images, but no class of this corpus has one; "
                "add fonts to the corpus, or write `clean`"
            )
        table = np.zeros((view.num_classes, image_size, image_size), np.uint8)
        for class_id in np.flatnonzero(known):
            table[class_id] = resized(view.images[indices[class_id]][None], image_size)[0]
        self._table = torch.from_numpy(table).to(device)  # (K, S, S)
        self._known = torch.from_numpy(known).to(device)  # (K,)

    def __call__(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) class ids to (B, 1, S, S) ink in [0, 1], and (B,) whether the class has a glyph."""
        return self._table[labels].unsqueeze(1).float().div_(255), self.known(labels)

    def known(self, labels: Tensor) -> Tensor:
        """(B,) class ids to (B,) whether the class has a glyph."""
        return self._known[labels]
