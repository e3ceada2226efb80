"""The answer in plain words, with how sure it is. It rests on val alone: the test sets stay sealed for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ocr_sweep.metrics import Interval
from ocr_sweep.report.arms import Arm, in_split, standing
from ocr_sweep.report.tables import config_rows
from ocr_sweep.report.words import COSTS, amount, percent, points, runs_of
from ocr_sweep.store import CorpusView


@dataclass(frozen=True)
class Verdict:
    """What to believe: one sentence, what else to know, and the best arm's lead over each other."""

    headline: str
    remarks: tuple[str, ...]
    leads: tuple[tuple[Arm, Interval], ...]  # other arm, best minus other


def judge(arms: Sequence[Arm], view: CorpusView, differ_in: str = "model") -> Verdict:
    """Compare the best arm with each other on val, paired over images, clustered by class and group, seeds included.

    The leads hold together (Bonferroni): the best of many arms is ahead of some by luck.

    Args:
        differ_in: the key of the configuration that the arms are meant to differ in; what else differs is said.
    """
    best, others = arms[0], arms[1:]
    found = standing(arms, in_split(best, view, "val"))
    where = "val (simulated)" if view.simulated else "val"
    tail = 0.025 / max(1, len(others))
    leads = tuple((arm, found.difference(0, place).interval(tail)) for place, arm in enumerate(others, start=1))
    if not leads:
        alone = found.accuracy(0).share()
        headline = f"{best.name} reads {percent(alone.value)} of {where} right (95 % interval {_between(alone, percent)})."
        return Verdict(headline, ("There is one arm only: nothing to compare it with.", *_remarks(arms)), leads)
    remarks = (*_ties(best, leads), *_confounded(best, others[0], differ_in), *_remarks(arms))
    return Verdict(_headline(best, *leads[0], where), remarks, leads)


def _headline(best: Arm, other: Arm, lead: Interval, where: str) -> str:
    interval = f"95 % interval {_between(lead, points)}"
    if lead.low > 0.0:
        return f"{best.name} is better than {other.name} by {points(lead.value)} points on {where} ({interval})."
    return (
        f"{best.name} and {other.name} are indistinguishable on {where}: "
        f"they differ by {points(lead.value)} points, and the {interval} holds 0."
    )


def _ties(best: Arm, leads: Sequence[tuple[Arm, Interval]]) -> list[str]:
    tied = [arm for arm, lead in leads if lead.low <= 0.0]
    remarks = []
    if len(tied) > 1:
        remarks.append(f"Indistinguishable from {best.name}: {', '.join(arm.name for arm in tied)}.")
    for metric in ("cost/latency_ms", "cost/parameters"):
        costs = [(cost, arm) for arm in (best, *tied) if (cost := arm.metric(metric)) is not None]
        if tied and len(costs) == len(tied) + 1 and min(cost for cost, _ in costs) < max(cost for cost, _ in costs):
            cost, cheapest = min(costs, key=lambda pair: pair[0])
            dearest = max(cost for cost, _ in costs)
            remarks.append(
                f"Of these, {cheapest.name} has the least {COSTS[metric].name}: {amount(metric, cost)}, against up to "
                f"{amount(metric, dearest)}. "
                "Without further evidence keep the one in production, or take the cheaper."
            )
            break
    return remarks


def _confounded(best: Arm, other: Arm, differ_in: str) -> list[str]:
    """What else than the arms' own difference could explain the lead."""
    keys = [key for key, _ in config_rows([best, other]) if not f"{key}.".startswith(f"{differ_in}.") and key != "seed"]
    if not keys:
        return []
    meant = "the network" if differ_in == "model" else differ_in
    return [
        f"{best.name} and {other.name} differ in more than {meant}: {', '.join(keys)}. "
        "The lead is one of whole configurations, the best of each arm."
    ]


def _remarks(arms: Sequence[Arm]) -> list[str]:
    """What flatters an arm or makes the comparison uneven."""
    remarks = []
    picked = [arm for arm in arms if not arm.confirmed and arm.num_searched > 1]
    if picked:
        which = "; ".join(f"{arm.name}: best of {runs_of(arm.num_searched)}" for arm in picked)
        remarks.append(
            f"Selection bias: {which}, chosen by this same val number and not repeated with fresh seeds, so it is flattered. "
            "Confirm it before believing it."
        )
    if len({len(arm.runs) for arm in arms}) > 1:
        counts = ", ".join(f"{arm.name} {len(arm.runs)}" for arm in arms)
        remarks.append(f"The arms are averaged over different numbers of runs ({counts}): the smaller ones are less certain.")
    elif all(len(arm.runs) == 1 for arm in arms):
        remarks.append("Each arm is a single run: the intervals say nothing of how much another seed would change.")
    return remarks


def _between(interval: Interval, form: Callable[[float], str]) -> str:
    return f"{form(interval.low)} to {form(interval.high)}"
