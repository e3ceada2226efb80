"""What fails again and again while others of its kind succeed gets no more: a choice of the search space, a place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from ocr_sweep.sweep.running.slots import Place
from ocr_sweep.sweep.watching.board import Result
from ocr_sweep.tracking.record import Outcome

_LIMIT = 3  # trials
_WORKS = (Outcome.COMPLETE, Outcome.PRUNED)

Choice = tuple[str, object]  # search path and label


class Breaker:
    """Judges by this session alone: what was broken in an earlier one may have been mended.

    A choice is out when so many of its trials failed and none had a result, while another choice of its path had one.
    A place is out when the processes of so many trials ended badly there in a row, while others completed elsewhere.

    Args:
        choices: search paths whose values are choices.
        say: hears what is out, once.
    """

    def __init__(self, choices: Collection[str], say: Callable[[str], None]) -> None:
        self._choices = choices
        self._say = say
        self._worked: Counter[Choice] = Counter()
        self._failed: Counter[Choice] = Counter()
        self._out: set[Choice] = set()
        self._streaks: dict[str, _Streak] = {}
        self._broken: set[str] = set()

    def heard(self, result: Result, place: Place) -> None:
        """Take in how a training ended, and where."""
        works = result.outcome in _WORKS
        if result.job.role == "search":
            tally = self._worked if works else self._failed
            tally.update((path, result.job.params[path]) for path in self._choices if path in result.job.params)
            self._judge_choices()
        if works:
            self._worked_at(place)
        elif "cuda" in result.reason.lower():  # an error of the device, or of what runs on it
            self.failed_at(place, result.job.name)

    def failed_at(self, place: Place, name: str) -> None:
        """Take in that a process of a training ended badly at a place, whether or not the training goes on."""
        for part in place.parts:
            self._streaks.setdefault(part, _Streak()).failed.add(name)
        self._judge_places()

    def refuses(self, params: Mapping[str, object]) -> str | None:
        """Why a point of the search space is not to be tried; None: it may be."""
        out = [(path, params[path]) for path in self._choices if path in params and (path, params[path]) in self._out]
        return self._why(out[0]) if out else None

    @property
    def broken(self) -> frozenset[str]:
        """Parts of places that get nothing more."""
        return frozenset(self._broken)

    def _judge_choices(self) -> None:
        for choice in set(self._failed) - self._out:
            others = any(path == choice[0] and label != choice[1] for path, label in self._worked)
            if self._failed[choice] >= _LIMIT and not self._worked[choice] and others:
                self._out.add(choice)
                self._say(f"{self._why(choice)}, while others had one; it is proposed no more in this session")

    def _why(self, choice: Choice) -> str:
        return f"{self._failed[choice]} trials with {choice[0]}: {choice[1]} failed and none had a result"

    def _worked_at(self, place: Place) -> None:
        for part in place.parts:
            self._streaks.pop(part, None)
        for streak in self._streaks.values():
            streak.others_work = True
        self._judge_places()

    def _judge_places(self) -> None:
        for part, streak in self._streaks.items():
            if len(streak.failed) >= _LIMIT and streak.others_work and part not in self._broken:
                self._broken.add(part)
                self._say(
                    f"the last {len(streak.failed)} trainings on {part} ended badly, while others completed elsewhere; "
                    "it gets no more in this session"
                )


class _Streak:
    """Bad ends in a row at one part of a place."""

    def __init__(self) -> None:
        self.failed: set[str] = set()  # names of the trainings
        self.others_work = False  # since the first of them
