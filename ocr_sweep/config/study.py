"""What a study is: a question, a complete base trial, and what may vary around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from ocr_sweep.config.block import Identifier, Strict
from ocr_sweep.config.dotted import get, put
from ocr_sweep.config.model import TimmConfig
from ocr_sweep.config.pruner import PrunerConfig, pruner_problem
from ocr_sweep.config.sampler import SamplerConfig, sampler_problem
from ocr_sweep.config.space import CategoricalRange, Range, is_active
from ocr_sweep.config.trial import TrialConfig

Cost = Literal["cost/latency_ms", "cost/onnx_bytes", "cost/parameters"]


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


IDENTITY = ("name", "base", "metric", "direction", "against", "repeats", "arms", "sampler", "pruner", "search")


class StudyConfig(Strict):
    """One study, as a person wrote it."""

    name: Identifier
    question: str = Field(min_length=1)
    base: TrialConfig  # trial 0, untouched
    metric: str  # of the validation sets; trials are compared by it
    direction: Literal["maximize", "minimize"]
    against: Cost | None = None  # a second number, to be minimised: the end shows which trials are best at each cost
    repeats: int = Field(default=1, ge=1, le=100)  # seeds of each trial, and folds where the corpus has them; their mean counts
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
    def _search_is_possible(self) -> Self:
        problems = [
            sampler_problem(self.sampler, self.search),
            pruner_problem(self.pruner, repeats=self.repeats, against=self.against),
        ]
        if any(problems):
            raise ValueError("; ".join(problem for problem in problems if problem))
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
    def shared(self) -> tuple[str, list[bool | int | float | str]]:
        """The search path whose choices each get a share of the trials, and their labels: the arms, or else whole networks."""
        path = self.arms or "model"
        space = self.search.get(path)
        return path, space.labels if isinstance(space, CategoricalRange) and not space.when else []

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

    def variants(self, block: str) -> Iterator[TrialConfig]:
        """The base, and the base with each searched end of a block put in, but for those that contradict it."""
        for end in [{}, *self._ends(block)]:
            with suppress(ValidationError):
                yield self.trial_config(end)

    def model_variants(self) -> Iterator[TrialConfig]:
        """The base, and the base with each searched end that can change the network, at each searched end of the image size."""
        for size in [{}, *self._ends("image_size")]:
            for end in [{}, *self._ends("model")]:
                yield self.trial_config({**size, **end})

    def needs_timm(self) -> bool:
        """Whether a trial may have a network of timm's."""
        return any(isinstance(config.model, TimmConfig) for config in self.model_variants())

    def _ends(self, block: str) -> Iterator[dict[str, Any]]:
        """Each searched end of a value, or of the values in a block, by itself."""
        for path, space in self.search.items():
            if space.when or path.split(".")[0] != block:
                continue
            ends = space.labels if isinstance(space, CategoricalRange) else [space.low, space.high]
            yield from ({path: end} for end in ends)

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
        del data["pruner"]["audit"]
        return {key: data[key] for key in IDENTITY}


def metric_names(base: TrialConfig) -> list[str]:
    """The metrics that a study over this base can be run for."""
    corpus = base.corpus
    sets = [s.name for s in corpus.scanned if s.split.val > 0] + [s.name for s in corpus.simulated if s.val_per_class > 0]
    return ["val/accuracy_macro", "val/accuracy", *(f"val/{name}/accuracy" for name in sets)]
