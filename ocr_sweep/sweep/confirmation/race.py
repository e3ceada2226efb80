"""The race of a confirmation: rounds of fresh trainings, after which those that are clearly worse than the leader leave.

A round is one training of everybody who is still in. What is decided after a round rests on the rounds up to it, whoever
finished first and whatever was trained beyond, so a race that is killed and resumed decides the same again.

Looking often, and at several rivals, finds differences that are luck. So the looks up to round n of N may spend (n/N)^3
of the error in all, and a look shares its part among the rivals that are still in (Holm). Parts are added up whatever the
looks and the rivals have in common, so the bound holds for any dependence. The best of all leaves with a
chance below 2.5 %, and of several that are all alike one is called clearly the best in less than 5 % of all races.
A race also ends when the rounds that are left would hardly let anybody else leave; that wrongs nobody.

References:
    Kim & DeMets, Design and analysis of group sequential tests based on the type I error spending rate function,
    Biometrika 74 (1987).
    Ye, Li, Liu & Yao, A group sequential Holm procedure with multiple primary endpoints, Stat. Med. 32 (2013).
    Hsu, Constrained simultaneous confidence intervals for multiple comparisons with the best, Ann. Stat. 12 (1984).
    Jennison & Turnbull, Interim analyses: the repeated confidence interval approach, JRSS B 51 (1989).
    Lan, Simon & Halperin, Stochastically curtailed tests in long-term clinical trials, Sequential Analysis 1 (1982).
    Breiman et al., Classification and Regression Trees (1984): the cheapest within one standard error of the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from ocr_sweep.metrics import Interval
from ocr_sweep.sweep.confirmation.standing import Entrant, Images, Standing

_ERROR = 0.05
_SPENDING = 3  # the power: early looks are for differences that nobody would doubt
_HOPE = 0.05  # a smaller chance of telling more apart is not worth a training


@dataclass(frozen=True)
class Rules:
    """How long a race may take."""

    rounds: int  # at most
    first_look: int  # nobody leaves before this round, and no race ends

    def tail(self, number: int) -> float:
        """The chance that the look after a round may err, on one side of an interval."""
        before = ((number - 1) / self.rounds) ** _SPENDING if number > self.first_look else 0.0
        return _ERROR / 2.0 * ((number / self.rounds) ** _SPENDING - before)


@dataclass(frozen=True)
class Left:
    """Who left, when, and because of whom."""

    trial: int
    round: int
    leader: int
    behind: Interval  # the leader's accuracy minus its own, as the look found it


@dataclass(frozen=True)
class _Look:
    standing: Standing
    tail: float  # of each rival


class Race:
    """A race as far as its complete rounds go.

    Args:
        entrants: those who race, with the rounds that they have behind them.
    """

    def __init__(self, entrants: Sequence[Entrant], rules: Rules, images: Images) -> None:
        self.running = sorted(entrant.trial for entrant in entrants)  # trials that are in
        self.left: list[Left] = []
        self.round = 0  # complete rounds
        self.end = ""  # why it is over; "": it is not
        self._entrants = {entrant.trial: entrant for entrant in entrants}
        self._rules = rules
        self._images = images
        self._looks: list[_Look] = []
        while not self.end and all(len(self._entrants[trial].rounds) > self.round for trial in self.running):
            self._advance()

    def _advance(self) -> None:
        self.round += 1
        if self.round < min(self._rules.first_look, self._rules.rounds):
            return
        standing = Standing(list(self._entrants.values()), self._counted(), self._images)
        ranked = [trial for trial in standing.ranked if trial in self.running]
        if ranked:
            self._looks.append(_Look(standing, self._rules.tail(self.round) / max(1, len(ranked) - 1)))
        if standing.knows_seeds:
            self._drop(ranked)
        self.end = self._why_over()

    def _why_over(self) -> str:
        if len(self.running) == 1:
            return "the answer is clear" if self.left else "there is nobody else"
        if self.round == self._rules.rounds:
            return "the seeds are spent"
        return "more seeds would hardly tell more apart" if self._looks and self._hopeless() else ""

    def _counted(self) -> Mapping[int, int]:
        """So many rounds of each count: those that it ran while it was in."""
        gone = {left.trial: left.round for left in self.left}
        return {trial: gone.get(trial, self.round) for trial in self._entrants}

    def _drop(self, ranked: Sequence[int]) -> None:
        for trial in ranked[1:]:
            behind = self.difference(ranked[0], trial)
            if behind.low > 0:
                self.left.append(Left(trial, self.round, ranked[0], behind))
                self.running.remove(trial)

    def _hopeless(self) -> bool:
        """Whether the chance that the leader's lead becomes clear by the last round is small for everybody."""
        leader, *others = self.ranked
        if len(others) + 1 < len(self.running):
            return False  # somebody has no result yet
        done = self.round / self._rules.rounds
        errors = -float(ndtri(self._rules.tail(self._rules.rounds) / max(1, len(others))))
        for trial in others:
            found = self.standing.difference(leader, trial)
            change = self.standing.passing_variance(leader, trial) * (1.0 - done)  # what the rounds to come may change
            bound = errors * math.sqrt(found.variance - change)
            if ndtr((found.value - bound) / math.sqrt(max(change, 1e-24))) > _HOPE:
                return False
        return True

    @property
    def looked(self) -> bool:
        """Whether anything is known: the properties below mean nothing before."""
        return bool(self._looks)

    @property
    def over(self) -> bool:
        """Whether no round of it is left."""
        return bool(self.end)

    @property
    def trainings(self) -> int:
        """So many trainings its decisions rest on."""
        counted = self._counted()
        return sum(counted[trial] for trial in self._entrants)

    @property
    def standing(self) -> Standing:
        """What is known after the last look."""
        return self._looks[-1].standing

    @property
    def ranked(self) -> list[int]:
        """Those that are in and have a result, best first."""
        return [trial for trial in self.standing.ranked if trial in self.running]

    def chosen(self) -> int:
        """The cheapest of those that the leader is no standard error ahead of; of equally cheap ones the best."""
        leader, *others = self.ranked
        ahead = {trial: self.standing.difference(leader, trial) for trial in others}
        near = [leader, *(trial for trial, found in ahead.items() if found.value <= found.error)]
        return min(near, key=lambda trial: self._entrants[trial].cost)

    def difference(self, a: int, b: int) -> Interval:
        """The accuracy of a minus that of b, and what all looks together leave of it."""
        found = [look.standing.difference(a, b).interval(look.tail) for look in self._looks if look.standing.knows(a, b)]
        value = found[-1].value
        return Interval(value, min(value, max(one.low for one in found)), max(value, min(one.high for one in found)))

    def accuracy(self, trial: int) -> Interval:
        """Its accuracy over its seeds, with an interval that holds for whoever is chosen."""
        standing = self.standing
        return standing.accuracy(trial).share(chosen_from=len(standing.ranked), own_variance=standing.own_variance(trial))
