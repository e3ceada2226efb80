"""Confirmation: which trials race, what of the race is on record, and what is still to be trained for it."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TooManyFailuresError
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.metrics import Clusters
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.confirmation.race import Race, Rules
from ocr_sweep.sweep.confirmation.ranking import ranked_trials
from ocr_sweep.sweep.confirmation.standing import Entrant, Images, Reads
from ocr_sweep.sweep.trials.attempt import CONFIG, PREDICTIONS, read_config
from ocr_sweep.sweep.trials.micro_batches import parts_of, throughout
from ocr_sweep.sweep.watching.board import Job
from ocr_sweep.tracking.record import ARM, KEY, OUTCOME, SUPERSEDED, Outcome, RunRecord
from ocr_sweep.tracking.tracker import Tracker, best_first

NOT_NEEDED = "the race was over, or its trial had left, before it was needed"

_SEED_STRIDE = 7919  # fresh seeds are the base's seed plus multiples of this


class Confirmation:
    """The race of one study, as its records tell it.

    Args:
        former: the winner that an earlier verdict of this study names; it races again when the study has grown.
        base: the trial that is the study's base.
    """

    def __init__(self, study: StudyConfig, tracker: Tracker, view: CorpusView, former: int | None = None, base: int = 0) -> None:
        self.base = base  # trial
        self._study = study
        self._tracker = tracker
        self._former = former
        self._configs: dict[int, TrialConfig] = {}
        self._known: dict[str, Reads] = {}  # by run ID
        about = study.metric.removesuffix("/accuracy")
        self._about = about if about in view.set_names else "val"
        ids = view.set_ids(self._about)
        self._rows = np.flatnonzero(np.isin(view.rows["set_id"], ids) | np.isin(view.rows["own_val"], ids))
        self._view = view
        self._images = Images(
            Clusters.of(view.class_ids[self._rows], view.rows["group"][self._rows]),
            macro=study.metric.endswith("_macro"),
            folds=bool(study.base.corpus.folds),
        )

    def candidates(self, records: Sequence[RunRecord]) -> list[RunRecord]:
        """The base, the best `top` others, the best of each arm where the study names arms, and a former winner.

        Each goes by its first run, with the mean of the study's metric over its runs in the search. The base comes first.

        Raises:
            TooManyFailuresError: no trial of the search ended with a result.
        """
        ranked = ranked_trials(self._study, records, self.base)
        if not ranked:
            name = self._study.name
            failed = len({record.trial for record in records if record.role == "search"})
            raise TooManyFailuresError(
                f"study '{name}' has no winner: none of its {failed} trials ended with a result; "
                f"see `ocr-sweep runs list {name}`, mend the cause, raise `trials:` and run the same command again"
            )
        others = [record.trial for record in ranked if record.trial != self.base]
        chosen = {self.base, self._former, *others[: self._study.confirm.top]}
        if self._study.arms:
            chosen |= {best.trial for best in {record.tags[ARM]: record for record in reversed(ranked)}.values()}
        return sorted((one for one in ranked if one.trial in chosen), key=lambda one: one.trial != self.base)

    def race(self, records: Sequence[RunRecord], gone: Collection[str] | None = None) -> Race:
        """The race as far as it is on record.

        Args:
            gone: keys of trainings that ended without a result and are not tried again; None: whatever is not on record.
        """
        candidates = [record.trial for record in self.candidates(records)]
        complete = {_round(record): record for record in records if record.complete}
        rounds = self._rounds(candidates, complete)
        entrants = [self._entrant(trial, rounds, complete, gone) for trial in candidates]
        return Race(entrants, Rules(len(rounds), self._study.confirm.min_seeds), self._images)

    def _rounds(self, candidates: Collection[int], complete: Mapping[tuple[int, str], RunRecord]) -> list[str]:
        """The name of each round. Where nothing is chosen by its number, the search counts as it is."""
        fresh = [_fresh(seed) for seed in range(1, self._study.confirm.seeds + 1)]
        if not self._study.chooses_nothing:
            return fresh
        searched = {(len(name), name) for trial, name in complete if trial in candidates and name.startswith("search")}
        return [*(name for _, name in sorted(searched)), *fresh]

    def _entrant(
        self,
        trial: int,
        rounds: Sequence[str],
        complete: Mapping[tuple[int, str], RunRecord],
        gone: Collection[str] | None,
    ) -> Entrant:
        done: list[Reads | None] = []
        for name in rounds:
            record = complete.get((trial, name))
            if record is None and gone is not None and self._to_come(trial, name, gone):
                break
            done.append(None if record is None else self._reads(record))
        searched = [record for (other, name), record in complete.items() if other == trial and name.startswith("search")]
        spared = trial == self.base and not self._study.chooses_nothing and not self._images.folds
        others = tuple(record.metrics[self._study.metric] for record in searched) if spared else ()
        cost = float(np.median([record.metrics[self._study.against or "cost/parameters"] for record in searched]))
        return Entrant(trial, cost, tuple(done), others)

    def _to_come(self, trial: int, name: str, gone: Collection[str]) -> bool:
        return name.startswith("confirm-") and f"{self._study.name}/{trial:04d}-{name}" not in gone

    def _reads(self, record: RunRecord) -> Reads:
        if record.run_id not in self._known:
            with tempfile.TemporaryDirectory() as folder:
                predictions = Predictions.read(self._tracker.artifact(record.run_id, PREDICTIONS, Path(folder)))
            rows = predictions.of_set(self._about, self._view)
            reads = np.full(len(self._rows), -1, np.int8)
            reads[np.searchsorted(self._rows, predictions.index[rows])] = predictions.top5[rows, 0] == predictions.label[rows]
            self._known[record.run_id] = reads
        return self._known[record.run_id]

    def jobs(self, records: Sequence[RunRecord], running: Collection[int] | None = None) -> Iterator[Job]:
        """The fresh trainings that are not on record, round by round; whoever reads best so far goes first.

        Before anything is known of fresh trainings that is the base, which races whoever else does, and then by rank.

        Args:
            running: only these trials; None: all candidates.
        """
        complete = {_round(record): record for record in records if record.complete and record.role == "confirm"}
        candidates = sorted(self.candidates(records), key=lambda one: -self._fresh_mean(one.trial, complete))  # stable
        for seed in range(1, self._study.confirm.seeds + 1):
            for first in candidates:
                if (running is None or first.trial in running) and (first.trial, _fresh(seed)) not in complete:
                    yield self._job(first, seed)

    def _fresh_mean(self, trial: int, complete: Mapping[tuple[int, str], RunRecord]) -> float:
        scores = [record.metrics[self._study.metric] for (other, _), record in complete.items() if other == trial]
        return float(np.mean(scores)) if scores else np.inf

    def _job(self, first: RunRecord, seed: int) -> Job:
        if first.trial not in self._configs:
            with tempfile.TemporaryDirectory() as folder:
                self._configs[first.trial] = read_config(self._tracker.artifact(first.run_id, CONFIG, Path(folder)))
        config = self._configs[first.trial]
        training = config.training.model_copy(update={"fold": seed % (config.corpus.folds or 1)})
        fresh = config.model_copy(update={"seed": (config.seed + _SEED_STRIDE * seed) % 2**31, "training": training})
        parts = throughout(parts_of(first))
        return Job(self._study.name, first.trial, "confirm", f"seed{seed}", fresh, arm=first.tags[ARM], parts=parts)

    def delivered(self, records: Sequence[RunRecord], race: Race, trial: int) -> RunRecord:
        """The best training of a trial among those that the race counted."""
        complete = {_round(record): record for record in records if record.complete}
        counted = self._rounds([record.trial for record in self.candidates(records)], complete)[: race.round]
        mine = [complete[trial, name] for name in counted if (trial, name) in complete]
        return best_first(mine, self._study.metric)[0]

    def closed(self, records: Sequence[RunRecord]) -> list[RunRecord]:
        """The records, after ending truthfully what was begun for a race that was over before it was needed."""
        unneeded = [
            record
            for record in records
            if record.role == "confirm"
            and (record.status == "RUNNING" or record.tags.get(OUTCOME) == Outcome.STOPPED)
            and SUPERSEDED not in record.tags
        ]
        for record in unneeded:
            self._tracker.finish(record.run_id, Outcome.PRUNED, NOT_NEEDED)
        return self._tracker.runs(self._study.name) if unneeded else list(records)


def _fresh(seed: int) -> str:
    """The name of the round with a fresh seed."""
    return f"confirm-seed{seed}"


def _round(record: RunRecord) -> tuple[int, str]:
    """The trial, and the name of the round: the rest of the run's key."""
    return record.trial, record.tags.get(KEY, "").rpartition("/")[2].partition("-")[2]
