"""What happened in a period, study by study and model by model: gathered from tracking store, Optuna and histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import optuna

from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import IntegrityError
from ocr_sweep.registry.chain import Entry
from ocr_sweep.registry.history import History
from ocr_sweep.report.progress.period import Period
from ocr_sweep.report.progress.questions import Facts, Range, next_questions
from ocr_sweep.sweep.confirmation.judge import Verdict
from ocr_sweep.sweep.search.storage import find_study_trials, find_verdict
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.record import Outcome, RunRecord
from ocr_sweep.tracking.tracker import Tracker

METRIC = "val/accuracy_macro"


@dataclass(frozen=True)
class Training:
    """One training of the period with a number."""

    name: str
    arm: str
    role: str
    value: float
    low: float | None
    high: float | None
    winner: bool


@dataclass(frozen=True)
class StudyNews:
    """What a study did in the period, and where it stands now."""

    study: str
    question: str
    metric: str
    began: datetime
    ended: datetime
    outcomes: Mapping[str, int]  # trainings of the period, by how they ended
    hours: float  # that these trained
    verdict: Verdict | None
    best: Training | None
    trainings: tuple[Training, ...]  # complete ones, in the order of their starts
    arms: tuple[Training, ...]  # the best training of each arm, where there are several; best first
    failures: tuple[tuple[str, int], ...]  # reason, how often; commonest first
    reproductions: Mapping[str, int]  # verdicts of the period
    simulated: bool
    questions: tuple[str, ...]

    @property
    def learnt(self) -> str:
        """What it taught, in a sentence."""
        if self.verdict is not None:
            return self.verdict.sentence
        if self.best is not None:
            return f"no verdict yet; {self.best.name} is the best so far"
        return "nothing yet: no training has completed"


@dataclass(frozen=True)
class ModelNews:
    """What happened to a registered model's pointers."""

    model: str
    entries: tuple[Entry, ...]
    broken: str = ""  # why its history cannot be read


@dataclass(frozen=True)
class News:
    """Everything that a report tells."""

    period: Period
    studies: tuple[StudyNews, ...]
    models: tuple[ModelNews, ...]

    @property
    def trainings(self) -> int:
        """Of all studies, however they ended."""
        return sum(sum(study.outcomes.values()) for study in self.studies)

    @property
    def hours(self) -> float:
        """Of training."""
        return sum(study.hours for study in self.studies)


def gather(period: Period, tracker: Tracker, paths: Paths) -> News:
    """Read the stores.

    Raises:
        StoreError: a store is unavailable.
    """
    records = tracker.runs()
    names = dict.fromkeys(record.study for record in records if _touches(record, period))
    studies = [_study(name, [record for record in records if record.study == name], period, tracker, paths) for name in names]
    return News(period, tuple(sorted(studies, key=lambda study: study.began)), _models(period, tracker, paths))


def _touches(record: RunRecord, period: Period) -> bool:
    return period.holds(record.started) or period.holds(record.ended)


def _study(name: str, records: Sequence[RunRecord], period: Period, tracker: Tracker, paths: Paths) -> StudyNews:
    recent = [record for record in records if _touches(record, period)]
    trained = [record for record in recent if record.role in ("search", "confirm") and not record.fenced]
    found = find_verdict(name, paths)
    verdict = None if found is None else Verdict.from_dict(found)
    metric = verdict.metric if verdict is not None else METRIC
    complete = [record for record in trained if record.complete and metric in record.metrics]
    winner = "" if verdict is None else verdict.run_id
    trainings = tuple(_training(record, metric, winner) for record in complete)
    ranked = sorted(trainings, key=lambda one: -one.value)
    best_of: dict[str, Training] = {}
    for one in ranked:
        best_of.setdefault(one.arm, one)
    causes = Counter(_cause(record) for record in trained if record.tags.get(tag.OUTCOME) in (Outcome.FAILED, Outcome.OOM))
    failures = tuple(causes.most_common())
    moments = [moment for record in recent for moment in (record.started, record.ended) if moment and period.holds(moment)]
    outcomes = Counter(record.state for record in trained)
    trials = find_study_trials(name, paths)
    facts = Facts(
        study=name,
        metric=metric,
        verdict=verdict,
        failures=failures,
        ranges=_ranges(trials, verdict),
        groups=_groups(records, verdict),
        stopped=outcomes.get("stopped", 0),
        num_complete=sum(record.complete for record in records),
    )
    return StudyNews(
        study=name,
        question=tracker.about(name).get(tag.QUESTION, ""),
        metric=metric,
        began=min(moments),
        ended=max(moments),
        outcomes=outcomes,
        hours=sum(record.metrics.get("cost/train_seconds", 0.0) for record in trained) / 3600,
        verdict=verdict,
        best=_best(records, metric, winner, ranked),
        trainings=trainings,
        arms=tuple(best_of.values()) if len(best_of) > 1 else (),
        failures=failures,
        reproductions=Counter(record.tags[tag.VERDICT] for record in recent if tag.VERDICT in record.tags),
        simulated=any(record.simulated for record in records),
        questions=tuple(next_questions(facts)),
    )


def _best(records: Sequence[RunRecord], metric: str, winner: str, ranked: Sequence[Training]) -> Training | None:
    won = next((record for record in records if record.run_id == winner and metric in record.metrics), None)
    return _training(won, metric, winner) if won is not None else next(iter(ranked), None)


def _training(record: RunRecord, metric: str, winner: str) -> Training:
    low, high = (record.metrics.get(f"{metric}_{end}") for end in ("low", "high"))
    arm = record.tags.get(tag.ARM, "")
    return Training(record.name, arm, record.role, record.metrics[metric], low, high, record.run_id == winner)


def _cause(record: RunRecord) -> str:
    """Why a training failed, without the numbers that differ from one to the next."""
    reason = record.tags.get(tag.REASON, "no reason is on record")
    return reason.partition(":")[0] if ":" in reason[:40] else reason[:80]


def _ranges(trials: Sequence[optuna.trial.FrozenTrial], verdict: Verdict | None) -> tuple[Range, ...]:
    """The winner's numbers and the ranges that they were searched in."""
    won = next((trial for trial in trials if verdict is not None and trial.number == verdict.winner), None)
    if won is None:
        return ()
    found = []
    for path, distribution in won.distributions.items():
        if isinstance(distribution, optuna.distributions.FloatDistribution | optuna.distributions.IntDistribution):
            log = bool(distribution.log)
            found.append(Range(path, float(won.params[path]), float(distribution.low), float(distribution.high), log))
    return tuple(found)


def _groups(records: Sequence[RunRecord], verdict: Verdict | None) -> dict[str, float]:
    """The winner's validation accuracy in each class group."""
    won = next((record for record in records if verdict is not None and record.run_id == verdict.run_id), None)
    names = ("unseen", "few", "medium", "many")
    metrics = {} if won is None else won.metrics
    return {name: metrics[f"val/accuracy_{name}"] for name in names if f"val/accuracy_{name}" in metrics}


def _models(period: Period, tracker: Tracker, paths: Paths) -> tuple[ModelNews, ...]:
    found = []
    for file in sorted(paths.histories.glob("*.jsonl")) if paths.histories.exists() else []:
        try:
            entries = History(tracker, paths, file.stem).entries()
        except IntegrityError as error:
            found.append(ModelNews(file.stem, (), str(error)))
            continue
        recent = tuple(entry for entry in entries if period.holds(datetime.fromisoformat(entry.when)))
        if recent:
            found.append(ModelNews(file.stem, recent))
    return tuple(found)
