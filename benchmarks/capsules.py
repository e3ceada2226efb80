"""What capsules for 17,380 classes cost in memory and time, beside the report's way and a linear head.

Three questions, each with its own answer:

- memory at full scale, predicted (64 px, batch 256; nothing is allocated). The report's way, 1,152 primary capsules that
  route to every class, is shown at its batch of 10. The limit is for the default cures.
- whether the prediction can be believed: for the cures at full scale, for others at sizes that fit a small machine, what
  PyTorch's allocator gave out in a real step, and how far the process itself grew by the kernel's account, against the
  prediction. The limit is for the allocator; the kernel also counts what oneDNN and malloc keep.
- the time of a training step at all classes, in processor time, by turns, against the same encoder under a linear head.
  Without a limit: it is the price.

    .venv/bin/python benchmarks/capsules.py
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from typing import Any, cast

import numpy as np
import torch
from pydantic import TypeAdapter
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from ocr_sweep.config.model import ModelConfig
from ocr_sweep.models import build_model
from ocr_sweep.models.memory import training_memory

CLASSES = 17_380
LIMITS = {"gigabytes": 24.0, "predicted_of_allocated": (0.85, 1.02)}
ROUNDS = 5

_CAPSULE = {"kind": "capsule", "base_channels": 32, "depth": 4, "dropout": 0.0}
_DYNAMIC, _ATTENTION = {"kind": "dynamic"}, {"kind": "attention"}
_LINEAR = {
    "kind": "unet",
    "base_channels": 32,
    "depth": 4,
    "dropout": 0.0,
    "decoder": False,
    "reconstruction_weight": 0.0,
}
FULL_SCALE: dict[str, tuple[dict[str, Any], int]] = {  # a model, and its batch
    "linear head": (_LINEAR, 256),
    "latent, dynamic": ({**_CAPSULE, "routing": _DYNAMIC}, 256),
    "latent, attention": ({**_CAPSULE, "routing": _ATTENTION}, 256),
    "16 primary to every class, dynamic": ({**_CAPSULE, "routing": _DYNAMIC, "latent": None, "primary": 16}, 256),
    "16 primary to every class, attention": ({**_CAPSULE, "routing": _ATTENTION, "latent": None, "primary": 16}, 256),
    "1,152 primary to every class, dynamic": ({**_CAPSULE, "routing": _DYNAMIC, "latent": None, "primary": 1152}, 10),
}
CURES = ("latent, dynamic", "latent, attention")
MEASURED: dict[str, tuple[dict[str, Any], int, int, int]] = {  # a model, classes, image size, batch
    "latent, dynamic": ({**_CAPSULE, "routing": _DYNAMIC}, CLASSES, 32, 64),
    "latent, attention": ({**_CAPSULE, "routing": _ATTENTION}, CLASSES, 32, 64),
    "16 primary to every class, dynamic": ({**_CAPSULE, "routing": _DYNAMIC, "latent": None, "primary": 16}, 1000, 32, 64),
    "128 primary to every class, attention": ({**_CAPSULE, "routing": _ATTENTION, "latent": None, "primary": 128}, 200, 32, 32),
    "linear head": (_LINEAR, CLASSES, 32, 64),
    **{f"full scale: {name}": (FULL_SCALE[name][0], CLASSES, 64, FULL_SCALE[name][1]) for name in CURES},
}
TIMED = ("linear head", "latent, dynamic", "latent, attention")


def main() -> int:
    """Predict, measure, and compare; 1 when a limit is missed."""
    torch.set_num_threads(1)
    full = {name: training_memory(_config(data), CLASSES, 64, batch) for name, (data, batch) in FULL_SCALE.items()}
    measured = {name: _measured(*case) for name, case in MEASURED.items()}
    seconds = _by_turns([_step(_config(MEASURED[name][0]), CLASSES, 32, 64) for name in TIMED])
    low, high = cast(tuple[float, float], LIMITS["predicted_of_allocated"])
    missed = [name for name in CURES if full[name].peak > cast(float, LIMITS["gigabytes"]) * 1e9]
    missed += [name for name, row in measured.items() if not low <= row["predicted_of_allocated"] <= high]
    result = {
        "full_scale_gigabytes": {
            name: {"batch": FULL_SCALE[name][1], **{part: round(value / 1e9, 2) for part, value in vars(memory).items()}}
            for name, memory in full.items()
        },
        "measured": measured,
        "step_seconds": {name: round(value, 2) for name, value in zip(TIMED, seconds, strict=True)},
        "step_of_linear": {name: round(value / seconds[0], 2) for name, value in zip(TIMED, seconds, strict=True)},
        "limits": LIMITS,
        "missed": missed,
        "torch": torch.__version__,
    }
    print(json.dumps(result, indent=1))  # noqa: T201
    return 1 if missed else 0


def _config(data: dict[str, Any]) -> ModelConfig:
    config: ModelConfig = TypeAdapter(ModelConfig).validate_python(data)
    return config


def _measured(data: dict[str, Any], num_classes: int, image_size: int, batch_size: int) -> dict[str, float]:
    """Megabytes predicted, given out by the allocator, and grown by."""
    predicted = training_memory(_config(data), num_classes, image_size, batch_size).peak
    context = get_context("spawn")
    taken: SimpleQueue[tuple[int, int]] = context.SimpleQueue()
    child = context.Process(target=_measure, args=(data, num_classes, image_size, batch_size, taken))
    child.start()
    allocated, grown = taken.get()
    child.join()
    return {
        "predicted_mb": round(predicted / 1e6, 1),
        "allocated_mb": round(allocated / 1e6, 1),
        "grown_mb": round(grown / 1e6, 1),
        "predicted_of_allocated": round(predicted / allocated, 3),
    }


def _measure(
    data: dict[str, Any], num_classes: int, image_size: int, batch_size: int, taken: SimpleQueue[tuple[int, int]]
) -> None:
    torch.set_num_threads(1)
    _step(_config(data), 2, 16, 2)()  # libraries load what they need
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = _step(_config(data), num_classes, image_size, batch_size)
    step()
    step()
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        step()
    results = found.profiler.kineto_results if found.profiler else None
    assert results is not None
    events = sorted((event for event in results.events() if event.name() == "[memory]"), key=lambda event: int(event.start_ns()))
    live = np.cumsum([event.nbytes() for event in events])
    still = training_memory(_config(data), num_classes, image_size, batch_size)
    batch = batch_size * (4 * image_size**2 + 8)
    taken.put((int(live.max()) + still.weights + still.optimizer + batch, grown))


def _step(config: ModelConfig, num_classes: int, image_size: int, batch_size: int) -> Callable[[], None]:
    """One step of AdamW on images of noise."""
    network = build_model(config, num_classes, image_size)
    optimizer = torch.optim.AdamW(network.parameters())
    images, labels = torch.rand(batch_size, 1, image_size, image_size), torch.randint(0, num_classes, (batch_size,))

    def step() -> None:
        loss = functional.cross_entropy(network(images).logits, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _by_turns(tasks: list[Callable[[], None]]) -> list[float]:
    """The least processor time of each task, all of them run in turn."""
    times = np.full((ROUNDS, len(tasks)), np.inf)
    for turn in range(ROUNDS):
        for i, task in enumerate(tasks):
            began = time.process_time()
            task()
            times[turn, i] = time.process_time() - began
    return [float(value) for value in times.min(axis=0)]


if __name__ == "__main__":
    sys.exit(main())
