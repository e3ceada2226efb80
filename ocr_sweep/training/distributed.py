"""What the processes that train one network together do together, one process for each device.

Each computes the gradient of its slice of a batch; torch's DistributedDataParallel averages the gradients while they are
made, so that whatever comes after (clipping, the optimiser, what the handover records) sees the whole batch's everywhere,
and parameters stay the same bits. `processes.py` starts and ends these processes.

References:
    Li et al., PyTorch Distributed, arXiv:2006.15704.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ocr_sweep.errors import TrialFailedError
from ocr_sweep.models import Network, Output
from ocr_sweep.models.sync_norm import with_synchronised_norms

_PATIENCE = timedelta(days=1)  # others wait while the first validates; whether they live is watched elsewhere


class Ranks:
    """The devices of a training, as the process of one of them sees them; with one device there is nobody else.

    Args:
        devices: how many there are.
        rank: which of them this is, from 0. The first observes, validates, selects, saves and exports.
    """

    def __init__(self, devices: int = 1, rank: int = 0) -> None:
        self.devices = devices
        self.rank = rank
        self._on_gpus = torch.cuda.is_available()
        self.device = torch.device("cuda" if self._on_gpus else "cpu")
        if self._on_gpus and devices > 1:
            self.device = torch.device("cuda", rank)
        self._network: DistributedDataParallel | None = None

    @property
    def first(self) -> bool:
        """Whether this is the trial's own process."""
        return self.rank == 0

    def check(self) -> None:
        """Refuse more GPUs than there are.

        Raises:
            TrialFailedError: there are fewer.
        """
        if self._on_gpus and self.devices > torch.cuda.device_count():
            raise TrialFailedError(
                f"devices: this machine shows {torch.cuda.device_count()} GPUs, but training.devices is {self.devices}; "
                f"write at most {torch.cuda.device_count()}"
            )

    def settle(self) -> None:
        """Make this device the one that the process works on, before anything is built: else the first GPU pays for it."""
        if self._on_gpus:
            torch.cuda.set_device(self.device)

    @contextmanager
    def joined(self, rendezvous: Path) -> Iterator[None]:
        """Meet the other processes in a file, and be one group with them inside."""
        _stay_on_this_machine()
        store = distributed.FileStore(  # type: ignore[attr-defined]
            str(rendezvous), self.devices
        )
        backend = "cpu:gloo,cuda:nccl" if self._on_gpus else "gloo"
        distributed.init_process_group(backend, store=store, rank=self.rank, world_size=self.devices, timeout=_PATIENCE)
        try:
            yield
        except BaseException:
            if not self._on_gpus:  # on GPUs, leaving may wait for ever for a process that is gone; here the trial ends anyway
                self._leave()
            raise
        self._leave()

    def network(self, model: Network, image_size: int) -> Callable[[Tensor], Output]:
        """What to train with: a network on the tensors of `model`, whose gradients become the averages over all devices.

        Buffers are the first device's. Parameters that no image reaches keep no gradient, as on one device. torch lays its
        buckets out anew after the first step; that one is a rehearsal, so that the order of sums, and with it the bits, does
        not depend on where a training was resumed.
        """
        images = torch.zeros(2, 1, image_size, image_size, device=self.device)
        network = with_synchronised_norms(model) if self._on_gpus else model.train()
        reached = _rehearse(network, model, images)
        self._network = DistributedDataParallel(
            network,
            device_ids=[self.rank] if self._on_gpus else None,
            find_unused_parameters=not reached,
            gradient_as_bucket_view=True,
        )
        _rehearse(self._network, model, images)
        return self._network

    def adding(self, *, last: bool) -> AbstractContextManager[None]:
        """Let the gradients of a part of a batch add up on each device, and be averaged with those of its last part."""
        return nullcontext() if last or self._network is None else self._network.no_sync()

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all devices of a scalar on each, there."""
        if self.devices > 1:
            distributed.all_reduce(value)
            value /= self.devices
        return value

    def told(self, value: float) -> float:
        """What the first process says, to every process; nobody goes on before."""
        if self.devices == 1:
            return value
        said = torch.tensor(value, dtype=torch.float64)
        distributed.broadcast(said, src=0)
        return float(said)

    def seed(self, seed: int, step: int) -> None:
        """Give a step its own chance on each device, so that no checkpoint need hold it; one device has a stream instead."""
        if self.devices > 1:
            chance = np.random.SeedSequence((seed, step, self.rank)).generate_state(1, np.uint64)
            torch.manual_seed(int(chance[0]))

    def _leave(self) -> None:
        self._network = None
        distributed.destroy_process_group()


def _rehearse(network: nn.Module, model: Network, images: Tensor) -> bool:
    """Go forward and back on (B, 1, S, S) images that leave no trace; whether every parameter had a gradient."""
    buffers = [buffer.clone() for buffer in model.buffers()]
    torch.stack([tensor.mean() for tensor in network(images) if tensor is not None]).sum().backward()
    reached = all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    model.zero_grad(set_to_none=True)
    for buffer, held in zip(model.buffers(), buffers, strict=True):
        buffer.copy_(held)
    return reached


def _stay_on_this_machine() -> None:
    """Let the processes speak over the loopback alone, unless the user has said otherwise."""
    if "lo" in {name for _, name in socket.if_nameindex()}:
        for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(variable, "lo")
