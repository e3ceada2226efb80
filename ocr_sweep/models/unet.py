"""A U-Net that classifies from its bottleneck, and whose decoder restores the clean image while it trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ocr_sweep.models.output import Output


class UNet(nn.Module):
    """Encoder, head on the pooled bottleneck, and a decoder that exists only to shape the features.

    The logits do not depend on the decoder: in evaluation it does not run, and it is dropped at export.
    Input (B, 1, H, W) in [0, 1], H and W multiples of 2**depth; output (B, K) logits and, in training,
    (B, 1, H, W) logits of the restored ink.

    References:
        Ronneberger et al., U-Net, arXiv:1505.04597; Le et al., Supervised autoencoders, NeurIPS 2018.
    """

    def __init__(self, num_classes: int, *, base_channels: int, depth: int, dropout: float, decoder: bool) -> None:
        super().__init__()
        widths = [base_channels * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(_block(inside, outside) for inside, outside in zip([1, *widths], widths, strict=False))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1], num_classes))
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        self.restore: nn.Module | None = None
        if decoder:
            for coarse, fine in zip(widths[:0:-1], widths[-2::-1], strict=True):
                self.up.append(nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2))
                self.merge.append(_block(2 * fine, fine))
            self.restore = nn.Conv2d(widths[0], 1, kernel_size=1)

    def forward(self, images: Tensor) -> Output:
        """Classify (B, 1, H, W) images."""
        levels = [self.down[0](images)]
        for block in self.down[1:]:
            levels.append(block(nn.functional.max_pool2d(levels[-1], 2)))
        logits = self.head(levels[-1].mean(dim=(2, 3)))  # (B, K)
        if self.restore is None or not self.training:
            return Output(logits)
        x = levels.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), levels.pop()], dim=1))
        return Output(logits, self.restore(x))


def _block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
        nn.Conv2d(outside, outside, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )
