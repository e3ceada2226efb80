"""A study at several sizes: what a scale puts in, what it is called, and what is told of a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ocr_sweep.config.load import load_study, scales_of
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.errors import ConfigError

SCALES = """scales:
  cpu: {trials: 2}
  gpu:
    trials: 7
    base.image_size: 32
    base.loss: bases/soft.yaml
    search.optim.lr: {type: float, low: 1e-5, high: 0.9, log: true}
"""

Load = Callable[..., StudyConfig]


@pytest.fixture
def load(sweeps: Path) -> Load:
    """Read the tiny study with scales at its end."""

    def load(scale: str | None = None, scales: str = SCALES) -> StudyConfig:
        (sweeps / "bases/soft.yaml").write_text("kind: cross_entropy\nlabel_smoothing: 0.3\n")
        file = sweeps / "scaled.yaml"
        file.write_text((sweeps / "tiny_aug.yaml").read_text().replace("name: tiny_aug", "name: scaled") + scales)
        return load_study(file, sweeps, scale)

    return load


def test_the_first_scale_is_how_the_study_runs(load: Load) -> None:
    study = load()
    assert (study.name, study.trials) == ("scaled", 2)
    assert load("cpu") == study


def test_another_scale_puts_its_values_in_and_has_a_name_of_its_own(load: Load) -> None:
    study, small = load("gpu"), load()
    assert (study.name, study.trials, study.base.image_size) == ("scaled-gpu", 7, 32)
    assert study.base.loss.label_smoothing == 0.3 and small.base.loss.label_smoothing == 0.1
    assert study.search["optim.lr"].high == 0.9  # type: ignore[union-attr]
    assert study.base.optim == small.base.optim


def test_scales_are_listed(load: Load, sweeps: Path) -> None:
    load()
    assert scales_of(sweeps / "scaled.yaml", sweeps) == ["cpu", "gpu"]
    assert scales_of(sweeps / "tiny_aug.yaml", sweeps) == []


@pytest.mark.parametrize(
    ("scale", "scales", "message"),
    [
        ("gpv", SCALES, r"a scale must be one of cpu, gpu, but got 'gpv'; did you mean 'gpu'\?"),
        ("gpu", "", r"a scale must be left out, because this study has no `scales:`, but got 'gpu'"),
        (None, "scales: {gpu: 3}\n", r"scaled.yaml:\d+: scales: must hold, for each scale, paths and the values"),
        (None, "scales: {gpu: {base.modle.depth: 3}}\n", r"scales.gpu: a path must name a value .* but got 'base.modle.depth'"),
        (None, "scales: {gpu: {name: x}}\n", r"scales.gpu: a path must name a value .* but got 'name'"),
        ("gpu", "scales: {gpu: {base.image_size: 17}}\n", None),
        (
            "gpu",
            "scales:\n  gpu:\n    base.image_size: huge\n",
            r"scaled.yaml:\d+: base.image_size: must be a whole number, but got the text 'huge'",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(load: Load, scale: str | None, scales: str, message: str | None) -> None:
    if message is None:
        assert load(scale, scales).name == "scaled", "the only scale is how the study runs"
        return
    with pytest.raises(ConfigError, match=message):
        load(scale, scales)
