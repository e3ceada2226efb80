"""The campaign of `benchmarks/faults.py`, small: random kills of trials that write everything, and a disk that is full."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_study import environment

pytestmark = pytest.mark.slow

CAMPAIGN = Path(__file__).parents[2] / "benchmarks" / "faults.py"
NUMBERS = {"kills": 25, "disk": 4}


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Both, side by side."""
    running = {}
    for what, number in NUMBERS.items():
        command = [sys.executable, str(CAMPAIGN), what, "--number", str(number)]
        settings = environment(Path(), TMPDIR=str(tmp_path_factory.mktemp(what)))
        running[what] = subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield running
    for process in running.values():
        process.kill()
        process.communicate()


def found(campaign: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = campaign.communicate(timeout=1200)
    assert out, err
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    assert campaign.returncode == bool(said.get("problems")), err
    return said


def test_random_kills_lose_nothing_that_was_acknowledged(campaigns: dict[str, subprocess.Popen[str]]) -> None:
    said = found(campaigns["kills"])
    assert said["problems"] == [] and said["kills"] >= NUMBERS["kills"]
    assert said["acknowledged_results"] >= 6 and said["epochs_begun_again"] <= said["kills"] * 2


def test_a_study_goes_on_after_a_full_disk(campaigns: dict[str, subprocess.Popen[str]]) -> None:
    said = found(campaigns["disk"])
    if "skipped" in said:
        pytest.skip(said["skipped"])
    assert said["problems"] == [] and said["studies"] == NUMBERS["disk"]
