"""What may vary in a study: ranges, each under the path of a value of the base."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from ocr_sweep.config.block import Strict
from ocr_sweep.config.dotted import get, put
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
    step: float | None = Field(default=None, gt=0.0)  # only low, low + step, low + 2 step and so on; null: every number

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_ends(self.low, self.high, self.log)
        _check_step(self.low, self.high, self.step, self.log)
        return self

    @property
    def num_points(self) -> int | None:
        """How many numbers lie in it; None: too many to count."""
        return None if self.step is None else _num_steps(self.low, self.high, self.step) + 1

    def points(self) -> list[float]:
        """Its numbers, where it has steps."""
        assert self.step is not None
        return [float(_exact(self.low) + number * _exact(self.step)) for number in range(self.num_points or 0)]


class IntRange(_Range):
    """A whole number between two ends, both included."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int = Field(default=1, ge=1)  # only low, low + step, low + 2 step and so on

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_ends(self.low, self.high, self.log)
        _check_step(self.low, self.high, self.step if self.step != 1 else None, self.log)
        return self

    @property
    def num_points(self) -> int:
        """How many numbers lie in it."""
        return (self.high - self.low) // self.step + 1

    def points(self) -> list[int]:
        """Its numbers."""
        return list(range(self.low, self.high + 1, self.step))


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

    @property
    def num_points(self) -> int:
        """How many choices there are."""
        return len(self.choices)

    def points(self) -> list[bool | int | float | str]:
        """The labels of its choices."""
        return list(self.labels)


Range = Annotated[FloatRange | IntRange | CategoricalRange, Field(discriminator="type")]


def is_active(space: Range, params: Mapping[str, Any]) -> bool:
    """Whether a parameter exists under the choices made so far."""
    return all(params.get(path) == label for path, label in space.when.items())


def contains(space: Range, value: Any) -> bool:
    """Whether a value lies in a numeric range, and on one of its steps where it has any."""
    assert not isinstance(space, CategoricalRange)
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (number and space.low <= value <= space.high):
        return False
    return space.step is None or (_exact(value) - _exact(space.low)) % _exact(space.step) == 0


def _check_ends(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ValueError(f"`low <= high` must hold, but got (low={low:g}, high={high:g}); swap them")
    if log and low <= 0:
        raise ValueError(f"`low > 0` must hold when log is true, but got (low={low:g}); raise low or leave log out")


def _check_step(low: float, high: float, step: float | None, log: bool) -> None:
    if step is None:
        return
    if log:
        raise ValueError(f"step must go with log: false, but got (step={step:g}, log=true); leave one of them out")
    if (_exact(high) - _exact(low)) % _exact(step):
        last = float(_exact(low) + _num_steps(low, high, step) * _exact(step))
        raise ValueError(f"high must lie on a step, but got (low={low:g}, high={high:g}, step={step:g}); write high: {last:g}")


def _num_steps(low: float, high: float, step: float) -> int:
    return int((_exact(high) - _exact(low)) // _exact(step))


def _exact(value: float) -> Decimal:
    """A number as it is written: 0.3 is three steps of 0.1."""
    return Decimal(str(value))


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
