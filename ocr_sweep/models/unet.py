"""A U-Net that classifies from its bottleneck, and whose decoder restores an image while it trains."""

from __future__ import annotations

from torch import Tensor

from ocr_sweep.config.model import UNetConfig
from ocr_sweep.models.decoder import Decoder, RestoringNetwork, kept_skips
from ocr_sweep.models.encoder import ConvEncoder


class UNet(RestoringNetwork):
    """A convolutional encoder under a head and a decoder.

    Input (B, 1, H, W) in [0, 1], H and W multiples of 2**depth; output (B, K) logits and, in training,
    (B, 1, H, W) logits of the restored ink.

    References:
        Ronneberger et al., U-Net, arXiv:1505.04597.
    """

    def __init__(self, config: UNetConfig, num_classes: int) -> None:
        widths = [config.base_channels * 2**level for level in range(config.depth + 1)]
        super().__init__(config, num_features=widths[-1], num_classes=num_classes)
        self.down = ConvEncoder(config.channels, widths)
        if config.restores:
            self.decoder = Decoder(widths[-1], widths[:-1], kept_skips(config, widths[:-1]))

    def encode(self, images: Tensor) -> tuple[list[Tensor | None], Tensor]:
        """(B, 1, H, W) images as (B, base * 2**i, H / 2**i, W / 2**i) maps, finest first, and the coarsest of them."""
        *maps, bottleneck = self.down(images)
        return maps, bottleneck
