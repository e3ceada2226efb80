"""Whatever touches a device, where there is no GPU: losses, networks, augmentation and trainings on a stand-in for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from on_the_stand_in import passes

pytestmark = pytest.mark.slow


def test_what_holds_on_a_gpu_holds_on_the_stand_in(tmp_path: Path) -> None:
    rooms = ("tests/gpu", "tests/training", "tests/losses", "tests/augment/test_batched_ops.py")
    assert passes(tmp_path, *rooms, "-m", "not slow", "-n", "2") > 500
