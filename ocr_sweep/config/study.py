"""What a study is: a question, a complete base trial, and what may vary around it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from ocr_sweep.config.block import Identifier, Strict
from ocr_sweep.config.trial import TrialConfig

Scalar = bool | int | float | str | None


class _Range(Strict):
    when: dict[str, str | bool | int] = Field(default_factory=dict)  # search path -> choice under which this one exists


class FloatRange(_Range):
    """A real number between two ends, both included."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_ends(self.low, self.high, self.log)
        return self


class IntRange(_Range):
    """A whole number between two ends, both included."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_ends(self.low, self.high, self.log)
        return self


class CategoricalRange(_Range):
    """One of several values; a value that came from a file is a whole block and goes by the file's stem."""

    type: Literal["categorical"]
    choices: list[Scalar | dict[str, Any]] = Field(min_length=2)
    labels: list[bool | int | float | str] = Field(default_factory=list)  # filled in when the file is read

    def label_of(self, path: str, trial: Mapping[str, Any]) -> bool | int | float | str:
        """The name under which Optuna and MLflow know the choice that a trial holds at a path.

        Args:
            trial: plain data of a whole trial.

        Raises:
            ValueError: its value is none of the choices.
        """
        value = _completed(trial, path, get(trial, path))
        for choice, label in zip(self.choices, self.labels, strict=True):
            if _completed(trial, path, choice) == value and isinstance(choice, bool) == isinstance(value, bool):
                return label
        raise ValueError(f"must be one of the choices {', '.join(map(str, self.labels))}")

    def choice_of(self, label: Any) -> Any:
        """The value behind a label."""
        return self.choices[self.labels.index(label)]


Range = Annotated[FloatRange | IntRange | CategoricalRange, Field(discriminator="type")]


