"""Run a part of this suite on the stand-in for a GPU."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

STANDS_IN = torch.cuda.is_available() and torch.cuda.get_device_name() == "stand-in GPU"
HERE = Path(__file__).parent
TESTS = HERE.parent


def passes(tmp_path: Path, *arguments: str) -> int:
    """Run these tests in a process of their own, and all processes that it starts, as if there were a GPU.

    Returns:
        How many passed; that none failed is asserted.
    """
    if torch.version.cuda or torch.cuda.is_available():
        pytest.skip("this torch can use a GPU of its own")
    if shutil.which("g++") is None:
        pytest.skip("the stand-in for a GPU must be compiled, and there is no g++")
    (tmp_path / "sitecustomize.py").write_text("import stand_in_gpu\n")
    search = os.pathsep.join([str(tmp_path), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "stand_in_gpu", "-p", "no:cacheprovider", "-rfE", "--tb=short", *arguments],
        cwd=TESTS.parent,
        env={**environment, "PYTHONPATH": search},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout
    return int(passed[1])
