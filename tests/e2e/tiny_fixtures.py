"""The fixtures of every folder whose tests need a tiny project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished study, to look at only."""
    return tiny_study.finished_project(tmp_path_factory.getbasetemp())


@pytest.fixture
def damaged(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished project, to change at will."""
    return tiny_study.copy_project(finished, tmp_path / "copy")


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a fresh project; keywords change the tiny study."""

    def make(name: str = "project", **changes: Any) -> Path:
        return tiny_study.new_project(tmp_path / name, tmp_path_factory.getbasetemp(), **changes)

    return make
