"""Batch norm over all devices: another network on the same tensors, that the first one follows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from ocr_sweep.config.model import ModelConfig
from ocr_sweep.models import build_model
from ocr_sweep.models.sync_norm import with_synchronised_norms

UNET: dict[str, Any] = {
    "kind": "unet",
    "base_channels": 4,
    "depth": 2,
    "dropout": 0.0,
    "decoder": True,
    "reconstruction_weight": 1.0,
}
TIMM: dict[str, Any] = {"kind": "timm", "name": "test_efficientnet", "dropout": 0.0}  # its norms have activations inside


@pytest.mark.parametrize("model", [UNET, pytest.param(TIMM, marks=pytest.mark.slow)])
def test_the_network_follows_the_one_that_trains(model: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = build_model(TypeAdapter(ModelConfig).validate_python(model), 8, 32)
    kinds = [type(module) for module in network.modules()]
    twin = with_synchronised_norms(network)
    norms = [module for module in twin.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert norms and all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert [type(module) for module in network.modules()] == kinds, "the network itself stays as it was"
    assert [name for name, _ in twin.named_parameters()] == [name for name, _ in network.named_parameters()]
    for mine, theirs in zip((*twin.parameters(), *twin.buffers()), (*network.parameters(), *network.buffers()), strict=True):
        assert mine is theirs
    images = torch.rand(4, 1, 32, 32)
    twin(images).logits.sum().backward()  # without other processes, an ordinary batch norm
    assert network.eval()(images).logits.std() > 0
    torch.testing.assert_close(twin.eval()(images).logits, network(images).logits)
    assert all(int(norm.num_batches_tracked) == 1 for norm in norms)
