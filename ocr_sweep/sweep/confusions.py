"""What recognisers confuse on images that they never learnt from, as a table of pairs that a loss can read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.data_file import DataFile
from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import store_errors, write_bytes
from ocr_sweep.errors import ConflictError, DataError, NotFoundError
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.losses import neighbour_weights, rendered_neighbours
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.trials.attempt import PREDICTIONS
from ocr_sweep.tracking.record import CORPUS
from ocr_sweep.tracking.tracker import Tracker

_PRIOR = 1.0  # alpha: confused images that the look of the glyphs is worth
_LOOKS = (10, 4.0)  # neighbours of a class by their look, and the perplexity of their weights
_LEAST = 1e-3  # a pair that weighs less is left out
_MOST = 50  # pairs of a class, as many as a loss takes


def write_confusions(run_ids: Sequence[str], out: Path, tracker: Tracker, paths: Paths) -> DataFile:
    """Write the confusions of runs on one corpus; returns the block that a study names the file by.

    Only validation is read, never test. Each validation image counts once, however many of the runs judged it.

    Raises:
        NotFoundError: a run does not exist, never completed, or they learnt from several corpora.
        DataError: the file would not lie in the data root, or nothing was confused.
        ConflictError: the file exists with another content.
    """
    if not out.resolve().is_relative_to(paths.data):
        raise DataError(f"the file must lie in the data root {paths.data}, where studies look for it, but got {out}")
    view, predictions = _judged(run_ids, tracker, paths)
    text = confusion_table(view, predictions, f"confusions of runs {' '.join(run_ids)} on the validation of {view.fingerprint}")
    if out.exists() and out.read_bytes() != text.encode():
        raise ConflictError(f"{out} exists already with another content; give another name, or remove it first")
    with store_errors(f"writing {out}"):
        out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, text.encode())
    return DataFile(file=out.resolve().relative_to(paths.data).as_posix(), sha256=file_sha256(out))


def confusion_table(view: CorpusView, predictions: Sequence[Predictions], title: str) -> str:
    """The lines char<TAB>char<TAB>weight: what is read for each character, shrunk towards what looks like it.

    The weight of j for class y is (c_j + alpha s_j) / (sum c + alpha): c_j the probability that its images were given to
    j, summed; s_j the weight of j among the rendered look-alikes of y.

    Raises:
        DataError: nothing was confused and no glyph is rendered.
    """
    classes, others, mass = _confused(view, predictions)
    total = np.bincount(classes, mass, minlength=view.num_classes) + _PRIOR  # (K,)
    near = rendered_neighbours(view, _LOOKS[0])
    looks = neighbour_weights(near, _LOOKS[1])
    own, place = np.nonzero(looks > 0)
    pairs = np.concatenate([classes * view.num_classes + others, own * view.num_classes + near.indices[own, place]])
    pair, inverse = np.unique(pairs, return_inverse=True)
    summed = np.bincount(inverse, np.concatenate([mass, _PRIOR * looks[own, place]]), minlength=len(pair))
    first, second = np.divmod(pair, view.num_classes)
    weight = summed / total[first]
    order = np.lexsort((second, -weight, first))
    first, second, weight = first[order], second[order], weight[order]
    kept = (weight >= _LEAST) & (np.arange(len(first)) - np.searchsorted(first, first) < _MOST)
    if not kept.any():
        raise DataError(
            "the runs confuse nothing on validation, and the corpus has no rendered glyphs: there is nothing to write"
        )
    rows = zip(first[kept].tolist(), second[kept].tolist(), weight[kept].tolist(), strict=True)
    return "".join([f"# {title}\n", *(f"{view.chars[a]}\t{view.chars[b]}\t{share:.6g}\n" for a, b, share in rows)])


def _judged(run_ids: Sequence[str], tracker: Tracker, paths: Paths) -> tuple[CorpusView, list[Predictions]]:
    records = [tracker.run(run_id) for run_id in run_ids]
    unfinished = [record.name for record in records if not record.complete]
    if unfinished:
        raise NotFoundError(f"confusions are read from complete runs, but these are not: {', '.join(unfinished)}")
    corpora = sorted({record.tags[CORPUS] for record in records})
    if len(corpora) > 1:
        raise NotFoundError(
            f"confusions are read from runs on one corpus, but these have {len(corpora)}: "
            f"{', '.join(name[:12] for name in corpora)}"
        )
    predictions = []
    for run_id in run_ids:
        with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
            predictions.append(Predictions.read(tracker.artifact(run_id, PREDICTIONS, Path(folder))))
    return CorpusView.open(paths.corpora / corpora[0]), predictions


def _confused(
    view: CorpusView, predictions: Sequence[Predictions]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(true class, other class, probability) of every wrong class among the five best of each validation image."""
    validated = [judged.of_set("val", view) for judged in predictions]
    times = np.zeros(len(view.rows))
    for judged, rows in zip(predictions, validated, strict=True):
        times[judged.index[rows]] += 1
    columns = []
    for judged, rows in zip(predictions, validated, strict=True):
        label, others = np.repeat(judged.label[rows], 5), judged.top5[rows].ravel()
        share = (judged.prob5[rows] / times[judged.index[rows], None]).ravel().astype(np.float64)
        wrong = (others >= 0) & (others != label)
        columns.append((label[wrong], others[wrong], share[wrong]))
    classes, others, mass = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return classes, others, mass
