"""The memory that a training needs: predicted before it starts, measured while it runs, and what to do without it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from ocr_sweep.config.optim import OptimConfig
from ocr_sweep.config.training import TrainingConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TrialMemoryError
from ocr_sweep.models.memory import training_memory

MB = 2**20
_SIGNS = ("defaultcpuallocator", "not enough memory", "std::bad_alloc", "_alloc_failed")  # in the words of those who allocate


@dataclass(frozen=True)
class StepMemory:
    """Bytes that AdamW's step of one part of a batch needs on each device."""

    weights: int  # parameters and buffers
    lasting: int  # weights, gradients and AdamW's moments: what is there while the weights move
    peak: int  # the most at any moment


def step_memory(config: TrialConfig, num_classes: int) -> StepMemory:
    """What a step of this trial will need, before there is one (see `models.memory`)."""
    training = config.training
    part = -(-training.batch_size // (training.accumulate * training.devices))
    found = training_memory(config.model, num_classes, config.image_size, part, precision=training.precision)
    buckets = found.gradients if training.devices > 1 else 0  # gradients lie in what is sent, and so during the whole step
    return StepMemory(found.weights, found.weights + found.gradients + found.optimizer, found.peak + buckets)


def needed_mb(config: TrialConfig, num_classes: int, device: torch.device) -> float:
    """The memory that a training will need on its device, the images of the corpus apart.

    Raises:
        TrialMemoryError: it is more than a GPU has free.
    """
    needed = predicted_mb(step_memory(config, num_classes), config.optim)
    if device.type == "cuda":
        check_memory(needed, torch.cuda.mem_get_info(device)[0] / MB, config.training)
    return needed


def predicted_mb(step: StepMemory, optim: OptimConfig) -> float:
    """The most memory that a whole training will need, from what its steps do.

    Beside a step the weights of the best epoch lie ready, and their average if there is one. While AdamW's steps are
    recorded for SGD, the weights before a step and the step itself are held, when the activations are gone.
    """
    recorded = optim.handover_to == "sgd" and (0.0 < optim.handover_at < 1.0 or optim.handover_patience > 0)
    moving = step.lasting + (2 * step.weights if recorded else 0)
    kept = step.weights * (2 if optim.ema_decay else 1)
    return (max(step.peak, moving) + kept) / MB


def peak_mb(device: torch.device) -> float:
    """The most memory that this process has used so far: of the GPU by torch's tensors, or on the machine.

    There, what lies in files (the corpus, libraries) is left out as far as it is resident now: other trials share it.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MB
    resident, shared = (int(pages) * resource.getpagesize() for pages in Path("/proc/self/statm").read_text().split()[1:3])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kilobytes on Linux
    return (max(peak, resident) - shared) / MB


def check_memory(needed_mb: float, available_mb: float, training: TrainingConfig) -> None:
    """Refuse a training that would not fit its GPU, before it begins.

    Raises:
        TrialMemoryError: it would not.
    """
    if needed_mb > available_mb:
        need = f"needs about {needed_mb:,.0f} MB, and the GPU has {available_mb:,.0f} MB free"
        raise TrialMemoryError(f"oom: this training {need}; {_advice(training)}")


@contextmanager
def memory_errors(training: TrainingConfig) -> Iterator[None]:
    """Turn the end of the memory, of the GPU's or the machine's, into the end of the trial.

    Raises:
        TrialMemoryError: an allocation failed inside.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        where = "the GPU" if isinstance(error, torch.OutOfMemoryError) else "this machine"
        raise TrialMemoryError(f"oom: the memory of {where} does not suffice; {_advice(training)}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that an allocation failed; torch has no class of its own for it on a CPU."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(sign in str(error).lower() for sign in _SIGNS)


def _advice(training: TrainingConfig) -> str:
    """What there is, and what to write instead."""
    has = f"training.batch_size is {training.batch_size} and training.accumulate {training.accumulate}"
    more = 2 * training.accumulate
    if training.batch_size >= 2 * more * training.devices:
        return f"{has}; write accumulate: {more} for the same batch in smaller parts, or a smaller model or image_size"
    return f"{has}, which is as small as parts get; write a smaller model or image_size"
