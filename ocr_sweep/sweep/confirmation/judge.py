"""The verdict of a study: who won its race, by how much, and how sure that is. It rests on validation alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.errors import TooManyFailuresError
from ocr_sweep.metrics import Interval
from ocr_sweep.sweep.confirmation.confirm import Confirmation
from ocr_sweep.sweep.confirmation.race import Left, Race
from ocr_sweep.tracking.record import RunRecord


@dataclass(frozen=True)
class Verdict:
    """Who won, by how much, and how sure that is."""

    metric: str
    winner: int  # trial
    run_id: str  # the training of the winner that is registered
    interval: Interval  # of the winner's mean over fresh seeds; it holds for whoever was chosen
    base_interval: Interval  # of the base, likewise
    difference: Interval | None  # winner (or best rival) minus base; None when nothing else was confirmed
    clear: bool  # whether the winner beats the base beyond doubt
    sentence: str
    simulated: bool
    runs: int = 0  # complete trainings of search and confirmation that were known to it; 0: a former version did not say
    candidates: int = 0
    rounds: int = 0
    trainings: int = 0  # that the race took
    end: str = ""  # why the race was over
    left: tuple[Left, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a record."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Verdict:
        """Read what `as_dict` gave, in this version or a former one."""
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        intervals = {name: Interval(**data[name]) for name in ("interval", "base_interval", "difference") if data.get(name)}
        left = tuple(Left(**{**one, "behind": Interval(**one["behind"])}) for one in data.get("left", ()))
        return cls(**{**known, **intervals, "left": left})

    def race_lines(self) -> list[str]:
        """How the race went, a line for everybody who left and one for its end; none of a former version's verdict."""
        if not self.end:
            return []
        counts = ((self.candidates, "candidate"), (self.rounds, "round"), (self.trainings, "training"))
        numbers = ", ".join(f"{count} {noun}" if count == 1 else f"{count} {noun}s" for count, noun in counts)
        return [*map(left_line, self.left), f"{numbers}: {self.end}"]


def left_line(left: Left) -> str:
    """Who left, when and why."""
    return f"trial {left.trial} left after round {left.round}, behind trial {left.leader} by {_points(left.behind)}"


def num_complete(records: Sequence[RunRecord]) -> int:
    """So many trainings a verdict could rest on."""
    return sum(record.complete and record.role in ("search", "confirm") for record in records)


def judge(study: StudyConfig, confirmation: Confirmation, records: Sequence[RunRecord], *, simulated: bool) -> Verdict:
    """Choose the winner of the race, on validation alone.

    Raises:
        TooManyFailuresError: no confirming training ended with a result.
    """
    race = confirmation.race(records)
    if not race.looked:
        raise TooManyFailuresError(
            f"study '{study.name}' has no winner: none of its confirming trainings ended with a result; "
            f"see `ocr-sweep runs list {study.name}`, mend the cause and run the same command again"
        )
    winner, base = race.chosen(), confirmation.base
    known_base = race.standing.knows(base)
    rival = winner if winner != base else next((trial for trial in race.standing.ranked if trial != base), base)
    difference = race.difference(rival, base) if known_base and rival != base else None
    clear = winner != base and difference is not None and race.standing.knows_seeds and difference.low > 0
    return Verdict(
        metric=study.metric,
        winner=winner,
        run_id=confirmation.delivered(records, race, winner).run_id,
        interval=race.accuracy(winner),
        base_interval=race.accuracy(base if known_base else winner),
        difference=difference,
        clear=clear,
        sentence=_sentence(race, winner, rival, base, difference),
        simulated=simulated,
        runs=num_complete(records),
        candidates=len(race.standing.ranked),
        rounds=race.round,
        trainings=race.trainings,
        end=race.end,
        left=tuple(race.left),
    )


def _sentence(race: Race, winner: int, rival: int, base: int, difference: Interval | None) -> str:
    if not race.standing.knows(base):
        return f"trial {winner} is the best that was confirmed; the base has no result to compare it with"
    if difference is None:
        return "only the base was confirmed"
    points = _points(difference)
    if not race.standing.knows_seeds:
        return f"trial {rival} and the base were trained once each, which says nothing of other seeds: {points}; " + (
            f"trial {winner}, {_why(race, winner)}, is kept"
        )
    if winner == race.ranked[0] == base:
        number = len(race.standing.ranked) - 1
        if difference.high < 0:
            return f"trial {base}, the base, beats the best {number} of the search clearly; trial {rival} is nearest: {points}"
        return f"trial {base}, the base, is as good as the best {number} of the search; trial {rival} is nearest: {points}"
    if winner == base or difference.low <= 0:
        return f"trial {rival} and the base are indistinguishable: {points}; trial {winner}, {_why(race, winner)}, is kept"
    return f"trial {winner} beats the base clearly: {points}{_alike(race, winner, base)}"


def _why(race: Race, winner: int) -> str:
    return "which leads" if winner == race.ranked[0] else "the cheaper one"


def _alike(race: Race, winner: int, base: int) -> str:
    """Who else may be as good."""
    others = [str(trial) for trial in sorted(race.ranked) if trial not in (winner, base)]
    if not others:
        return ""
    named = f"trial {others[0]} is" if len(others) == 1 else f"trials {', '.join(others)} are"
    return f"; {named} indistinguishable from it" + ("" if winner == race.ranked[0] else ", and it is the cheapest")


def _points(interval: Interval) -> str:
    value, low, high = (f"{100 * end:+.1f}" for end in (interval.value, interval.low, interval.high))
    return f"{value} points (95 % interval {low} to {high})"
