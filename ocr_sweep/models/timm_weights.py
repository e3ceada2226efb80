"""Weights that a timm network learnt elsewhere, from a local file."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ocr_sweep.errors import DataError

_NAMED = 3  # so many of the keys that do not fit stand in the message


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a timm network without head from timm's own state dict as .safetensors.

    The keys of timm's head are left out. A first convolution that learnt from three channels is summed over them where
    the network has one, so that a gray image gives what it gave in colour.

    Raises:
        DataError: the file cannot be read, or its keys or shapes are not the network's.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read as a .safetensors file: {error}") from error
    pretrained: Any = network.pretrained_cfg
    heads = tuple(f"{name}." for name in _names(pretrained.get("classifier")))
    found = {name: tensor for name, tensor in tensors.items() if not name.startswith(heads)}
    expected = network.state_dict()
    for name in _names(pretrained.get("first_conv")):
        found |= _for_channels(f"{name}.weight", found, expected)
    _check(path, found, expected)
    network.load_state_dict(found, strict=False)


def _names(value: object) -> tuple[str, ...]:
    """timm's word for none, one or several modules."""
    if isinstance(value, str):
        return (value,)
    return tuple(str(name) for name in value) if isinstance(value, Iterable) else ()


def _for_channels(name: str, found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The first kernel, (C, 3, k, k), as the network's (C, 1, k, k), where that is how they differ."""
    if name not in found or name not in expected or expected[name].shape[1] != 1 or found[name].shape[1:2] != (3,):
        return {}
    adapt = importlib.import_module("timm.models").adapt_input_conv
    return {name: adapt(1, found[name])}


def _check(path: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    missing = [name for name in expected if name not in found and not name.endswith("num_batches_tracked")]
    unknown = [name for name in found if name not in expected]
    shapes = [
        f"{name} {tuple(found[name].shape)} for {tuple(expected[name].shape)}"
        for name in found
        if name in expected and found[name].shape != expected[name].shape
    ]
    wrong = [("missing", missing), ("unknown", unknown), ("of another shape", shapes)]
    said = [f"{len(names)} {what}: {_first(names)}" for what, names in wrong if names]
    if said:
        raise DataError(
            f"{path} must hold timm's weights of this network at this image size, but its tensors differ ({'; '.join(said)}); "
            "write the model.name, or the image_size, that it was made for"
        )


def _first(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
