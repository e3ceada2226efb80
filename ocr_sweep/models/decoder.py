"""The decoder that U-Net and DenseUNet share: it restores an image while the network trains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ocr_sweep.config.model import DenseUNetConfig, UNetConfig
from ocr_sweep.models.encoder import conv_block
from ocr_sweep.models.network import Network
from ocr_sweep.models.output import Output


class Decoder(nn.Module):
    """From a bottleneck back to the image, doubling the resolution at each stage.

    Args:
        bottleneck: its channels.
        widths: channels of each stage, finest first.
        skips: channels of the encoder's map that a stage sees beside the coarser one, finest first; 0: it sees none.

    References:
        Ronneberger et al., U-Net, arXiv:1505.04597.
    """

    def __init__(self, bottleneck: int, widths: Sequence[int], skips: Sequence[int]) -> None:
        super().__init__()
        self.skips = list(skips)
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        for width, skip in zip(reversed(widths), reversed(skips), strict=True):
            self.up.append(nn.ConvTranspose2d(bottleneck, width, kernel_size=2, stride=2))
            self.merge.append(conv_block(width + skip, width))
            bottleneck = width
        self.restore = nn.Conv2d(bottleneck, 1, kernel_size=1)

    def forward(self, maps: Sequence[Tensor | None], bottleneck: Tensor) -> Tensor:
        """Restore (B, 1, H, W) logits of ink.

        Args:
            maps: the encoder's maps by stage, finest first; those without a skip are not read.
            bottleneck: (B, C, h, w).
        """
        x = bottleneck
        for up, merge, skip, level in zip(self.up, self.merge, reversed(self.skips), reversed(maps), strict=True):
            x = up(x)
            if skip:
                assert level is not None
                x = torch.cat([x, level], dim=1)
            x = merge(x)
        restored: Tensor = self.restore(x)
        return restored


class RestoringNetwork(Network):
    """Encoder, head on the pooled bottleneck, and a decoder that exists only to shape the features.

    The logits do not depend on the decoder: in evaluation it does not run, and it is dropped at export. With a weight
    of 0 it is not built, because it would learn nothing.

    References:
        Le et al., Supervised autoencoders, NeurIPS 2018.
    """

    def __init__(self, config: UNetConfig | DenseUNetConfig, *, num_features: int, num_classes: int) -> None:
        super().__init__(config.head, num_features=num_features, num_classes=num_classes, dropout=config.dropout)
        self.decoder: Decoder | None = None

    def encode(self, images: Tensor) -> tuple[list[Tensor | None], Tensor]:
        """(B, 1, H, W) images as the maps of the decoder's stages, finest first, and the (B, D, h, w) bottleneck."""
        raise NotImplementedError

    def features(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) images as (B, D) features: the mean over the bottleneck."""
        return self.encode(images)[1].mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Output:
        """Classify (B, 1, H, W) images, and restore one while training."""
        maps, bottleneck = self.encode(images)
        logits = self.classify(bottleneck.mean(dim=(2, 3)))
        if self.decoder is None or not self.training:
            return Output(logits)
        return Output(logits, self.decoder(maps, bottleneck))


def kept_skips(config: UNetConfig | DenseUNetConfig, channels: Sequence[int]) -> list[int]:
    """The channels of the maps that a decoder sees, finest first; 0 where it sees none.

    To restore its own input a U-Net need only copy its finest maps, so the two finest skips are left out then.
    """
    if config.reconstruction_target != "input":
        return list(channels)
    finest = [stage for stage, count in enumerate(channels) if count][:2]
    return [0 if stage in finest else count for stage, count in enumerate(channels)]
