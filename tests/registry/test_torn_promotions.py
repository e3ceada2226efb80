"""Promotions at once, killed, and with flipped bytes behind them: some rounds of the benchmark that does so for long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "promotion.py"


def test_a_promotion_is_whole_or_not_at_all(finished: Path) -> None:
    some = ("--rounds", "2", "--points", "4", "--flips", "64", "--project", str(finished))
    command = [sys.executable, str(BENCHMARK), "race", "kills", "flips", *some]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    for said in ("race: 2 rounds of 16 processes: one holder after each", "kills: 4 of", "0 kinds with a miss"):
        assert said in done.stdout, done.stdout
