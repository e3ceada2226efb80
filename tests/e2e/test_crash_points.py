"""Crash-only, point by point: wherever a supervisor, a trial or a repair is killed, the next one goes on as if nothing had been.

Each kind of point once; `benchmarks/faults.py points` tries every single one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_study import environment

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).with_name("crash_points.py")
SHARES = 2  # side by side


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each share of the driver found."""
    drivers = []
    for share in range(SHARES):
        folder = tmp_path_factory.mktemp("points")
        command = [sys.executable, str(DRIVER), str(folder), "--share", f"{share}/{SHARES}"]
        drivers.append(
            subprocess.Popen(command, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    try:
        said = [driver.communicate(timeout=1800) for driver in drivers]
    finally:
        for driver in drivers:
            driver.kill()
    assert all(driver.returncode == 0 for driver in drivers), said
    return [json.loads(out.splitlines()[-1]) for out, _ in said]


@pytest.mark.parametrize(("what", "at_least"), [("study", 60), ("trial", 25), ("repair", 8)])
def test_a_kill_at_any_kind_of_point_costs_nothing(what: str, at_least: int, found: list[dict[str, Any]]) -> None:
    mine = [share[what] for share in found]
    assert [problem for share in mine for problem in share["problems"]] == []
    assert sum(share["tried"] for share in mine) == mine[0]["kinds"] >= at_least


@pytest.mark.parametrize("what", ["study", "trial"])
def test_everything_is_durable_before_it_is_acknowledged(what: str, found: list[dict[str, Any]]) -> None:
    """A kill leaves the kernel's cache alone; a power cut does not."""
    for share in found:
        assert share[what]["unsynced"] == [] and share[what]["renames"] > 5
