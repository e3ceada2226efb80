"""A policy in a study file: what is legal, and what is said of what is not."""

# ruff: noqa: E501 - one mistake a line

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ocr_sweep.config.load import load_study
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.errors import ConfigError

BASE = "bases/unet.yaml"
BLUR = "{op: gaussian_blur, probability: 0.3, sigma_range: [0, 0.02]}"
AFFINE = "{op: affine, probability: 1, rotation_range: [-3, 3], shear_range: [0, 0], scale_range: [1, 1], shift_range: [0, 0]}"


def test_a_policy_is_part_of_the_trial_and_of_its_name(edit: Callable[..., None], load: Callable[[], StudyConfig]) -> None:
    before = load().base
    edit("scanned: {strength: 0.1}", f"scanned:\n    strength: 0.1\n    policy:\n      - {AFFINE}\n      - {BLUR}", BASE)
    after = load()
    policy = after.base.augment.scanned.policy
    assert policy is not None and [block.op for block in policy] == ["affine", "gaussian_blur"]
    assert after.base != before and after.trial_config(after.base_params()) == after.base


def test_a_whole_block_can_be_a_choice(sweeps: Path, edit: Callable[..., None]) -> None:
    (sweeps / "bases/plain.yaml").write_text("strength: 0.1\n")
    (sweeps / "bases/blurred.yaml").write_text(f"strength: 0.5\npolicy:\n  - {BLUR}\n")
    edit("scanned: {strength: 0.1}", "scanned: bases/plain.yaml", BASE)
    edit("search:\n", "search:\n  augment.scanned: {type: categorical, choices: [bases/plain.yaml, bases/blurred.yaml]}\n")
    study = load_study(sweeps / "tiny_aug.yaml", sweeps)
    trial = study.trial_config({**study.base_params(), "augment.scanned": "blurred"})
    assert trial.augment.scanned.strength == 0.5 and trial.augment.scanned.policy is not None


MISTAKES = [
    ("scanned", "{op: erosion, probability: 1, radius_range: [0, 0.1]}", r"unet.yaml:5: base.augment: scanned.policy must leave the strokes of scans as they are, but got erosion; leave them out"),
    ("rendered", "{op: gausian_blur, probability: 1, sigma_range: [0, 0.1]}", r"op must be one of elastic, .*, but got 'gausian_blur'; did you mean 'gaussian_blur'"),
    ("rendered", "{op: gaussian_blur, probability: 1, sigma: [0, 0.1]}", r"policy.0.sigma: unknown key 'sigma'; did you mean 'sigma_range'"),
    ("rendered", "{op: gaussian_blur, probability: 1}", r"the key 'sigma_range' is missing; add it"),
    ("rendered", "{op: gaussian_blur, probability: 1.5, sigma_range: [0, 0.1]}", r"policy.0.probability: must be <= 1, but got 1.5"),
    ("rendered", "{op: gaussian_blur, probability: 1, sigma_range: [0.1, 0]}", r"sigma_range: `low <= high` must hold, but got \[0.1, 0\]; swap them"),
    ("rendered", "{op: gaussian_blur, probability: 1, sigma_range: [0, 7]}", r"sigma_range: both ends must lie within 0 to 0.2, but got \[0, 7\]"),
    ("rendered", "{op: gaussian_blur, probability: 1, sigma_range: 7}", r"sigma_range: a range must be two numbers, for example \[0, 0.2\], but got 7"),
    ("rendered", "{op: gaussian_blur, probability: 1, sigma_range: [0, a]}", r"sigma_range: a range must be two numbers"),
    ("rendered", "{op: gaussian_blur, probability: 1, sigma_range: [0, 0.1, 0.2]}", r"but got a list of 3"),
    ("rendered", BLUR + "\n      - " + AFFINE, r"policy: elastic, affine and perspective are one resampling and must stand before all others, but got affine after gaussian_blur; move it up"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "block", "message"), MISTAKES)
def test_a_mistake_is_told_with_its_place_and_its_cure(
    source: str, block: str, message: str, edit: Callable[..., None], load: Callable[[], StudyConfig]
) -> None:
    strength = {"rendered": "{strength: 0.2}", "scanned": "{strength: 0.1}"}[source]
    edit(f"{source}: {strength}", f"{source}:\n    strength: 0.2\n    policy:\n      - {block}", BASE)
    with pytest.raises(ConfigError, match=message):
        load()
