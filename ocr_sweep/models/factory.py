"""From a model's configuration to the network."""

from __future__ import annotations

from ocr_sweep.config.model import ModelConfig, TimmConfig, UNetConfig
from ocr_sweep.errors import ConfigError
from ocr_sweep.models.network import Network
from ocr_sweep.models.timm_classifier import TimmClassifier, check_timm_name
from ocr_sweep.models.unet import UNet


def build_model(config: ModelConfig, num_classes: int, image_size: int) -> Network:
    """Return an untrained network for (B, 1, image_size, image_size) images and `num_classes` classes.

    Raises:
        ConfigError: the network cannot be built for this image size, or its name is unknown.
    """
    check_model(config, image_size)
    match config:
        case UNetConfig():
            return UNet(config, num_classes)
        case TimmConfig():
            return TimmClassifier(config, num_classes, image_size=image_size)


def check_model(config: ModelConfig, image_size: int) -> None:
    """Refuse what cannot be built, without building it.

    Raises:
        ConfigError: see `build_model`.
    """
    match config:
        case UNetConfig(depth=depth):
            multiple = 2**depth
        case TimmConfig(name=name):
            check_timm_name(name)
            multiple = 32 if name.startswith("efficientformerv2") else 1
    if image_size % multiple:
        raise ConfigError([f"image_size must be a multiple of {multiple} for this model, but got {image_size}"])
