"""One optimiser update: the loss of a batch, in parts and in the precision asked for, and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ocr_sweep.config.training import TrainingConfig
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.models import Output
from ocr_sweep.optim import Course
from ocr_sweep.pulse import beat
from ocr_sweep.training.classification import Classification
from ocr_sweep.training.distributed import Ranks
from ocr_sweep.training.feed import Batch
from ocr_sweep.training.restoration import Restoration

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Step:
    """Forward, backward and update of one batch.

    With `accumulate`, a batch passes through the network in parts and their gradients add up to that of the batch; batch
    norm alone sees the difference, because it normalises each part by itself. Devices that share a batch do the same with
    their slices, and average: all of them make the update of the whole batch. In bf16 and fp16 the network's products are
    of that type, while weights, logits and losses stay float32; fp16 scales the loss so that small gradients survive.

    Attributes:
        network: what the images pass through; its parameters are the model's.

    References:
        Micikevicius et al., Mixed precision training, arXiv:1710.03740.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: nn.Module,
        classification: Classification,
        restoration: Restoration,
        *,
        device: torch.device,
        num_steps: int,
        ranks: Ranks | None = None,
    ) -> None:
        self._config = config
        self._ranks = ranks or Ranks()
        self._classification = classification
        self._restoration = restoration
        self._device = device
        self._num_steps = num_steps
        self.network: Callable[[Tensor], Output] = _compiled(model, config.threads) if config.compile else model
        self._scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")

    def __call__(self, batch: Batch, course: Course, step: int) -> Tensor:
        """Do update number `step` of a training; returns the loss of the whole batch, a scalar of float32 on the device.

        Raises:
            TrialFailedError: the network cannot be compiled.
        """
        course.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self._device)
        parts = batch.parts(self._config.accumulate)
        for part in parts:
            beat()
            with compile_errors(enabled=self._config.compile), self._ranks.adding(last=part is parts[-1]):
                loss = self._loss(part, step) * part.share
                self._scaler.scale(loss).backward()
            total += loss.detach()
        course.update(step, self._scaler)
        return self._ranks.mean(total)

    def _loss(self, batch: Batch, step: int) -> Tensor:
        images, clean = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (batch.images, batch.clean))
        precision = self._config.precision
        with torch.autocast(self._device.type, dtype=_DTYPES[precision], enabled=precision != "fp32"):
            output = self.network(images)
        loss = self._classification(output.logits.float(), batch.labels)
        if output.restored is not None:
            batch = batch.with_pixels(images, clean)
            loss = loss + self._restoration(output.restored.float(), batch, step=step, num_steps=self._num_steps)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold: the scale of fp16's loss."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self._scaler.load_state_dict(state)


def _compiled(model: nn.Module, threads: int) -> Callable[[Tensor], Output]:
    from torch._inductor import config as inductor

    inductor.compile_threads = threads
    network: Callable[[Tensor], Output] = torch.compile(model, dynamic=False)
    return network


@contextmanager
def compile_errors(*, enabled: bool) -> Iterator[None]:
    """Turn what torch.compile raises into the end of the trial, when anything is compiled at all."""
    if not enabled:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError

    try:
        yield
    except (TorchDynamoException, CppCompileError) as error:
        reason = " ".join([line.strip() for line in str(error).splitlines() if line.strip()][:2])
        raise TrialFailedError(
            f"compile: torch.compile cannot compile this network here ({reason[:300]}); write training.compile: false, "
            "or install a C++ compiler if none was found"
        ) from error