def _check_ends(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ValueError(f"`low <= high` must hold, but got (low={low:g}, high={high:g}); swap them")
    if log and low <= 0:
        raise ValueError(f"`low > 0` must hold when log is true, but got (low={low:g}); raise low or leave log out")


class ConfirmConfig(Strict):
    """The best few are trained again with fresh seeds, round by round, and the winner is chosen among those."""

    top: int = Field(ge=1, le=100)  # so many trials, beside trial 0
    seeds: int = Field(ge=1, le=100)  # fresh trainings of each at most; who is clearly worse gets fewer
    min_seeds: int = Field(default=2, ge=1, le=100)  # at least; where `seeds` is smaller, that many

    @model_validator(mode="after")
    def _seeds_are_enough(self) -> Self:
        if "min_seeds" in self.model_fields_set and self.min_seeds > self.seeds:
            raise ValueError(f"`min_seeds <= seeds` must hold, but got (min_seeds={self.min_seeds}, seeds={self.seeds})")
        return self


class SamplerConfig(Strict):
    """How trials are proposed."""

    kind: Literal["tpe", "random"]
    seed: int = Field(ge=0, lt=2**31)
    startup_trials: int = Field(default=5, ge=1, le=10_000)  # random trials before TPE begins


class PrunerConfig(Strict):
    """How hopeless trials are stopped."""

    kind: Literal["none", "median", "hyperband"]
    warmup_epochs: int = Field(default=2, ge=1, le=10_000)  # no trial is stopped before
    startup_trials: int = Field(default=4, ge=1, le=10_000)  # median: no trial is stopped before so many are finished


class ReportedConfig(Strict):
    """Numbers that somebody has published about the same arms, to be set beside ours."""

    source: str = Field(min_length=1)  # where they stand
    metric: str = Field(min_length=1)  # what they are, in their author's words
    images: int | None = Field(default=None, ge=1)  # on so many images; null: not said
    values: dict[str, float]  # arm -> accuracy, 0 to 1

    @field_validator("values")
    @classmethod
    def _are_shares(cls, values: dict[str, float]) -> dict[str, float]:
        wrong = {arm: value for arm, value in values.items() if not 0 <= value <= 1}
        if wrong:
            raise ValueError(f"must be shares from 0 to 1, but got {', '.join(f'{arm}: {v:g}' for arm, v in wrong.items())}")
        return values


class StudyConfig(Strict):
    """One study, as a person wrote it."""

    name: Identifier
    question: str = Field(min_length=1)
    base: TrialConfig  # trial 0, untouched
    metric: str  # of the validation sets; trials are compared by it
    direction: Literal["maximize", "minimize"]
    trials: int = Field(ge=1, le=100_000)  # finished trials, resumed sessions counted in
    # trials at a time, if GPUs and memory allow; null: as many as the cores hold, too, at `training.threads` x `training.devices`
    workers: int | None = Field(default=None, ge=1, le=1024)
    gpu_share: float = Field(default=1.0, gt=0, le=1)  # of a GPU that a trial takes; 0.5: two trials on each
    # without a sign of life for so long, a trial's process is ended, and started again from its checkpoint
    stall_minutes: float = Field(default=15.0, gt=0, le=10_000)
    max_failures: int = Field(default=5, ge=1, le=1000)  # so many failed trials in a row stop the study
    confirm: ConfirmConfig
    sampler: SamplerConfig
    pruner: PrunerConfig
    search: dict[str, Range]
    arms: str | None = None  # search path whose choices are to be compared: the best of each is confirmed, too
    reported: ReportedConfig | None = None

    @field_validator("metric")
    @classmethod
    def _metric_is_of_validation(cls, metric: str, others: ValidationInfo) -> str:
        known = metric_names(others.data["base"]) if "base" in others.data else [metric]  # a wrong base is reported itself
        if metric not in known:
            raise ValueError(f"must be one of {', '.join(known)} (test sets are never chosen by), but got {metric!r}")
        return metric

    @field_validator("direction")
    @classmethod
    def _accuracy_is_maximized(cls, direction: str) -> str:
        if direction != "maximize":
            raise ValueError(f"must be maximize, because every metric is an accuracy, but got {direction}")
        return direction

    @model_validator(mode="after")
    def _arms_are_choices(self) -> Self:
        if self.arms is None:
            return self
        space = self.search.get(self.arms)
        if not isinstance(space, CategoricalRange) or space.when:
            known = ", ".join(path for path, s in self.search.items() if isinstance(s, CategoricalRange) and not s.when)
            raise ValueError(f"arms: must name a categorical search path, but got '{self.arms}'; there is {known or 'none'}")
        unknown = sorted(set(self.reported.values) - {str(label) for label in space.labels}) if self.reported else []
        if unknown:
            raise ValueError(
                f"reported.values: must name arms, which are {', '.join(map(str, space.labels))}, but got {', '.join(unknown)}"
            )
        return self

    @model_validator(mode="after")
    def _a_shared_gpu_is_one(self) -> Self:
        if self.gpu_share < 1 and self.base.training.devices > 1:
            raise ValueError(
                "gpu_share: trials on several devices take whole GPUs, "
                f"but got (gpu_share={self.gpu_share:g}, base.training.devices={self.base.training.devices}); leave gpu_share out"
            )
        return self

    @property
    def num_arms(self) -> int:
        """How many arms are compared; 0 where the study names none."""
        space = self.search[self.arms] if self.arms else None
        return len(space.choices) if isinstance(space, CategoricalRange) else 0

    @property
    def choices(self) -> list[str]:
        """Search paths whose values are choices."""
        return [path for path, space in self.search.items() if isinstance(space, CategoricalRange)]

    @property
    def chooses_nothing(self) -> bool:
        """Whether the study searches over its arms alone: then no trial is chosen by its number, and each counts as it is."""
        return set(self.search) == {self.arms}

    def trial_config(self, params: Mapping[str, Any]) -> TrialConfig:
        """The base with proposed values put in; categorical values come as labels."""
        return TrialConfig.model_validate(self.apply(params))

    def apply(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The base as plain data with proposed values put in, blocks first."""
        data = self.base.model_dump()
        for path in sorted(params, key=lambda path: path.count(".")):
            space = self.search[path]
            value = space.choice_of(params[path]) if isinstance(space, CategoricalRange) else params[path]
            put(data, path, value)
        return data

    def base_params(self) -> dict[str, Any]:
        """The base as a point of the search space."""
        data = self.base.model_dump()
        params: dict[str, Any] = {}
        for path in self.ordered_search():
            space = self.search[path]
            if is_active(space, params):
                params[path] = space.label_of(path, data) if isinstance(space, CategoricalRange) else get(data, path)
        return params

    def first_points(self) -> list[dict[str, Any]]:
        """The points that are tried before any is proposed: the base, and the base with each other block or arm put in."""
        base = self.base_params()
        points = [base]
        for path, space in self.search.items():
            blocks = isinstance(space, CategoricalRange) and any(isinstance(choice, dict) for choice in space.choices)
            if isinstance(space, CategoricalRange) and (blocks or path == self.arms):
                others = [label for label in space.labels if label != base[path]]
                kept = {key: value for key, value in base.items() if not self.search[key].when}
                points += [{**kept, path: label} for label in others]
        return points

    def ordered_search(self) -> list[str]:
        """Search paths in the order of asking: what others depend on comes first."""
        return sorted(self.search, key=lambda path: (bool(self.search[path].when), path.count("."), path))

    def identity(self) -> dict[str, Any]:
        """What may not change while the study lives; budgets and words may."""
        data = self.model_dump(mode="json")
        return {key: data[key] for key in ("name", "base", "metric", "direction", "sampler", "pruner", "search")}


def metric_names(base: TrialConfig) -> list[str]:
    """The metrics that a study over this base can be run for."""
    corpus = base.corpus
    sets = [s.name for s in corpus.scanned if s.split.val > 0] + [s.name for s in corpus.simulated if s.val_per_class > 0]
    return ["val/accuracy_macro", "val/accuracy", *(f"val/{name}/accuracy" for name in sets)]


def is_active(space: Range, params: Mapping[str, Any]) -> bool:
    """Whether a parameter exists under the choices made so far."""
    return all(params.get(path) == label for path, label in space.when.items())


def get(data: Any, path: str) -> Any:
    """The value at a dotted path.

    Raises:
        KeyError: the path names nothing.
    """
    for key in path.split("."):
        if not isinstance(data, dict) or key not in data:
            raise KeyError(path)
        data = data[key]
    return data


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Replace the value at a dotted path that exists."""
    *parents, last = path.split(".")
    for key in parents:
        data = data[key]
    assert last in data, path
    data[last] = copy.deepcopy(value)


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested blocks as dotted keys; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _completed(trial: Mapping[str, Any], path: str, value: Any) -> Any:
    """A value as the trial would hold it: a block has every key then, those that may be left out, too."""
    if not isinstance(value, Mapping):
        return value
    data = copy.deepcopy(dict(trial))
    put(data, path, value)
    try:
        return get(TrialConfig.model_validate(data).model_dump(), path)
    except ValidationError:
        return value  # what is wrong with it is reported elsewhere


def contains(space: Range, value: Any) -> bool:
    """Whether a value lies in a numeric range."""
    assert not isinstance(space, CategoricalRange)
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return number and space.low <= value <= space.high
