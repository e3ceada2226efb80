"""Promotions at once, killed, and with flipped bytes behind them: some rounds of the benchmark that does so for long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "promotion.py"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("race", "--rounds", "3"), "race: 3 rounds of 16 processes: one holder after each"),
        (("kills", "--points", "6"), "kills: 6 of"),
        (("flips", "--flips", "64"), "0 kinds with a miss"),
    ],
    ids=["race", "kills", "flips"],
)
def test_a_promotion_is_whole_or_not_at_all(finished: Path, arguments: tuple[str, ...], said: str) -> None:
    command = [sys.executable, str(BENCHMARK), *arguments, "--project", str(finished)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert said in done.stdout, done.stdout
