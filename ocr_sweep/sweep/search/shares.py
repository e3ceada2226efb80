"""Every arm gets its share of the budget, whatever the sampler prefers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

Label = TypeVar("Label", bound=bool | int | float | str)


def arm_to_serve(labels: Sequence[Label], started: Mapping[Label, int], budget: int) -> Label | None:
    """The arm that the next trial must be of; None: the sampler may choose.

    Each of the A arms gets at least half of an equal share of the budget, and on the way to it of the trials that have begun:
    the k-th trial of an arm is due once 2A(k - 1) trials have begun, and is asked for A trials ahead, so that arms which fall
    behind together are served in time. Nothing is asked for that the budget will not make due.

    Args:
        started: trials of each arm so far, those that run included.
        budget: trials in all.
    """
    if not labels:
        return None
    total, arms = sum(started.values()), len(labels)
    due = min((total + arms) // (2 * arms) + 1, -(-budget // (2 * arms)))
    behind = [label for label in labels if started.get(label, 0) < due and total >= arms]
    return min(behind, key=lambda label: started.get(label, 0), default=None)
