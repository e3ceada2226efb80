"""The honest winner: the best few and the base are trained again with fresh seeds, and judged on paired images."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.errors import TooManyFailuresError
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.metrics import Interval, cluster_bootstrap, paired_difference, with_seed_noise
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.attempt import CONFIG, PREDICTIONS, read_config
from ocr_sweep.sweep.board import Job
from ocr_sweep.tracking.record import ARM, KEY, RunRecord
from ocr_sweep.tracking.tracker import Tracker, best_first

_SEED_STRIDE = 7919  # fresh seeds are the base's seed plus multiples of this


@dataclass(frozen=True)
class Candidate:
    """A trial that was trained again."""

    trial: int
    records: tuple[RunRecord, ...]  # of its fresh trainings
    interval: Interval  # of the mean over its trainings
    seed_scores: tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """Who won, by how much, and how sure that is."""

    metric: str
    winner: int  # trial
    run_id: str  # the training of the winner that is registered
    interval: Interval  # of the winner's mean over fresh seeds
    base_interval: Interval  # of trial 0, likewise
    difference: Interval | None  # winner (or best rival) minus base; None when nothing else was confirmed
    clear: bool  # whether the winner beats the base beyond doubt
    sentence: str
    simulated: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a record."""
        return asdict(self)


def confirm_jobs(study: StudyConfig, records: Sequence[RunRecord], tracker: Tracker) -> list[Job]:
    """The trainings that the verdict needs: trial 0 and the best `top` others, each with fresh seeds.

    Raises:
        TooManyFailuresError: no trial of the search ended with a result.
    """
    searched = [record for record in records if record.role == "search"]
    ranked = best_first(searched, study.metric)
    if not ranked:
        raise TooManyFailuresError(
            f"study '{study.name}' has no winner: none of its {len(searched)} trials ended with a result; "
            f"see `ocr-sweep runs list {study.name}`, mend the cause, raise `trials:` and run the same command again"
        )
    chosen = _chosen(ranked, study)
    done = {record.tags.get(KEY) for record in records if record.complete}
    jobs = [_job(study, record, seed, tracker) for seed in range(1, study.confirm.seeds + 1) for record in chosen]
    return [job for job in jobs if job.key not in done]


def _chosen(ranked: list[RunRecord], study: StudyConfig) -> list[RunRecord]:
    """Trial 0, the best `top` others, and the best of each arm where the study names arms."""
    base = [record for record in ranked if record.trial == 0]
    others = [record for record in ranked if record.trial != 0]
    chosen = base + others[: study.confirm.top]
    if study.arms:
        best = {record.tags[ARM]: record for record in reversed(ranked)}  # the first of each arm in the ranking
        chosen += [record for record in best.values() if record not in chosen]
    return chosen


def _job(study: StudyConfig, record: RunRecord, seed: int, tracker: Tracker) -> Job:
    with tempfile.TemporaryDirectory() as folder:
        config = read_config(tracker.artifact(record.run_id, CONFIG, Path(folder)))
    training = config.training.model_copy(update={"fold": seed % (config.corpus.folds or 1)})
    fresh = config.model_copy(update={"seed": (config.seed + _SEED_STRIDE * seed) % 2**31, "training": training})
    return Job(study.name, record.trial, "confirm", f"seed{seed}", fresh, arm=record.tags[ARM])


