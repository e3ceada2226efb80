"""How much memory a training will need, computed without it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ocr_sweep.config.model import ModelConfig
from ocr_sweep.models.factory import build_model
from ocr_sweep.models.network import Network
from ocr_sweep.models.output import Output

Precision = Literal["fp32", "bf16", "fp16"]
Loss = Callable[[Output, Tensor, Tensor], Tensor]  # of an output, the images and the class ids

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training's tensors take on its device."""

    weights: int  # parameters and buffers
    optimizer: int  # AdamW's two moments
    gradients: int
    activations: int  # alive between forward and backward, batch included
    peak: int  # the most at any moment of a step


def training_memory(
    config: ModelConfig,
    num_classes: int,
    image_size: int,
    batch_size: int,
    *,
    precision: Precision = "fp32",
    loss: Loss | None = None,
) -> TrainingMemory:
    """Predict what AdamW's training of a network needs, on a CPU or a GPU, in a second or a few and almost no memory.

    A step is taken with tensors that have shapes and no numbers, and every tensor is counted from birth to death; AdamW's
    moments, which it makes in its first step, lie beside every later one from its beginning. What is not tensors of PyTorch
    is not counted: the workspace of a convolution, the slack of the allocator, CUDA's context (about half a GB).

    Args:
        precision: other than fp32: under autocast, weights stay fp32.
        loss: cross entropy, and the mean binary cross entropy of what is restored, unless given.

    Raises:
        ConfigError: the network cannot be built for this image size.
    """
    with torch.device("meta"):
        network = build_model(config, num_classes, image_size)
    with FakeTensorMode(allow_non_fake_inputs=True):
        network.to_empty(device="cpu")
        images = torch.empty(batch_size, 1, image_size, image_size)
        labels = torch.empty(batch_size, dtype=torch.int64)
        return measured_step(network, images, labels, precision=precision, loss=loss or _default_loss)


def measured_step(network: Network, images: Tensor, labels: Tensor, *, precision: Precision, loss: Loss) -> TrainingMemory:
    """Train for a step under the eyes of a ledger, with numbers or without; what any later step will take."""
    with Ledger() as ledger:
        for tensor in (*network.parameters(), *network.buffers(), images, labels):
            ledger.count(tensor)
        data = _num_bytes((images, labels))
        weights = ledger.live - data
        optimizer = torch.optim.AdamW(network.parameters())
        before = ledger.live
        with _autocast(precision):
            value = loss(network(images), images, labels)
        activations = ledger.live - before + data
        value.backward()
        del value
        gradients = _num_bytes(p.grad for p in network.parameters() if p.grad is not None)
        learning, ledger.peak = ledger.peak, ledger.live
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        moments = ledger.live - weights - data
        return TrainingMemory(weights, moments, gradients, activations, max(learning + moments, ledger.peak))


class Ledger(TorchDispatchMode):
    """Counts the bytes of every tensor that an operation makes, for as long as it lives."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._known: dict[int, int] = {}  # by storage, because views share one

    def count(self, tensor: Tensor) -> None:
        """Take in a tensor; one that is known already costs nothing."""
        storage = tensor.untyped_storage()
        if id(storage) in self._known:
            return
        self._known[id(storage)] = storage.nbytes()
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, id(storage)).atexit = False

    def _forget(self, number: int) -> None:
        self.live -= self._known.pop(number)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what was asked, and count what came of it."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.count(leaf)
        return result


def _autocast(precision: Precision) -> AbstractContextManager[Any]:
    """A CPU's autocast stands in for a GPU's: both compute convolutions and matrix products in the lower precision."""
    return nullcontext() if precision == "fp32" else torch.autocast("cpu", dtype=_DTYPES[precision])


def _default_loss(output: Output, images: Tensor, labels: Tensor) -> Tensor:
    loss = functional.cross_entropy(output.logits.float(), labels)
    if output.restored is not None:
        loss = loss + functional.binary_cross_entropy_with_logits(output.restored.float(), images)
    return loss


def _num_bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
