from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_sweep.export.predictions import Predictions
from ocr_sweep.export.scorer import ValidationLogits
from ocr_sweep.metrics import calibration_error, fit_temperature
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.trials.trial import numbers_of_record


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
    rows = np.array(tiny_corpus.rows)
    rows["class_id"] %= num_classes
    predictions = predict(replace(tiny_corpus, rows=rows), [], num_classes)
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
    for name in Predictions.__dataclass_fields__:
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


def test_files_of_former_versions_are_read(tiny_corpus: CorpusView, tmp_path: Path) -> None:
    predictions = predict(tiny_corpus, [90])
    old = {name: getattr(predictions, name) for name in ("index", "set_id", "label", "top5", "prob5")}
    np.savez(tmp_path / "predictions.npz", **old)
    came = Predictions.read(tmp_path / "predictions.npz")
    np.testing.assert_array_equal(came.top5, predictions.top5)
    assert came.confidence is None and came.temperature is None
    known = set(numbers_of_record(tiny_corpus, came))
    beyond = {f"{split}/{name}" for split in ("val", "test") for name in ("ece", "nll")} | {"calibration/temperature"}
    assert set(numbers_of_record(tiny_corpus, predictions)) - known == beyond


def test_confidence_is_that_of_the_tempered_softmax(tiny_corpus: CorpusView) -> None:
    wrong = [int(i) for i in tiny_corpus.indices("val")[::5]]
    predictions, oracle = predict(tiny_corpus, wrong), Oracle(wrong)
    val, metrics = tiny_corpus.indices("val"), numbers_of_record(tiny_corpus, predictions)
    temperature = fit_temperature(oracle.corpus_logits(tiny_corpus, val), tiny_corpus.class_ids[val])
    assert metrics["calibration/temperature"] == temperature > 1
    for split in ("val", "test"):
        z = oracle.corpus_logits(tiny_corpus, tiny_corpus.indices(split)).astype(np.float64) / temperature
        p, labels = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), tiny_corpus.class_ids[tiny_corpus.indices(split)]
        assert metrics[f"{split}/nll"] == pytest.approx(-np.log(p[np.arange(len(p)), labels]).mean(), rel=1e-4)
        assert metrics[f"{split}/ece"] == pytest.approx(calibration_error(p.max(axis=1), p.argmax(axis=1) == labels), abs=1e-6)


def test_look_alikes_are_counted_where_they_are_known(tiny_corpus: CorpusView) -> None:
    val = tiny_corpus.indices("val")
    wrong = [int(i) for i in val[tiny_corpus.class_ids[val] < 2][:3]]  # of the 12 images of classes 0 and 1, read as 1 and 2
    neighbours = np.full((8, 2), -1)
    neighbours[0] = [1, 5]
    neighbours[1] = [0, -1]
    predictions = Predictions.of(Oracle(wrong), tiny_corpus, neighbours)  # type: ignore[arg-type]
    metrics = numbers_of_record(tiny_corpus, predictions)
    lost = sum(tiny_corpus.class_ids[i] == 0 for i in wrong)  # class 1 is not read as its neighbour 0
    beaten = (predictions.beats is not None) and int((predictions.beats[:48] == 0).sum())
    assert beaten >= lost and metrics["val/accuracy_confusable"] == 1 - beaten / 12
    assert metrics["test/accuracy_confusable"] == 1.0


def test_the_temperature_of_many_images_is_fitted_on_every_nth(tiny_corpus: CorpusView, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []

    class Noting(Oracle):
        def corpus_logits(self, view: CorpusView, indices: NDArray[np.int64]) -> NDArray[np.float32]:
            asked.append(indices.tolist())
            return super().corpus_logits(view, indices)

    monkeypatch.setattr("ocr_sweep.export.scorer._KEPT", 48 * 8 // 3)
    Predictions.of(Noting([90]), tiny_corpus)  # type: ignore[arg-type]
    assert asked[0] == tiny_corpus.indices("val")[::3].tolist()
    assert [i for chunk in asked[1:] for i in chunk] == [
        *tiny_corpus.indices("val").tolist(),
        *tiny_corpus.indices("test").tolist(),
    ]


@pytest.mark.parametrize(("kept", "times"), [(48 * 8, 1), (48 * 8 - 1, 2)])
def test_validation_is_run_once_where_it_can_be_kept(
    kept: int, times: int, tiny_corpus: CorpusView, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Noting(Oracle):
        def corpus_logits(self, view: CorpusView, indices: NDArray[np.int64]) -> NDArray[np.float32]:
            asked.extend(indices.tolist())
            return super().corpus_logits(view, indices)

    monkeypatch.setattr("ocr_sweep.export.scorer._KEPT", kept)
    monkeypatch.setattr("ocr_sweep.export.scorer._CHUNK", 20)
    oracle, val = Noting([90]), tiny_corpus.indices("val").tolist()
    validation = ValidationLogits(oracle, tiny_corpus)  # type: ignore[arg-type]
    for _ in range(2):
        assert [int(i) for chosen, _ in validation.chunks() for i in chosen] == val
    assert asked == val * times
    asked.clear()
    chosen, logits = validation.sample()
    assert chosen.tolist() == val[::times] and asked == (val[::2] if times == 2 else [])
    np.testing.assert_array_equal(logits, Oracle([90]).corpus_logits(tiny_corpus, chosen))
    known = Predictions.of(oracle, tiny_corpus, validation=validation)  # type: ignore[arg-type]
    assert known.to_bytes() == Predictions.of(oracle, tiny_corpus).to_bytes()  # type: ignore[arg-type]


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
    monkeypatch.setattr("ocr_sweep.export.scorer._CHUNK", 7)
    assert predict(tiny_corpus, [90]).to_bytes() == whole