def judge(study: StudyConfig, records: Sequence[RunRecord], tracker: Tracker, view: CorpusView) -> Verdict:
    """Choose the winner among the confirmed trials, on validation alone.

    The best mean over fresh seeds wins when its paired interval against the base excludes zero; otherwise the two are
    indistinguishable, and the cheaper one is kept, the base when they cost the same.

    Raises:
        TooManyFailuresError: no confirming training ended with a result.
    """
    candidates, correct = _candidates(study, records, tracker, view)
    by_trial = {candidate.trial: candidate for candidate in candidates}
    best = max(candidates, key=lambda candidate: (candidate.interval.value, -candidate.trial))
    base = by_trial.get(0, best)
    if best.trial == base.trial:
        rivals = [candidate for candidate in candidates if candidate.trial != base.trial]
        return _verdict(study, base, base, None, False, _unrivalled(base, len(rivals)), view)
    both = np.flatnonzero(~np.isnan(correct[best.trial] + correct[base.trial]))
    difference = with_seed_noise(
        paired_difference(
            correct[best.trial][both], correct[base.trial][both], view.class_ids[both], macro=study.metric.endswith("_macro")
        ),
        best.seed_scores,
        base.seed_scores,
    )
    points = f"{100 * difference.value:+.1f} points (95 % interval {100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
    if difference.low > 0:
        return _verdict(study, best, base, difference, True, f"trial {best.trial} beats the base clearly: {points}", view)
    kept = min((base, best), key=lambda candidate: (_cost(candidate), candidate.trial))
    why = "the base" if _cost(best) == _cost(base) else "the cheaper one"
    sentence = f"trial {best.trial} and the base are indistinguishable: {points}; trial {kept.trial}, {why}, is kept"
    return _verdict(study, kept, base, difference, False, sentence, view)


def _unrivalled(winner: Candidate, num_rivals: int) -> str:
    if winner.trial != 0:
        return f"trial {winner.trial} is the best that was confirmed; the base has no result to compare it with"
    return (
        f"trial 0, the base, is as good as the best {num_rivals} of the search" if num_rivals else "only the base was confirmed"
    )


def _verdict(
    study: StudyConfig,
    winner: Candidate,
    base: Candidate,
    difference: Interval | None,
    clear: bool,
    sentence: str,
    view: CorpusView,
) -> Verdict:
    delivered = best_first(winner.records, study.metric)[0]
    return Verdict(
        study.metric, winner.trial, delivered.run_id, winner.interval, base.interval, difference, clear, sentence, view.simulated
    )


def _candidates(
    study: StudyConfig, records: Sequence[RunRecord], tracker: Tracker, view: CorpusView
) -> tuple[list[Candidate], dict[int, NDArray[np.float64]]]:
    roles = ("search", "confirm") if study.chooses_nothing else ("confirm",)
    confirmed = [record for record in records if record.role in roles and record.complete]
    if not confirmed:
        raise TooManyFailuresError(
            f"study '{study.name}' has no winner: none of its confirming trainings ended with a result; "
            f"see `ocr-sweep runs list {study.name}`, mend the cause and run the same command again"
        )
    candidates, correct = [], {}
    for trial in sorted({record.trial for record in confirmed}):
        mine = tuple(record for record in confirmed if record.trial == trial)
        correct[trial] = _correct(study.metric, mine, tracker, view)
        judged = np.flatnonzero(~np.isnan(correct[trial]))
        spread = cluster_bootstrap(correct[trial][judged], view.class_ids[judged], macro=study.metric.endswith("_macro"))
        scores = tuple(record.metrics[study.metric] for record in mine)
        candidates.append(Candidate(trial, mine, with_seed_noise(spread, scores).as_share(), scores))
    return candidates, correct


def _correct(metric: str, records: Sequence[RunRecord], tracker: Tracker, view: CorpusView) -> NDArray[np.float64]:
    """(N,) share of the runs that read an image right, for each image that the metric is about; NaN where none judged it.

    Runs of one fold judge the same images; those of several judge each image when its fold's turn comes.
    """
    about = metric.removesuffix("/accuracy")
    about = about if about in view.set_names else "val"
    right, judged = np.zeros(len(view.rows)), np.zeros(len(view.rows))
    for record in records:
        with tempfile.TemporaryDirectory() as folder:
            predictions = Predictions.read(tracker.artifact(record.run_id, PREDICTIONS, Path(folder)))
        rows = predictions.of_set(about, view)
        right[predictions.index[rows]] += predictions.top5[rows, 0] == predictions.label[rows]
        judged[predictions.index[rows]] += 1
    share: NDArray[np.float64] = np.divide(right, judged, out=np.full(len(right), np.nan), where=judged > 0)
    return share


def _cost(candidate: Candidate) -> float:
    return candidate.records[0].metrics["cost/parameters"]
