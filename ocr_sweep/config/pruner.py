"""How hopeless trials of a study are stopped."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ocr_sweep.config.block import Strict

WILCOXON_P = 0.1  # a trial is given up where so poor a showing has this probability by chance
MIN_REPEATS = 5  # with four the signed-rank test can say p = 1/16 at best, with three 1/8; a fifth is there to be saved

_USERS = {"warmup_epochs": ("median", "hyperband"), "startup_trials": ("median",), "audit": ("median", "hyperband", "wilcoxon")}


class PrunerConfig(Strict):
    """How hopeless trials are stopped: by epoch (median, hyperband), or between the repeats of a trial (wilcoxon).

    A trial is compared with trials of its own arm and architecture alone, and only before its handover.
    """

    kind: Literal["none", "median", "hyperband", "wilcoxon"]
    warmup_epochs: int = Field(default=2, ge=1, le=10_000)  # by epoch: no trial is stopped before
    startup_trials: int = Field(default=4, ge=1, le=10_000)  # median: no trial is stopped before so many peers are finished
    audit: float = Field(default=0.1, ge=0.0, le=1.0)  # share of the pruned, at least one, that is trained to the end; 0: none

    @model_validator(mode="after")
    def _options_are_used(self) -> Self:
        for option, users in _USERS.items():
            value = getattr(self, option)
            if value not in (type(self).model_fields[option].default, 0) and self.kind not in users:
                known = f"{', '.join(users[:-1])} or {users[-1]}" if len(users) > 1 else users[0]
                raise ValueError(f"{option} must go with the pruner {known}, but got kind {self.kind!r}; leave {option} out")
        return self


def pruner_problem(pruner: PrunerConfig, *, repeats: int, against: str | None) -> str:
    """Why a pruner cannot serve a study, and what to write instead; empty where it can."""
    if pruner.kind != "none" and against is not None:
        return (
            "pruner must be {kind: none} where trials are compared by two numbers, because a poor accuracy may come with a low "
            f"cost, but got kind {pruner.kind!r} with against: {against}"
        )
    if pruner.kind == "wilcoxon" and repeats < MIN_REPEATS:
        return (
            f"pruner 'wilcoxon' must have repeats >= {MIN_REPEATS}, but got repeats: {repeats}: it compares a trial with the "
            f"best one repeat by repeat, and is sure (p < {WILCOXON_P}) after four of them at the earliest (p = 1/16; with three "
            "1/8), where one must be left to be saved; raise repeats, or write kind: median"
        )
    return ""
