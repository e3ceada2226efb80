"""A healthy project: a study that really ran, one of its models in production. Each test damages a copy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

import tiny_study
from tiny_fixtures import damaged, finished, project

__all__ = ["damaged", "finished", "project"]


@pytest.fixture(scope="session")
def healthy(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To look at only."""
    root = tiny_study.copy_project(finished, tmp_path_factory.mktemp("doctor") / "healthy")
    promoted = tiny_study.here(root, "models", "promote", "--study", "tiny")
    assert promoted.code == 0, promoted.err
    return root


@pytest.fixture
def patient(healthy: Path, tmp_path: Path) -> Path:
    """To damage at will."""
    return tiny_study.copy_project(healthy, tmp_path / "patient")
