"""A capsule network that fits many classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from ocr_sweep.config.model import CapsuleConfig, RoutingConfig
from ocr_sweep.models.encoder import ConvEncoder
from ocr_sweep.models.network import Network
from ocr_sweep.models.routing import CapsuleLayer, squash


class CapsuleNet(Network):
    """Encoder, N primary capsules, M latent capsules by routing, and one capsule a class, whose length is its logit.

    Input (B, 1, H, W) in [0, 1], H and W multiples of 2**depth; output (B, K) logits = scale * length + bias.

    Capsules that route straight to K classes hold B N K d votes and N K p d weights: with the 1,152 primary capsules of
    the paper and 17,380 classes that is 1.3 GB an image and 2.6 billion weights. Two cures, both the default:

    - N is small, because a primary capsule is one for the whole image: its weights are shared over the positions and its
      pose is the mean over them. It costs what position says, as every network here pays that pools its last map.
    - They route to M latent capsules, and the pose of a class is a mixture of those with weights of its own. Votes cost
      B N M d, whatever K is, and a class M weights, less than a linear head's; it costs that classes no longer
      compete in the routing, only in the loss.

    `latent=None` routes straight to the classes. The loss is whatever the trial says, not the margin loss of the paper,
    whose K - 1 negatives would outweigh the one true class. There is no decoder: masked class capsules would need K d
    inputs. benchmarks/capsules.py has the memory and the time of each.

    References:
        Sabour et al., arXiv:1710.09829; Mazzia et al., Efficient-CapsNet, arXiv:2101.12491.
    """

    def __init__(self, config: CapsuleConfig, num_classes: int) -> None:
        primary = (config.primary, config.primary_pose)
        head: Callable[[int], nn.Module]
        widths = [config.base_channels * 2**level for level in range(config.depth + 1)]
        if config.latent is None:
            num_features = config.primary * config.primary_pose
            head = partial(_RoutedClasses, primary, pose=config.pose, routing=config.routing, scale=config.scale)
        else:
            num_features = config.latent * config.pose
            head = partial(ClassCapsules, config.latent, pose=config.pose, scale=config.scale)
        super().__init__(head, num_features=num_features, num_classes=num_classes, dropout=config.dropout)
        self.down = ConvEncoder(config.channels, widths)
        self.primary = PrimaryCapsules(widths[-1], *primary)
        self.latent: nn.Module = nn.Identity()
        if config.latent is not None:
            self.latent = CapsuleLayer(*primary, config.latent, config.pose, config.routing)

    def features(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) images as (B, D) features: the poses of the capsules that the classes see."""
        features: Tensor = self.latent(self.primary(self.down(images)[-1]))
        return features.flatten(1)


class PrimaryCapsules(nn.Module):
    """(B, C, h, w) maps as (B, N, p) poses, each the mean over all positions of a squashed pose there."""

    def __init__(self, channels: int, capsules: int, pose: int) -> None:
        super().__init__()
        self.shape = (capsules, pose)
        self.poses = nn.Conv2d(channels, capsules * pose, kernel_size=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Shared weights: a capsule is the same thing wherever it lies."""
        capsules, pose = self.shape
        poses = self.poses(maps).flatten(2).transpose(1, 2).unflatten(2, (capsules, pose))  # (B, hw, N, p)
        return squash(poses).mean(dim=1)


class ClassCapsules(nn.Module):
    """A class's capsule is a mixture of M latent capsules; (B, M d) to (B, K) logits = scale * length + bias.

    The length is that of the squashed mixture, in [0, 1). A class has M + 1 parameters.
    """

    def __init__(self, latent: int, num_classes: int, *, pose: int, scale: float) -> None:
        super().__init__()
        self.shape = (latent, pose)
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(num_classes, latent))  # (K, M)
        self.bias = nn.Parameter(torch.zeros(num_classes))
        nn.init.normal_(self.weight, std=0.5 * latent**-0.5)  # lengths begin near 0, so that the loss begins near ln K

    def forward(self, features: Tensor) -> Tensor:
        """(B, M d) to (B, K)."""
        latent = features.unflatten(1, self.shape).transpose(1, 2)  # (B, d, M)
        poses = nn.functional.linear(latent, self.weight)  # (B, d, K)
        square = poses.float().square().sum(dim=1)
        logits: Tensor = self.scale * square / (1 + square) + self.bias
        return logits


class _RoutedClasses(nn.Module):
    """Capsules that route straight to one capsule a class; (B, N p) to (B, K) logits = scale * length + bias."""

    def __init__(self, primary: tuple[int, int], num_classes: int, *, pose: int, routing: RoutingConfig, scale: float) -> None:
        super().__init__()
        self.shape = primary
        self.scale = scale
        self.classes = CapsuleLayer(*primary, num_classes, pose, routing)
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def forward(self, features: Tensor) -> Tensor:
        """(B, N p) to (B, K)."""
        square: Tensor = self.classes(features.unflatten(1, self.shape)).float().square().sum(dim=2)
        return self.scale * (square + 1e-12).sqrt() + self.bias
