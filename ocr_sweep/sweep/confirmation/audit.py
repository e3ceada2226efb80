"""The audit of the pruner: a few pruned trials are trained to the end, to see whether they should have been."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.sweep.confirmation.confirm import Confirmation
from ocr_sweep.sweep.confirmation.ranking import mean_trials
from ocr_sweep.sweep.search.repeats import repeat_config, repeat_suffix
from ocr_sweep.sweep.watching.board import Job
from ocr_sweep.tracking.record import ARM, KEY, ROLE, RunRecord

AUDIT = "ocr_sweep.audit"  # user attribute of a study


@dataclass(frozen=True)
class Audit:
    """What the audit found."""

    pruned: int
    audited: int  # of these
    wrong: tuple[int, ...]  # trials that would have been confirmed
    low: float  # 95 % interval of the share that was pruned wrongly
    high: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a record."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """What it says, for people."""
        which = f" (trial {', '.join(map(str, self.wrong))})" if self.wrong else ""
        return (
            f"{self.pruned} trials were pruned and {self.audited} of them trained to the end: {len(self.wrong)} would have been "
            f"confirmed{which}, so {100 * self.low:.0f} to {100 * self.high:.0f} % of all pruning was wrong (95 % interval)"
        )


def audit_jobs(
    study: StudyConfig, pruned: Sequence[int], config_of: Callable[[int], TrialConfig], records: Sequence[RunRecord]
) -> list[Job]:
    """The trainings that the audit still needs: the very configurations and seeds that were given up."""
    known = {record.tags.get(KEY): record for record in records}
    jobs = []
    for trial in _drawn(study, pruned):
        for repeat in range(study.repeats):
            config = repeat_config(config_of(trial), repeat)
            searched = known.get(Job(study.name, trial, "search", repeat_suffix(repeat), config).key)
            job = Job(study.name, trial, "audit", f"audit{repeat + 1}", config, arm=_arm_of(trial, records))
            ended = job.key in known and not known[job.key].unfinished
            if not ended and not (searched and searched.complete):
                jobs.append(job)
    return jobs


def _arm_of(trial: int, records: Sequence[RunRecord]) -> str:
    return next((record.tags[ARM] for record in records if record.trial == trial), "")


def judge_audit(
    study: StudyConfig, confirmation: Confirmation, pruned: Sequence[int], records: Sequence[RunRecord]
) -> Audit | None:
    """Count the audited trials that would have been confirmed; None where there are none.

    One was pruned wrongly when its final value puts it among the trials that are chosen for confirmation. The choice of the
    winner stays: the others of the pruned had no such second chance.
    """
    searched = [record for record in records if record.role == "search"]
    finished = {}
    for trial in sorted({record.trial for record in records if record.role == "audit"} & set(pruned)):
        mine = [_as_searched(record) for record in records if record.role == "audit" and record.trial == trial]
        with_it = [*searched, *mine]
        if mine and any(record.trial == trial for record in mean_trials(study, with_it)):
            finished[trial] = trial in [candidate.trial for candidate in confirmation.candidates(with_it)]
    if not finished:
        return None
    wrong = tuple(trial for trial in finished if finished[trial])
    low, high = _share(len(wrong), len(finished))
    return Audit(len(pruned), len(finished), wrong, low, high)


def _as_searched(record: RunRecord) -> RunRecord:
    return replace(record, tags={**record.tags, ROLE: "search"})


def _share(count: int, total: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper and Pearson)."""
    from scipy.stats import binomtest  # takes a second

    interval = binomtest(count, total).proportion_ci(0.95, method="exact")
    return float(interval.low), float(interval.high)


def _drawn(study: StudyConfig, pruned: Sequence[int]) -> list[int]:
    """A share of the pruned trials, at least one, drawn so that more of them leave those in that were drawn before."""
    if not pruned or study.pruner.audit == 0:
        return []
    count = max(1, round(study.pruner.audit * len(pruned)))
    lot = {trial: hashlib.sha256(f"{study.sampler.seed}/{trial}".encode()).digest() for trial in pruned}
    return sorted(sorted(pruned, key=lambda trial: lot[trial])[:count])
