"""The table of what was confused: validation alone, each image once, shrunk towards what looks alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ocr_sweep.export.predictions import Predictions
from ocr_sweep.losses import neighbour_weights, neighbours_of_file, rendered_neighbours
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.confusions import confusion_table


def judged(view: CorpusView, read: dict[tuple[str, int], int], set_ids: Sequence[int] | None = None) -> Predictions:
    """Predictions that are sure of the truth, but for some images, by split and place, which go to another class at 0.75."""
    index = np.concatenate([view.indices("val"), view.indices("test")])
    label = view.class_ids[index]
    other = (label + 4) % 8
    top5 = np.stack([label, other, *(np.full_like(label, -1) for _ in range(3))], axis=1)
    prob5 = np.tile(np.array([1.0, 0.0, 0.0, 0.0, 0.0], np.float32), (len(label), 1))
    for (split, place), class_id in read.items():
        row = place if split == "val" else len(view.indices("val")) + place
        top5[row, :2], prob5[row, :2] = (class_id, label[row]), (0.75, 0.25)
    return Predictions(index, np.asarray(view.rows["set_id"][index] if set_ids is None else set_ids), label, top5, prob5)


def weights(text: str) -> dict[tuple[str, str], float]:
    lines = [line.split("\t") for line in text.splitlines()[1:]]
    return {(first, second): float(weight) for first, second, weight in lines}


def expected(view: CorpusView, mass: dict[tuple[int, int], float]) -> dict[tuple[str, str], float]:
    near = rendered_neighbours(view, 10)
    dense = np.zeros((8, 8))
    np.put_along_axis(dense, near.indices[:, :7], neighbour_weights(near, 4.0)[:, :7], axis=1)
    for (own, other), share in mass.items():
        dense[own, other] += share
    dense /= dense.sum(axis=1, keepdims=True)
    return {(view.chars[a], view.chars[b]): dense[a, b] for a, b in np.argwhere(dense >= 1e-3)}


def test_weights_are_confusions_shrunk_towards_look_alikes(tiny_corpus: CorpusView) -> None:
    predictions = judged(tiny_corpus, {("val", 0): 3, ("val", 1): 3, ("val", 5): 7, ("test", 0): 6})
    came = weights(confusion_table(tiny_corpus, [predictions], "title"))
    assert came == pytest.approx(expected(tiny_corpus, {(0, 3): 1.5, (1, 7): 0.75}), rel=1e-4)


def test_an_image_counts_once_however_many_runs_judged_it(tiny_corpus: CorpusView) -> None:
    one, other = judged(tiny_corpus, {("val", 0): 3}), judged(tiny_corpus, {})
    once = confusion_table(tiny_corpus, [one], "title")
    assert confusion_table(tiny_corpus, [one, one, one], "title") == once
    halved = weights(confusion_table(tiny_corpus, [one, other], "title"))
    assert halved == pytest.approx(expected(tiny_corpus, {(0, 3): 0.375}), rel=1e-4)


def test_each_run_validates_its_own_fold(tiny_corpus: CorpusView) -> None:
    """An image that only one run did not learn from counts as that run read it."""
    train, val = tiny_corpus.set_ids("train")[0], tiny_corpus.set_ids("val/book")[0]
    sets = np.full(len(tiny_corpus.indices("val")) + len(tiny_corpus.indices("test")), train)
    first, second = sets.copy(), sets.copy()
    first[:16], second[16:32] = val, val
    read = {("val", 0): 3, ("val", 20): 1}
    came = weights(confusion_table(tiny_corpus, [judged(tiny_corpus, read, first), judged(tiny_corpus, read, second)], "title"))
    assert came == pytest.approx(expected(tiny_corpus, {(0, 3): 0.75, (5, 1): 0.75}), rel=1e-4)


def test_a_loss_reads_what_was_written(tiny_corpus: CorpusView, tmp_path: Path) -> None:
    path = tmp_path / "confusions.tsv"
    path.write_text(confusion_table(tiny_corpus, [judged(tiny_corpus, {("val", i): 3 for i in range(4)})], "of run x"), "utf-8")
    found = neighbours_of_file(path, tiny_corpus.chars, 5)
    assert found.indices[0, 0] == 3 and neighbour_weights(found, None)[0, 0] > 0.7
