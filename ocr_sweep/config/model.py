"""What a network is: its backbone, its head, and what its decoder restores."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ocr_sweep.config.block import Strict
from ocr_sweep.config.data_file import DataFile


class LinearHead(Strict):
    """W x + b."""

    kind: Literal["linear"]


class LowRankHead(Strict):
    """A linear head whose matrix is a product of two: (D + K) r parameters in place of D K."""

    kind: Literal["low_rank"]
    rank: int = Field(ge=1, le=4096)  # r


class CosineHead(Strict):
    """The cosine between feature and class vector, times a scale that is learnt; no bias."""

    kind: Literal["cosine"]
    scale: float = Field(gt=0.0, le=1000.0)  # at the beginning


HeadConfig = Annotated[LinearHead | LowRankHead | CosineHead, Field(discriminator="kind")]


class _Backbone(Strict):
    channels: Literal[1, 3] = 1  # 3: the gray image three times, as networks that learnt from photographs want it
    head: HeadConfig = Field(default_factory=lambda: LinearHead(kind="linear"))


class _Decoder(_Backbone):
    decoder: bool  # false: encoder and head only
    reconstruction_weight: float = Field(ge=0.0, le=100.0)  # lambda of the reconstruction loss; 0: no decoder is built
    reconstruction_target: Literal["input", "clean", "canonical"] = "clean"  # what is restored:
    # input: the augmented image itself, without the two finest skips; clean: the image before augmentation;
    # canonical: the class's first rendered image, and nothing for classes that have none
    reconstruction_fade: float = Field(default=0.2, ge=0.0, le=1.0)  # lambda declines to 0 over this last share of the steps

    @property
    def restores(self) -> bool:
        """Whether there is a decoder that learns anything."""
        return self.decoder and self.reconstruction_weight > 0


class UNetConfig(_Decoder):
    """A U-Net that classifies from its bottleneck; the decoder, if any, learns to restore an image."""

    kind: Literal["unet"]
    base_channels: int = Field(ge=4, le=128)  # channels of the first level; each level doubles them
    depth: int = Field(ge=2, le=5)  # levels below the first
    dropout: float = Field(ge=0.0, le=0.9)  # before the head, probability


class DenseUNetConfig(_Decoder):
    """A DenseNet that classifies from its last block, under the same decoder as the U-Net."""

    kind: Literal["dense_unet"]
    growth: int = Field(default=32, ge=2, le=64)  # channels that a layer adds; the stem has twice as many
    blocks: list[Annotated[int, Field(ge=1, le=64)]] = Field(  # layers of each block; as given: DenseNet-121
        default_factory=lambda: [6, 12, 24, 16], min_length=2, max_length=5
    )
    stem_stride: Literal[1, 2, 4] = 4  # how often the stem halves the image, as a factor; 4: DenseNet's own, for photographs
    dropout: float = Field(ge=0.0, le=0.9)  # before the head, probability


class DynamicRouting(Strict):
    """Routing by agreement, in rounds."""

    kind: Literal["dynamic"]
    rounds: int = Field(default=3, ge=1, le=10)


class AttentionRouting(Strict):
    """Routing in one pass, by how well a capsule's vote agrees with all others."""

    kind: Literal["attention"]


RoutingConfig = Annotated[DynamicRouting | AttentionRouting, Field(discriminator="kind")]


class CapsuleConfig(Strict):
    """Capsules on a convolutional encoder; a class's logit is `scale` times the length of its capsule, plus a bias.

    It has no `head`: its class capsules are one.
    """

    kind: Literal["capsule"]
    channels: Literal[1, 3] = 1  # as in the other networks
    base_channels: int = Field(ge=4, le=128)  # of the encoder's first level; each level doubles them
    depth: int = Field(ge=1, le=5)  # levels below the first
    primary: int = Field(default=32, ge=1, le=4096)  # N, the first capsules
    primary_pose: int = Field(default=8, ge=1, le=64)  # numbers in each of them
    routing: RoutingConfig
    latent: int | None = Field(default=128, ge=1, le=4096)  # M, what they route to; null: one capsule a class, for few classes
    pose: int = Field(default=16, ge=1, le=64)  # numbers in a latent capsule and in that of a class
    scale: float = Field(default=30.0, gt=0.0, le=1000.0)  # logits lie within this of the bias
    dropout: float = Field(ge=0.0, le=0.9)  # of the numbers in the capsules that the classes see, probability


class TimmConfig(_Backbone):
    """Any timm classifier, from scratch or from weights in a local file."""

    kind: Literal["timm"]
    name: str = Field(min_length=1)  # timm's name, e.g. efficientformerv2_s0
    dropout: float = Field(ge=0.0, le=0.9)  # timm's drop_rate
    weights: DataFile | None = None  # timm's state dict as .safetensors, its head left out; null: from scratch


ModelConfig = Annotated[UNetConfig | DenseUNetConfig | CapsuleConfig | TimmConfig, Field(discriminator="kind")]
