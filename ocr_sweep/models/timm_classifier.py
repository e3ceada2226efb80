"""Any timm classifier on one input channel."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from ocr_sweep.config.model import TimmConfig
from ocr_sweep.errors import ConfigError
from ocr_sweep.models.network import Network
from ocr_sweep.models.timm_weights import load_weights


class TimmClassifier(Network):
    """A timm network under a head of ours. Input (B, 1, H, W) in [0, 1]; output (B, K) logits.

    timm's own head is left out: EfficientFormerV2 would bring two of them.

    Args:
        data_root: where the configuration's `weights` are; None: they are not read.

    Raises:
        ConfigError: the network cannot read images of this size.
        DataError: the file of weights is not there, or does not fit.
    """

    def __init__(self, config: TimmConfig, num_classes: int, *, image_size: int, data_root: Path | None = None) -> None:
        network, num_features = _backbone(config, image_size)
        super().__init__(config.head, num_features=num_features, num_classes=num_classes)
        self.channels = config.channels
        self.network = network
        if config.weights is not None and data_root is not None:
            load_weights(network, config.weights.find(data_root))

    def features(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) images as (B, D) features, with timm's dropout."""
        features: Tensor = self.network(images.expand(-1, self.channels, -1, -1))
        return features


def _backbone(config: TimmConfig, image_size: int) -> tuple[nn.Module, int]:
    """A timm network without head, and how many features it gives."""
    timm = _timm()
    arguments: dict[str, object] = {}
    if timm.models.get_pretrained_cfg(config.name).fixed_input_size:  # attention biases or position embeddings
        arguments["img_size"] = image_size
    if config.name.startswith("efficientformerv2"):
        arguments["distillation"] = False
    try:
        network: nn.Module = timm.create_model(
            config.name, pretrained=False, in_chans=config.channels, num_classes=0, drop_rate=config.dropout, **arguments
        )
        with torch.no_grad():
            features = network.eval()(torch.zeros(1, config.channels, image_size, image_size))
    except Exception as error:  # each of timm's networks fails in a way of its own, and some only when they run
        raise ConfigError([f"timm's {config.name} cannot read images of {image_size} pixels: {error}"]) from error
    return network.train(), int(features.shape[1])


def check_timm(config: TimmConfig, image_size: int, data_root: Path | None) -> None:
    """Build a network without its numbers, and look whether its weights are there.

    Raises:
        ConfigError, DataError: see `TimmClassifier`.
    """
    if config.weights is not None and data_root is not None:
        config.weights.find(data_root)
    try:
        with torch.device("meta"):
            _backbone(config, image_size)
    except ConfigError:
        _backbone(config, image_size)  # some networks compute with numbers while they are built; then in earnest


def check_timm_name(name: str) -> None:
    """Refuse a name that timm does not know.

    Raises:
        ConfigError: the message names what comes close.
    """
    timm = _timm()
    if "." in name or not timm.is_model(name):  # behind the dot: a set of weights, and we train from scratch
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "see timm.list_models() for the known ones"
        raise ConfigError([f"model.name must be one of timm's models, but got '{name}'; {hint}"])


def _timm() -> ModuleType:
    """timm, imported when the first network needs it: it takes seconds."""
    return importlib.import_module("ocr_sweep.models.timm_import").timm  # type: ignore[no-any-return]
