"""From a policy in a study's words to the effects that are applied."""

from __future__ import annotations

import re
import typing
from dataclasses import fields
from typing import Any

import pytest

from ocr_sweep.augment import BUILT_IN, Policy, treatments
from ocr_sweep.augment.build import build_step
from ocr_sweep.augment.policy import Op
from ocr_sweep.config import augment as blocks
from ocr_sweep.config.augment import AugmentConfig
from ocr_sweep.store import Source


def in_words(policy: Policy) -> list[dict[str, Any]]:
    """A policy as a study would write it."""
    return [
        {
            "op": re.sub("(?<!^)([A-Z])", r"_\1", type(step.op).__name__).lower(),
            "probability": step.probability,
            **{field.name: list(getattr(step.op, field.name)) for field in fields(step.op)},
        }
        for step in policy.steps
    ]


@pytest.mark.parametrize("source", ["rendered", "scanned"])
def test_a_built_in_table_written_as_a_policy_is_the_table(source: str) -> None:
    words = {"strength": 0.4, "policy": in_words(BUILT_IN[source])}
    config = AugmentConfig.model_validate({"rendered": {"strength": 0.2}, "scanned": {"strength": 0.1}, source: words})
    how = treatments(config)[Source[source.upper()]]
    assert how.policy == BUILT_IN[source] and how.strength == 0.4


def test_without_a_policy_the_tables_hold() -> None:
    how = treatments(AugmentConfig.model_validate({"rendered": {"strength": 0.2}, "scanned": {"strength": 0.1}}))
    assert how[Source.RENDERED].policy is BUILT_IN["rendered"] and how[Source.RENDERED].strength == 0.2
    assert how[Source.SCANNED].policy is BUILT_IN["scanned"] and how[Source.SCANNED].strength == 0.1
    assert Source.SIMULATED not in how  # what is measured on is never distorted


def test_every_effect_has_a_block_with_the_same_ranges() -> None:
    effects = {kind.__name__: {field.name for field in fields(kind)} for kind in typing.get_args(Op)}
    config = typing.get_args(typing.get_args(blocks.OpConfig)[0])
    stated = {kind.__name__.removesuffix("Config"): set(kind.model_fields) - {"op", "probability"} for kind in config}
    assert effects == stated and len(effects) == 18
    for kind in config:
        ranges = {
            name: (0.5, 0.5) if name != "tilt_range" else (0.1, 0.1) for name in stated[kind.__name__.removesuffix("Config")]
        }
        ranges = {name: (2.0, 3.0) if name in ("decay_range", "quality_range") else ends for name, ends in ranges.items()}
        ranges |= {name: (0.1, 0.1) for name in ranges if name in ("sigma_range",)}
        step = build_step(
            kind.model_validate({"op": typing.get_args(kind.model_fields["op"].annotation)[0], "probability": 0.5, **ranges})
        )
        assert type(step.op).__name__ == kind.__name__.removesuffix("Config")
        assert {name: getattr(step.op, name) for name in ranges} == ranges and step.probability == 0.5
