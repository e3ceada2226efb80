"""What a search leaves behind beside single trials, and a doctor that finds nothing wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_study import here, ocr_sweep


@pytest.mark.slow
def test_repeats_and_the_audit_of_what_was_pruned_are_whole(project: Callable[..., Path]) -> None:
    pruner = {"kind": "median", "warmup_epochs": 1, "startup_trials": 1, "audit": 1.0}
    space = {"optim.lr": {"type": "float", "low": 1e-7, "high": 1e-2, "log": True}}
    changes = {"search": space, "sampler": {"kind": "random", "seed": 4}, "base__training__epochs": 4}
    root = project(trials=4, repeats=2, pruner=pruner, **changes)
    done = ocr_sweep(root, "sweep", "run", "tiny", timeout=400)
    assert done.code == 0, done.err
    assert "mean val/accuracy_macro" in done.out and "pruner    " in done.out, done.out
    checked = here(root, "doctor")
    assert checked.code == 0, checked.err
    assert here(root, "sweep", "replay", "tiny").out == "identical: 4 proposals of tiny\n"


@pytest.mark.slow
def test_a_study_of_two_numbers_is_whole(project: Callable[..., Path]) -> None:
    space = {"model.base_channels": {"type": "int", "low": 4, "high": 8, "step": 2}}
    root = project(trials=3, against="cost/parameters", search=space, sampler={"kind": "nsga2", "seed": 4, "population": 2})
    done = ocr_sweep(root, "sweep", "run", "tiny", timeout=400)
    assert done.code == 0, done.err
    assert "front: trial" in done.out
    checked = here(root, "doctor")
    assert checked.code == 0, checked.err
