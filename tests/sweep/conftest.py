from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from fake_engine import FakeEngine, Oracle
from tiny_fixtures import damaged, finished, project
from tiny_study import config_of, paths_of

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep import study_loop
from ocr_sweep.sweep.reproduction import reproduce
from ocr_sweep.sweep.running import recording
from ocr_sweep.sweep.summary import summary
from ocr_sweep.sweep.watching.board import Board, SilentBoard

__all__ = ["damaged", "finished", "project"]


class Faked:
    """The tiny study on the fake engine."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.paths = paths_of(root)
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(recording, "write_model_folder", lambda onnx_file, scratch: None)
        monkeypatch.setattr(summary, "draw", lambda picture: b"drawn")  # test_summary.py draws

    def engine(self, oracle: Oracle) -> FakeEngine:
        """The engine that the next sessions get."""
        engine = FakeEngine(oracle)
        for module in (study_loop, reproduce):
            self._monkeypatch.setattr(module, "LocalEngine", lambda timm: engine)
        return engine

    def config(self) -> StudyConfig:
        """The study as it is written now."""
        return config_of(self.root)

    def run(self, board: Board | None = None, *, grows: bool = False) -> study_loop.StudyEnd:
        """One session of the study."""
        return study_loop.run_study(config_of(self.root), self.paths, board or SilentBoard(), grows=grows)


@pytest.fixture
def faked(project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Faked]:
    """Make a project whose study runs on the fake engine; keywords change the study."""

    def make(**changes: Any) -> Faked:
        return Faked(project(**changes), monkeypatch)

    return make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project for a search without trainings."""
    (tmp_path / "sweeps").mkdir()
    return tmp_path
