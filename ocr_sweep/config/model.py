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
    reconstruction_weight: float = Field(ge=0.0, le=100.0)  # lambda of the reconstruction loss
    reconstruction_target: Literal["input", "clean", "canonical"] = "clean"  # canonical: the class's glyph in the first font
    reconstruction_fade: float = Field(default=0.2, ge=0.0, le=1.0)  # lambda declines to 0 over this last share of the steps


class UNetConfig(_Decoder):
    """A U-Net that classifies from its bottleneck; the decoder, if any, learns to restore an image."""

    kind: Literal["unet"]
    base_channels: int = Field(ge=4, le=128)  # channels of the first level; each level doubles them
    depth: int = Field(ge=2, le=5)  # levels below the first
    dropout: float = Field(ge=0.0, le=0.9)  # before the head, probability


class TimmConfig(_Backbone):
    """Any timm classifier, from scratch or from weights in a local file."""

    kind: Literal["timm"]
    name: str = Field(min_length=1)  # timm's name, e.g. efficientformerv2_s0
    dropout: float = Field(ge=0.0, le=0.9)  # timm's drop_rate
    weights: DataFile | None = None  # a state dict of the backbone, .safetensors; null: from scratch


ModelConfig = Annotated[UNetConfig | TimmConfig, Field(discriminator="kind")]
