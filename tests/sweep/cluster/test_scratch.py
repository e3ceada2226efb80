"""A node's scratch: nobody's folder stays behind, and nobody's folder is taken from under them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ocr_sweep.disk import file_lock
from ocr_sweep.sweep.cluster.scratch import Scratch
from ocr_sweep.sweep.trials.attempt import Attempt


def test_where_a_node_keeps_things(tmp_path: Path) -> None:
    assert Scratch.find({"OCR_SWEEP_SCRATCH": str(tmp_path)}).root == tmp_path
    assert Scratch.find({"XDG_CACHE_HOME": str(tmp_path)}).root == tmp_path / "ocr_sweep"
    assert Scratch.find({}).root == Path.home() / ".cache" / "ocr_sweep"


def test_a_folder_ends_with_its_owner_and_is_nobody_elses(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    with scratch.work() as mine, scratch.work() as other:
        assert mine != other and mine.is_dir() and other.is_dir()
    assert not list((tmp_path / "work").iterdir())


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    Scratch(tmp_path / "a" / "b").made(tmp_path / "a" / "b" / "c" / "d")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_what_a_killed_owner_left_is_removed_once_its_trial_has_ended(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from ocr_sweep.sweep.cluster.scratch import Scratch\n"
        "with Scratch(Path(sys.argv[1])).work() as mine: (mine / '0000-search').mkdir(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 9
    (left,) = (tmp_path / "work").iterdir()
    with file_lock(Attempt(left / "0000-search").lock, wait=True), Scratch(tmp_path).work():
        assert left.is_dir(), "its trial still writes there"
    with Scratch(tmp_path).work():
        assert not left.exists()


def test_what_nobody_has_used_for_a_month_is_forgotten(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    for name, days in (("old", 31), ("new", 29)):
        for file in (scratch.corpora / name / "manifest.json", scratch.representations / name / "lock"):
            file.parent.mkdir(parents=True)
            file.touch()
            os.utime(file, times=(time.time() - days * 24 * 3600,) * 2)
    scratch.forget()
    assert (
        [path.name for path in scratch.corpora.iterdir()] == [path.name for path in scratch.representations.iterdir()] == ["new"]
    )
