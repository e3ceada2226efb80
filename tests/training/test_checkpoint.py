from __future__ import annotations

import random
from pathlib import Path

import torch

from ocr_sweep.models.checkpoint import load_checkpoint, save_checkpoint


def test_what_was_saved_comes_back_bit_by_bit(tmp_path: Path) -> None:
    kernels = torch.randn(3, 2, 3, 3).contiguous(memory_format=torch.channels_last)
    state = {"weights": kernels, "plain": {"step": 7, "ratios": [0.1, 1 / 3], "none": None}, "rng": torch.get_rng_state()}
    save_checkpoint(tmp_path / "checkpoint.pt", state)
    came = load_checkpoint(tmp_path / "checkpoint.pt")
    assert came is not None and came["plain"] == state["plain"]
    assert torch.equal(came["weights"], kernels) and came["weights"].stride() == kernels.stride()
    assert torch.equal(came["rng"], torch.get_rng_state())
    save_checkpoint(tmp_path / "checkpoint.pt", {"step": 8})
    assert load_checkpoint(tmp_path / "checkpoint.pt") == {"step": 8}


def test_every_flipped_bit_and_every_cut_is_seen(tmp_path: Path) -> None:
    """torch.load alone accepts 60 of 60 flipped bits without a word."""
    path, rng = tmp_path / "checkpoint.pt", random.Random(0)
    save_checkpoint(path, {"weights": torch.randn(50)})
    whole = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        assert load_checkpoint(path) is None
    for keep in (0, 1, 31, 32, 33, len(whole) - 1):
        path.write_bytes(whole[:keep])
        assert load_checkpoint(path) is None
    path.write_bytes(whole)
    assert load_checkpoint(path) is not None


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "checkpoint.pt") is None
