"""How the trials of a study are proposed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ocr_sweep.config.block import Strict
from ocr_sweep.config.space import FloatRange, Range

MAX_GRID = 100_000  # points


class SamplerConfig(Strict):
    """How trials are proposed; each is drawn from (seed, the trial's number, the results it saw) alone.

    tpe: parzen estimators, for any space. gp: a Gaussian process, for few numbers and at most some hundred trials. nsga2: an
    evolution, for two objectives. qmc: Sobol's sequence. grid: every point once, in a shuffled order.
    """

    kind: Literal["tpe", "gp", "qmc", "random", "grid", "nsga2"]
    seed: int = Field(ge=0, lt=2**31)
    startup_trials: int = Field(default=5, ge=1, le=10_000)  # tpe, gp: random trials before they begin
    population: int = Field(default=24, ge=2, le=1000)  # nsga2: trials of a generation

    @model_validator(mode="after")
    def _options_are_used(self) -> Self:
        for option, users in (("startup_trials", ("tpe", "gp", "random")), ("population", ("nsga2",))):
            if getattr(self, option) != type(self).model_fields[option].default and self.kind not in users:
                known = " or ".join(kind for kind in users if kind != "random")  # studies of former versions gave it to random
                raise ValueError(f"{option} must go with the sampler {known}, but got kind {self.kind!r}; leave {option} out")
        return self


def sampler_problem(sampler: SamplerConfig, search: Mapping[str, Range]) -> str:
    """Why a sampler cannot take a space, and what to write instead; empty where it can."""
    conditional = sorted(path for path, space in search.items() if space.when)
    if sampler.kind in ("gp", "qmc", "nsga2") and conditional:
        return (
            f"sampler {sampler.kind!r} needs values that every trial has, and would draw others blindly, but these have `when:`: "
            f"{', '.join(conditional)}; write kind: tpe"
        )
    if sampler.kind != "grid":
        return ""
    endless = sorted(path for path, space in search.items() if isinstance(space, FloatRange) and space.step is None)
    if endless:
        return (
            f"sampler 'grid' tries every point, so every number needs steps, but these have none: {', '.join(endless)}; "
            "add e.g. step: 0.1, or write type: categorical and choices"
        )
    return _grid_problem(search)


def _grid_problem(search: Mapping[str, Range]) -> str:
    size = 1
    for space in search.values():
        size *= space.num_points or 1
    if size <= MAX_GRID:
        return ""
    return f"sampler 'grid' must have at most {MAX_GRID} points, but this space has {size}; take larger steps, or write kind: qmc"
