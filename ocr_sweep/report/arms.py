"""Arms: which runs of each count, and how often each image is read right by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.errors import DataError
from ocr_sweep.metrics import Clusters
from ocr_sweep.report.runs import ComparedRun
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.confirmation.standing import Entrant, Images, Standing


@dataclass(frozen=True)
class Arm:
    """One side of the comparison: its runs that count, averaged per image. N images in ascending order."""

    name: str
    place: int  # of first appearance; decides its colour and mark
    runs: tuple[ComparedRun, ...]
    num_searched: int  # all runs of the arm, counted or not
    confirmed: bool  # false: the best of `num_searched` by its val number, which flatters it
    index: NDArray[np.int64]  # (N,)
    set_id: NDArray[np.int64]  # (N,)
    label: NDArray[np.int64]  # (N,)
    group: NDArray[np.int64]  # (N,) writer or page
    predicted: NDArray[np.int64]  # (R, N) class read by each run; -1 where the image was not in its fold
    correct: NDArray[np.float64]  # (N,) share of the runs that read the image right

    def metric(self, name: str) -> float | None:
        """Mean over the runs, where all of them have it."""
        values = [run.metrics[name] for run in self.runs if name in run.metrics]
        return float(np.mean(values)) if len(values) == len(self.runs) else None

    def only(self, index: NDArray[np.int64]) -> Arm:
        """The same arm on fewer images."""
        kept = np.isin(self.index, index)
        changed = {name: getattr(self, name)[kept] for name in ("index", "set_id", "label", "group", "correct")}
        return replace(self, **changed, predicted=self.predicted[:, kept])


def in_split(arm: Arm, view: CorpusView, split: str) -> NDArray[np.bool_]:
    """(N,) which images belong to a split, or to one named set of it."""
    return np.isin(arm.set_id, view.set_ids(split))


def standing(arms: Sequence[Arm], chosen: NDArray[np.bool_], *, macro: bool = True) -> Standing:
    """How the arms stand over the chosen images, classes, writers and seeds considered; each goes by its place in `arms`."""
    reads = [np.where(arm.predicted < 0, -1, arm.predicted == arm.label).astype(np.int8)[:, chosen] for arm in arms]
    entrants = [Entrant(place, 0.0, tuple(one)) for place, one in enumerate(reads)]
    folds = any(bool((one < 0).any()) for one in reads)
    images = Images(Clusters.of(arms[0].label[chosen], arms[0].group[chosen]), macro, folds)
    return Standing(entrants, {place: len(one) for place, one in enumerate(reads)}, images)


def gather_arms(runs: Sequence[ComparedRun], view: CorpusView) -> list[Arm]:
    """The arms of the runs, best on val first.

    Raises:
        DataError: there is no run, no val image, or the runs were not judged on the same images.
    """
    if not runs:
        raise DataError("a comparison needs at least one run, but got none")
    _same_images(runs)
    names = list(dict.fromkeys(run.arm for run in runs))
    arms = [_arm(name, place, [run for run in runs if run.arm == name], view) for place, name in enumerate(names)]
    common = reduce(np.intersect1d, [arm.index for arm in arms])  # arms may have been judged in different folds
    arms = [arm.only(common) for arm in arms]
    val = in_split(arms[0], view, "val")
    if not val.any():
        raise DataError("a comparison is judged on val, but the runs have no predictions of val images")
    found = standing(arms, val)
    return [arms[place] for place in sorted(range(len(arms)), key=lambda place: -found.accuracy(place).value)]


def _arm(name: str, place: int, runs: Sequence[ComparedRun], view: CorpusView) -> Arm:
    confirmations = _best_repeated(runs)
    chosen = confirmations or _best(runs)
    index = np.unique(np.concatenate([run.predictions.index for run in chosen])).astype(np.int64)
    label, set_id = np.zeros(len(index), np.int64), np.zeros(len(index), np.int64)
    predicted = np.full((len(chosen), len(index)), -1, np.int64)
    for row, run in zip(predicted, chosen, strict=True):
        at = np.searchsorted(index, run.predictions.index)
        row[at], label[at], set_id[at] = run.predictions.top5[:, 0], run.predictions.label, run.predictions.set_id
    return Arm(
        name=name,
        place=place,
        runs=chosen,
        num_searched=len(runs),
        confirmed=bool(confirmations),
        index=index,
        set_id=set_id,
        label=label,
        group=np.asarray(view.rows["group"][index], dtype=np.int64),
        predicted=predicted,
        correct=(predicted == label).sum(axis=0) / (predicted >= 0).sum(axis=0),
    )


def _best_repeated(runs: Sequence[ComparedRun]) -> tuple[ComparedRun, ...]:
    """The repetitions of the one configuration that is best on val in their mean; none where nothing was repeated."""
    repeated = [run for run in runs if run.role == "confirm" or not run.chosen]
    return _best(sorted(repeated, key=lambda run: (len(run.name), run.name)))


def _best(runs: Sequence[ComparedRun]) -> tuple[ComparedRun, ...]:
    """The runs of the trial that is best on val in their mean."""
    by_trial = [tuple(run for run in runs if run.trial == trial) for trial in sorted({run.trial for run in runs})]
    return max(by_trial, key=_mean_accuracy, default=())


def _mean_accuracy(runs: Sequence[ComparedRun]) -> float:
    return float(np.mean([run.metrics.get("val/accuracy_macro", -np.inf) for run in runs]))


def _same_images(runs: Sequence[ComparedRun]) -> None:
    first: dict[object, ComparedRun] = {}
    for run in runs:
        other = first.setdefault(run.config.get("training.fold", 0), run)  # each fold has a validation of its own
        if not np.array_equal(np.sort(run.predictions.index), np.sort(other.predictions.index)):
            raise DataError(
                f"compared runs must be judged on the same images, but {other.run_id} has {len(other.predictions.index)} and "
                f"{run.run_id} {len(run.predictions.index)} that are not the same; compare runs of one corpus"
            )
