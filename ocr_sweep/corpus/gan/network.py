"""The two networks: a U-Net that redraws a glyph in another style, and the critic that tells its drawings from true glyphs."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

STYLE_SIZE = 64  # numbers that stand for a style at the bottleneck
_WIDEST = 8  # times the base channels
_MAX_LEVELS = 7
_LEAK = 0.2


def num_levels(size: int) -> int:
    """Return how often a side of `size` pixels can be halved, at most 7 times."""
    return next((level for level in range(_MAX_LEVELS) if size % 2 ** (level + 1)), _MAX_LEVELS)


class Generator(nn.Module):
    """Redraws source glyphs in a style: a U-Net whose bottleneck is joined by the style's code.

    Input (B, 1, S, S) glyphs of the source face in [-1, 1], -1 paper and 1 ink, and (B,) numbers of styles; output
    (B, 1, S, S) in the same range. The codes of styles are fixed random vectors, so a style costs no parameter.

    References:
        Isola et al., Image-to-image translation with conditional adversarial networks, arXiv:1611.07004; the style code at
        the bottleneck is zi2zi's (github.com/kaonashi-tyc/zi2zi).
    """

    def __init__(self, num_styles: int, *, size: int, base_channels: int) -> None:
        super().__init__()
        levels = num_levels(size)
        widths = [base_channels * min(2**level, _WIDEST) for level in range(levels)]
        self.down = nn.ModuleList(
            _halve(inside, outside, norm=level > 0 and size >> (level + 1) > 1)
            for level, (inside, outside) in enumerate(zip([1, *widths], widths, strict=False))
        )
        inside = widths[-1] + STYLE_SIZE
        self.up = nn.ModuleList()
        for outside in widths[-2::-1]:
            self.up.append(_double(inside, outside))
            inside = 2 * outside  # joined by what the encoder saw at this size
        self.draw = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(inside, 1, 4, stride=2, padding=1), nn.Tanh())
        self.codes: Tensor
        self.register_buffer("codes", torch.randn(num_styles, STYLE_SIZE))

    def encode(self, glyphs: Tensor) -> list[Tensor]:
        """Return the features at every level; the last one is the glyph's content, (B, D, s, s)."""
        levels: list[Tensor] = []
        for down in self.down:
            levels.append(down(levels[-1] if levels else glyphs))
        return levels

    def forward(self, glyphs: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
        """Return the drawings (B, 1, S, S), and the content (B, D, s, s) that was read from the source glyphs."""
        levels = self.encode(glyphs)
        content = levels.pop()
        code = self.codes[styles][:, :, None, None].expand(-1, -1, *content.shape[2:])  # (B, STYLE_SIZE, s, s)
        x = torch.cat([content, code], dim=1)
        for up in self.up:
            x = torch.cat([up(x), levels.pop()], dim=1)
        return self.draw(x), content


class Critic(nn.Module):
    """Says of each patch of a (source glyph, drawing) pair whether the drawing is true, and which style it is.

    Input twice (B, 1, S, S); output (B, 1, S/8, S/8) logits of truth and (B, number of styles) logits of the style.
    """

    def __init__(self, num_styles: int, *, base_channels: int) -> None:
        super().__init__()
        widths = [2, base_channels, 2 * base_channels, 4 * base_channels]
        self.features = nn.Sequential(
            *(_halve(inside, outside, norm=inside > 2) for inside, outside in pairwise(widths)),
            nn.LeakyReLU(_LEAK),
        )
        self.truth = nn.Conv2d(widths[-1], 1, kernel_size=3, padding=1)
        self.style = nn.Linear(widths[-1], num_styles)

    def forward(self, glyphs: Tensor, drawings: Tensor) -> tuple[Tensor, Tensor]:
        """Judge drawings of source glyphs."""
        features = self.features(torch.cat([glyphs, drawings], dim=1))
        return self.truth(features), self.style(features.mean(dim=(2, 3)))


def _halve(inside: int, outside: int, *, norm: bool) -> nn.Sequential:
    first = [nn.LeakyReLU(_LEAK)] if inside > 2 else []  # the picture itself goes in as it is
    last = [nn.BatchNorm2d(outside)] if norm else []  # one value a channel is not normalised
    return nn.Sequential(*first, nn.Conv2d(inside, outside, 4, stride=2, padding=1, bias=not norm), *last)


def _double(inside: int, outside: int) -> nn.Sequential:
    layer = nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(nn.ReLU(), layer, nn.BatchNorm2d(outside))
