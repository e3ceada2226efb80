"""The convolutional encoder of the U-Net and of the capsules."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class ConvEncoder(nn.ModuleList):
    """Two convolutions a level; each level after the first sees half of the resolution.

    References:
        Ronneberger et al., U-Net, arXiv:1505.04597.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        inputs = [channels, *widths]
        super().__init__(conv_block(inside, outside) for inside, outside in zip(inputs, widths, strict=False))
        self.channels = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 1, H, W) images as maps, finest first: (B, widths[i], H / 2**i, W / 2**i)."""
        first, *others = self
        levels: list[Tensor] = [first(images.expand(-1, self.channels, -1, -1))]
        for block in others:
            levels.append(block(nn.functional.max_pool2d(levels[-1], 2)))
        return levels


def conv_block(inside: int, outside: int) -> nn.Sequential:
    """Two 3x3 convolutions with batch norm, (B, inside, H, W) to (B, outside, H, W)."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
        nn.Conv2d(outside, outside, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )
