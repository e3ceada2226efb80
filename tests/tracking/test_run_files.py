"""A run's artifacts as they are: under their names, each in a place of its own, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_study import paths_of

from ocr_sweep.errors import IntegrityError, NotFoundError
from ocr_sweep.tracking.tracker import Tracker


@pytest.fixture
def run(project: Callable[..., Path], tmp_path: Path) -> tuple[Tracker, str]:
    folder = tmp_path / "made"
    (folder / "model").mkdir(parents=True)
    (folder / "a.txt").write_text("top")
    (folder / "model" / "a.txt").write_text("model's")
    tracker = Tracker.open(paths_of(project()))
    run_id = tracker.begin(tracker.experiment("small", {}), key="k", name="n", tags={}, params={})
    tracker.upload(run_id, folder)
    return tracker, run_id


def test_files_of_one_name_in_two_folders_do_not_meet(run: tuple[Tracker, str], tmp_path: Path) -> None:
    files = run[0].files(run[1])
    assert (files.names(""), files.names("model"), files.names("nowhere")) == (["a.txt"], ["model/a.txt"], [])
    fetched = [files.fetch(name, tmp_path / "into") for name in ("a.txt", "model/a.txt")]
    assert [path.read_text() for path in fetched] == ["top", "model's"]


@pytest.mark.parametrize("name", ["b.txt", "model/b.txt", "nowhere/a.txt"])
def test_what_is_not_there_is_said(run: tuple[Tracker, str], tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError, match=f"has no artifact '{name}'"):
        run[0].files(run[1]).fetch(name, tmp_path)
    with pytest.raises(NotFoundError, match="no run 'unknown'"):
        run[0].files("unknown")


@pytest.mark.parametrize("name", ["../made/a.txt", "/etc/passwd", "model/../../made/a.txt", "", "model//a.txt", "./a.txt"])
def test_a_name_that_leads_elsewhere_is_refused(run: tuple[Tracker, str], tmp_path: Path, name: str) -> None:
    with pytest.raises(IntegrityError, match="would lie outside its folder"):
        run[0].files(run[1]).fetch(name, tmp_path / "into")
