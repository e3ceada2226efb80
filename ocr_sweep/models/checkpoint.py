"""Checkpoints: everything that a trial needs to go on as if nothing had happened."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from ocr_sweep.disk import write_bytes

_HASH = hashlib.sha256().digest_size


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint atomically; the bytes end with their own sha256.

    Raises:
        StoreError: the disk refuses; the former checkpoint is intact.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    write_bytes(path, content + hashlib.sha256(content).digest())


def load_checkpoint(path: Path, device: torch.device | None = None) -> dict[str, Any] | None:
    """Read a checkpoint; None when there is none, or when its bytes are not those that were written.

    A damaged checkpoint costs its trial the work done so far and nothing else: training is deterministic.

    Args:
        device: where its tensors go; None: to where they were.
    """
    if not path.is_file():
        return None
    content = path.read_bytes()
    body, digest = content[:-_HASH], content[-_HASH:]
    if hashlib.sha256(body).digest() != digest:
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
    return state
