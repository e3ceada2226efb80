"""What to ask next, as far as the records of a study suggest it. Each rule names the number that it rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ocr_sweep.report.words import percent, points
from ocr_sweep.sweep.confirmation.judge import Verdict

_EDGE = 0.05  # of a range: a winner so near its end may want to be beyond it
_GAP = 0.05  # a class group so far behind the best one is worth a question


@dataclass(frozen=True)
class Range:
    """A searched number, as the winner has it."""

    path: str
    value: float
    low: float
    high: float
    log: bool

    @property
    def place(self) -> float:
        """0 at the low end, 1 at the high one."""
        if self.high <= self.low:
            return 0.5
        low, high, at = (
            (math.log(v) for v in (self.low, self.high, self.value)) if self.log else (self.low, self.high, self.value)
        )
        return (at - low) / (high - low)


@dataclass(frozen=True)
class Facts:
    """What the rules look at."""

    study: str
    metric: str
    verdict: Verdict | None
    failures: tuple[tuple[str, int], ...]
    ranges: tuple[Range, ...]
    groups: Mapping[str, float]  # class group -> the winner's accuracy on val
    stopped: int  # trainings that can go on
    num_complete: int


def next_questions(facts: Facts) -> Iterator[str]:
    """The questions, the nearest first."""
    verdict = facts.verdict
    if verdict is None:
        left = f", {facts.stopped} of them stopped in the middle" if facts.stopped else ""
        yield f"What is the answer? {facts.num_complete} trainings are complete{left}: `make sweep STUDY={facts.study}` goes on."
    elif not verdict.clear and verdict.difference is not None and verdict.difference.low <= 0 <= verdict.difference.high:
        low, high = points(verdict.difference.low), points(verdict.difference.high)
        yield (
            f"Is there a difference at all? {low} to {high} points are still possible: more seeds (`confirm.seeds`) or more "
            "validation images would tell."
        )
    for one in facts.ranges:
        if one.place <= _EDGE or one.place >= 1 - _EDGE:
            end, limit = ("low", one.low) if one.place <= _EDGE else ("high", one.high)
            yield (
                f"Is {one.path} better still {end}er? The winner has {one.value:.3g}, at the {end} end ({limit:g}) of what was "
                "searched."
            )
    if facts.groups:
        best, worst = max(facts.groups, key=facts.groups.__getitem__), min(facts.groups, key=facts.groups.__getitem__)
        if facts.groups[best] - facts.groups[worst] >= _GAP:
            yield (
                f"What would help the classes that are {worst}? The winner reads {percent(facts.groups[worst])} of them on val, "
                f"and {percent(facts.groups[best])} of those that are {best}."
            )
    for reason, count in facts.failures:
        number = "a training" if count == 1 else f"{count} trainings"
        yield f"Why did {number} fail with `{reason}`? See `ocr-sweep runs list {facts.study}`."
