from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.predictions import Predictions


class Oracle:
    """A scorer whose logits are a function of the image alone; it gives `wrong` images to the next class."""

    def __init__(self, wrong: list[int], num_classes: int = 8) -> None:
        self.wrong, self.num_classes = wrong, num_classes

    def corpus_logits(self, view: CorpusView, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        label = view.class_ids[indices] + np.isin(indices, self.wrong)
        noise = [np.random.default_rng(int(i)).normal(size=self.num_classes) for i in indices]
        return (np.eye(self.num_classes)[label % self.num_classes] * 20 + np.stack(noise)).astype(np.float32)


def predict(view: CorpusView, wrong: list[int], num_classes: int = 8) -> Predictions:
    return Predictions.of(Oracle(wrong, num_classes), view)  # type: ignore[arg-type]


def test_the_five_best_classes_and_their_probabilities(tiny_corpus: CorpusView) -> None:
    predictions = predict(tiny_corpus, [])
    indices = np.concatenate([tiny_corpus.indices("val"), tiny_corpus.indices("test")])
    np.testing.assert_array_equal(predictions.index, indices)
    np.testing.assert_array_equal(predictions.label, tiny_corpus.class_ids[indices])
    np.testing.assert_array_equal(predictions.set_id, tiny_corpus.rows["set_id"][indices])
    for row, logits in enumerate(Oracle([]).corpus_logits(tiny_corpus, indices).astype(np.float64)):
        probability = np.exp(logits) / np.exp(logits).sum()
        best = sorted(range(8), key=lambda k: -probability[k])[:5]
        assert predictions.top5[row].tolist() == best
        np.testing.assert_allclose(predictions.prob5[row], probability[best], rtol=1e-4)
    assert (np.diff(predictions.prob5, axis=1) <= 0).all()


@pytest.mark.parametrize("num_classes", [2, 4, 5])
def test_fewer_than_five_classes_are_filled_up(num_classes: int, tiny_corpus: CorpusView) -> None:
    predictions = predict(tiny_corpus, [], num_classes)
    missing = 5 - num_classes
    assert predictions.top5.shape == predictions.prob5.shape == (80, 5)
    assert (predictions.top5[:, num_classes:] == -1).all() and predictions.top5[:, num_classes:].shape[1] == missing
    assert {tuple(sorted(row)) for row in predictions.top5[:, :num_classes].tolist()} == {tuple(range(num_classes))}
    np.testing.assert_allclose(predictions.prob5.sum(axis=1), 1.0, rtol=1e-5)
    assert (predictions.prob5[:, num_classes:] == 0).all()


def test_a_tie_goes_to_the_lower_class_and_large_logits_stay_finite(tiny_corpus: CorpusView) -> None:
    class Same(Oracle):
        def corpus_logits(self, view: CorpusView, indices: NDArray[np.int64]) -> NDArray[np.float32]:
            return np.tile(np.arange(200, dtype=np.float32) % 2 * 3e4, (len(indices), 1))  # every odd class, equally

    predictions = Predictions.of(Same([]), tiny_corpus)  # type: ignore[arg-type]
    assert (predictions.top5 == [1, 3, 5, 7, 9]).all()
    np.testing.assert_allclose(predictions.prob5, 1 / 100, rtol=1e-5)


def test_what_was_written_is_read(tiny_corpus: CorpusView, tmp_path: Path) -> None:
    predictions = predict(tiny_corpus, [90])
    (tmp_path / "predictions.npz").write_bytes(predictions.to_bytes())
    came = Predictions.read(tmp_path / "predictions.npz")
    for name in ("index", "set_id", "label", "top5", "prob5"):
        before, after = getattr(predictions, name), getattr(came, name)
        np.testing.assert_array_equal(after, before)
        assert after.dtype == before.dtype


def test_equal_predictions_are_equal_bytes_at_any_time(tiny_corpus: CorpusView, monkeypatch: pytest.MonkeyPatch) -> None:
    first = predict(tiny_corpus, [90]).to_bytes()
    with monkeypatch.context() as clock:
        clock.setattr("time.time", lambda: 1.9e9)
        clock.setattr("time.localtime", lambda *_: (2030, 3, 4, 5, 6, 7, 0, 63, 0))
        assert predict(tiny_corpus, [90]).to_bytes() == first
    assert predict(tiny_corpus, [91]).to_bytes() != first


def test_splits_are_told_apart(tiny_corpus: CorpusView) -> None:
    val, test = tiny_corpus.indices("val"), tiny_corpus.indices("test")
    predictions = predict(tiny_corpus, [int(val[0]), int(test[2]), int(test[5])])
    labels, predicted = predictions.confusion("val", tiny_corpus)
    assert np.flatnonzero(labels != predicted).tolist() == [0] and labels.tolist() == tiny_corpus.class_ids[val].tolist()
    assert (
        predictions.of_set("val/book", tiny_corpus).tolist() == list(range(32))
        and len(predictions.of_set("val", tiny_corpus)) == 48
    )
    labels, predicted = predictions.confusion("test", tiny_corpus)
    assert np.flatnonzero(labels != predicted).tolist() == [2, 5]
    index, label, top5, prob5 = predictions.errors("test", tiny_corpus)
    assert index.tolist() == test.tolist() and top5[:, 0].tolist() == predicted.tolist() and label.tolist() == labels.tolist()
    assert prob5.shape == (32, 5)


def test_a_large_set_is_scored_in_pieces(tiny_corpus: CorpusView, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = predict(tiny_corpus, [90]).to_bytes()
    monkeypatch.setattr("ocr_sweep.sweep.predictions._CHUNK", 7)
    assert predict(tiny_corpus, [90]).to_bytes() == whole
