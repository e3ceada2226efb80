"""Any timm classifier on one input channel."""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType

import torch
from torch import Tensor, nn

from ocr_sweep.errors import ConfigError
from ocr_sweep.models.output import Output


class TimmClassifier(nn.Module):
    """A timm network, trained from scratch. Input (B, 1, H, W) in [0, 1]; output (B, K) logits.

    Raises:
        ConfigError: the network cannot read images of this size.
    """

    def __init__(self, name: str, num_classes: int, *, image_size: int, dropout: float) -> None:
        super().__init__()
        timm = _timm()
        arguments: dict[str, object] = {}
        if timm.models.get_pretrained_cfg(name).fixed_input_size:  # attention biases or position embeddings
            arguments["img_size"] = image_size
        if name.startswith("efficientformerv2"):
            arguments["distillation"] = False  # one head; a second one is for distillation
        try:
            self.network = timm.create_model(
                name, pretrained=False, in_chans=1, num_classes=num_classes, drop_rate=dropout, **arguments
            )
            with torch.no_grad():
                self.network.eval()(torch.zeros(1, 1, image_size, image_size))
        except Exception as error:  # each of timm's networks fails in a way of its own, and some only when they run
            raise ConfigError([f"timm's {name} cannot read images of {image_size} pixels: {error}"]) from error
        self.network.train()

    def forward(self, images: Tensor) -> Output:
        """Classify (B, 1, H, W) images."""
        return Output(self.network(images))


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
