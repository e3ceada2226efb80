"""Imports timm, whatever torchvision is installed. The only module that names timm.

A torchvision built for CUDA fails to import beside a CPU-only torch: its compiled operators do not load, and it stops
while it describes one of them. Nothing here uses those operators, so declaring the two names is enough.
"""

from __future__ import annotations

import importlib
import sys

import torch

try:
    importlib.import_module("torchvision")
except RuntimeError:
    for _name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[_name]
    _library = torch.library.Library("torchvision", "DEF")  # the declarations live as long as this object
    for _operator in ("nms", "qnms"):
        _library.define(f"{_operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm

__all__ = ["timm"]
