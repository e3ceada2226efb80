"""A DenseNet that classifies from its last block, and whose decoder restores an image while it trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ocr_sweep.config.model import DenseUNetConfig
from ocr_sweep.models.decoder import Decoder, RestoringNetwork, kept_skips

_BOTTLENECK = 4  # a layer's 1x1 convolution gives so many times its growth


class DenseUNet(RestoringNetwork):
    """Dense blocks under a head and the U-Net's decoder, whose finest stage has `growth` channels, doubled by each next.

    Input (B, 1, H, W) in [0, 1], H and W multiples of stem_stride * 2**(blocks - 1); output (B, K) logits and, in
    training, (B, 1, H, W) logits of the restored ink. With the defaults and 3 channels the encoder is DenseNet-121.
    Above the stem, where the encoder has no map, the decoder has no skip.

    References:
        Huang et al., DenseNet, arXiv:1608.06993; Li et al., H-DenseUNet, arXiv:1709.07330.
    """

    def __init__(self, config: DenseUNetConfig, num_classes: int) -> None:
        widths = _widths(config)
        super().__init__(config, num_features=widths[-1], num_classes=num_classes)
        self.channels = config.channels
        self.stem = _stem(config.channels, 2 * config.growth, stride=min(config.stem_stride, 2))
        self.pools = config.stem_stride == 4
        inputs = [2 * config.growth, *(width // 2 for width in widths)]
        self.blocks = nn.ModuleList(
            DenseBlock(inside, config.growth, layers) for inside, layers in zip(inputs, config.blocks, strict=False)
        )
        self.transitions = nn.ModuleList(_transition(width) for width in widths[:-1])
        self.last = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True))
        self.without_map = {1: 0, 2: 1, 4: 1}[config.stem_stride]  # stages above the stem
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        if config.restores:
            channels = [0] * self.without_map + [2 * config.growth] * self.pools + widths[:-1]
            stages = [config.growth * 2**stage for stage in range(len(channels))]
            self.decoder = Decoder(widths[-1], stages, kept_skips(config, channels))

    def encode(self, images: Tensor) -> tuple[list[Tensor | None], Tensor]:
        """(B, 1, H, W) images as the maps of the decoder's stages, finest first, and the (B, D, h, w) bottleneck."""
        x = self.stem(images.expand(-1, self.channels, -1, -1))
        maps: list[Tensor | None] = [None] * self.without_map
        if self.pools:
            maps.append(x)
            x = nn.functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        for block, transition in zip(self.blocks, self.transitions, strict=False):
            x = block(x)
            maps.append(x)
            x = transition(x)
        return maps, self.last(self.blocks[-1](x))


class DenseBlock(nn.ModuleList):
    """Layers each of which sees the maps of all before it: (B, inside, H, W) to (B, inside + layers * growth, H, W)."""

    def __init__(self, inside: int, growth: int, layers: int) -> None:
        super().__init__(_layer(inside + number * growth, growth) for number in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Append what each layer gives."""
        for layer in self:
            x = torch.cat([x, layer(x)], dim=1)
        return x


def _widths(config: DenseUNetConfig) -> list[int]:
    """Channels after each block; a transition halves them."""
    widths, inside = [], 2 * config.growth
    for layers in config.blocks:
        widths.append(inside + layers * config.growth)
        inside = widths[-1] // 2
    return widths


def _stem(channels: int, width: int, stride: int) -> nn.Sequential:
    side = 7 if stride > 1 else 3  # a 7x7 kernel only where the resolution is halved
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=side, stride=stride, padding=side // 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


def _layer(inside: int, growth: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(inside),
        nn.ReLU(inplace=True),
        nn.Conv2d(inside, _BOTTLENECK * growth, kernel_size=1, bias=False),
        nn.BatchNorm2d(_BOTTLENECK * growth),
        nn.ReLU(inplace=True),
        nn.Conv2d(_BOTTLENECK * growth, growth, kernel_size=3, padding=1, bias=False),
    )


def _transition(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width // 2, kernel_size=1, bias=False),
        nn.AvgPool2d(2),
    )
