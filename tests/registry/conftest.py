from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

import pytest
import tiny_study
from small_registry import SmallRegistry
from tiny_fixtures import damaged, finished, project

from ocr_sweep.tracking.tracker import Tracker

__all__ = ["damaged", "finished", "project"]


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two registered versions; nobody may change it."""
    base = tmp_path_factory.getbasetemp()
    root = tiny_study.new_project(base / "two_versions", base, corpus=False)
    registry = SmallRegistry(Tracker.open(tiny_study.paths_of(root)), tiny_study.paths_of(root))
    registry.version("one")
    registry.version("two")
    return root


@pytest.fixture
def registry(two_versions: Path, tmp_path: Path) -> SmallRegistry:
    """Two versions, to change at will."""
    paths = tiny_study.paths_of(tiny_study.copy_project(two_versions, tmp_path / "registry"))
    return SmallRegistry(Tracker.open(paths), paths)
