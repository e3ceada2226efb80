"""Batch norm that sees the images of all devices."""

from __future__ import annotations

import copy
import importlib

from torch import nn

from ocr_sweep.models.network import Network
from ocr_sweep.models.timm_classifier import TimmClassifier


def with_synchronised_norms(model: Network) -> nn.Module:
    """The same network on the same tensors, whose batch norms take their statistics over all processes; to train with.

    The network itself stays as it is, and follows every step: it is the one to judge, to save and to export.

    References:
        Peng et al., MegDet, arXiv:1711.07240.
    """
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    if isinstance(model, TimmClassifier):  # some of timm's norms have an activation inside, which only timm knows to keep
        timm = importlib.import_module("ocr_sweep.models.timm_import").timm
        synchronised: nn.Module = timm.layers.convert_sync_batchnorm(twin)
    else:
        synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(twin)
    return synchronised.train()
