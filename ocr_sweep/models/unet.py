"""A U-Net that classifies from its bottleneck, and whose decoder restores the clean image while it trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ocr_sweep.config.model import UNetConfig
from ocr_sweep.models.network import Network
from ocr_sweep.models.output import Output


class UNet(Network):
    """Encoder, head on the pooled bottleneck, and a decoder that exists only to shape the features.

    The logits do not depend on the decoder: in evaluation it does not run, and it is dropped at export.
    Input (B, 1, H, W) in [0, 1], H and W multiples of 2**depth; output (B, K) logits and, in training,
    (B, 1, H, W) logits of the restored ink.

    References:
        Ronneberger et al., U-Net, arXiv:1505.04597; Le et al., Supervised autoencoders, NeurIPS 2018.
    """

    def __init__(self, config: UNetConfig, num_classes: int) -> None:
        widths = [config.base_channels * 2**level for level in range(config.depth + 1)]
        super().__init__(config.head, num_features=widths[-1], num_classes=num_classes, dropout=config.dropout)
        inputs = [config.channels, *widths]
        self.channels = config.channels
        self.down = nn.ModuleList(_block(inside, outside) for inside, outside in zip(inputs, widths, strict=False))
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        self.restore: nn.Module | None = None
        if config.decoder:
            for coarse, fine in zip(widths[:0:-1], widths[-2::-1], strict=True):
                self.up.append(nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2))
                self.merge.append(_block(2 * fine, fine))
            self.restore = nn.Conv2d(widths[0], 1, kernel_size=1)

    def features(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) images as (B, D) features: the mean over the bottleneck."""
        return self._levels(images)[-1].mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Output:
        """Classify (B, 1, H, W) images, and restore one while training."""
        levels = self._levels(images)
        logits = self.classify(levels[-1].mean(dim=(2, 3)))
        if self.restore is None or not self.training:
            return Output(logits)
        x = levels.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), levels.pop()], dim=1))
        return Output(logits, self.restore(x))

    def _levels(self, images: Tensor) -> list[Tensor]:
        """The encoder's maps, finest first: (B, base * 2**i, H / 2**i, W / 2**i)."""
        levels = [self.down[0](images.expand(-1, self.channels, -1, -1))]
        for block in self.down[1:]:
            levels.append(block(nn.functional.max_pool2d(levels[-1], 2)))
        return levels


def _block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
        nn.Conv2d(outside, outside, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )
