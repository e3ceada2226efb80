"""What a training leaves, as plain data: equal means equal bits."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ocr_sweep.models.checkpoint import load_checkpoint

COSTS = ("seconds", "peak_mb", "epoch/images_per_second", "epoch/wait_share", "epoch/peak_memory_mb")


def plain(value: Any) -> Any:
    """A checkpoint's content with tensors as bytes, so that equal means equal bits; what it cost is left out."""
    if isinstance(value, Tensor):
        return value.cpu().contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if key not in COSTS}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def ending(session: Any) -> Any:
    """Everything that a training leaves."""
    assert session.trained is not None
    return {
        "checkpoint": plain(load_checkpoint(session.trainer.checkpoint)),
        "network": plain(session.trained.model.state_dict()),
        "selected": session.trained.selected_epoch,
        "handover": (session.trained.handover_epoch, session.trained.handover_lr),
        "told": plain([metrics for _, metrics in session.listener.told]),
        "epochs": [epoch for epoch, _ in session.listener.told],
    }
