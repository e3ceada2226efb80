"""From a model's configuration to the network."""

from __future__ import annotations

from pathlib import Path

from ocr_sweep.config.model import CapsuleConfig, DenseUNetConfig, ModelConfig, TimmConfig, UNetConfig
from ocr_sweep.errors import ConfigError
from ocr_sweep.models.capsule import CapsuleNet
from ocr_sweep.models.dense_unet import DenseUNet
from ocr_sweep.models.network import Network
from ocr_sweep.models.timm_classifier import TimmClassifier, check_timm, check_timm_name
from ocr_sweep.models.unet import UNet


def build_model(config: ModelConfig, num_classes: int, image_size: int, data_root: Path | None = None) -> Network:
    """Return a network for (B, 1, image_size, image_size) images and `num_classes` classes, ready to train.

    Args:
        data_root: where `weights` are; None where the weights of a finished training will follow, so they are not read.

    Raises:
        ConfigError: the network cannot be built for this image size, or its name is unknown.
        DataError: the file of weights is not there, or does not fit.
    """
    _check_multiple(config, image_size)
    match config:
        case UNetConfig():
            return UNet(config, num_classes)
        case DenseUNetConfig():
            return DenseUNet(config, num_classes)
        case CapsuleConfig():
            return CapsuleNet(config, num_classes)
        case TimmConfig():
            return TimmClassifier(config, num_classes, image_size=image_size, data_root=data_root)


def check_model(config: ModelConfig, image_size: int, data_root: Path | None = None) -> None:
    """Refuse what cannot be built, without building it.

    Raises:
        ConfigError, DataError: see `build_model`.
    """
    _check_multiple(config, image_size)
    if isinstance(config, TimmConfig):
        check_timm(config, image_size, data_root)


def _check_multiple(config: ModelConfig, image_size: int) -> None:
    match config:
        case UNetConfig(depth=depth) | CapsuleConfig(depth=depth):
            multiple = 2**depth
        case DenseUNetConfig(blocks=blocks, stem_stride=stride):
            multiple = stride * 2 ** (len(blocks) - 1)
        case TimmConfig(name=name):
            check_timm_name(name)
            multiple = 32 if name.startswith("efficientformerv2") else 1
    if image_size % multiple:
        nearest = max(1, round(image_size / multiple)) * multiple
        sentence = f"image_size must be a multiple of {multiple} for this model, but got {image_size}; write {nearest}"
        raise ConfigError([sentence])
