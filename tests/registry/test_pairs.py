"""Two versions on the same test images: of one corpus by what they recorded, of two by reading again, character by character."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import world

from ocr_sweep.errors import EvidenceError, IntegrityError
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.registry import pairs as room
from ocr_sweep.registry.evidence import PREDICTIONS, Evidence
from ocr_sweep.registry.pairs import answers_of, pair
from ocr_sweep.store import CorpusView, Source


@pytest.fixture(autouse=True)
def reads(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """ONNX files that are tables; their charsets, by the name of the run."""
    charsets: dict[str, str] = {}
    monkeypatch.setattr(room, "Scorer", world.FakeScorer)
    monkeypatch.setattr(world.FakeScorer, "tables", {})
    monkeypatch.setattr(room, "read_metadata", lambda path: {"charset": list(charsets[path.read_text()])})
    return charsets


@pytest.fixture
def view(tmp_path: Path) -> CorpusView:
    return world.make_corpus(tmp_path / "corpus")


def with_table(evidence: Evidence, view: CorpusView) -> Evidence:
    """Let the run's ONNX say what its predictions say."""
    predictions = Predictions.read(evidence.file(PREDICTIONS))
    table = np.zeros(len(view.rows), np.int64)
    table[predictions.index] = predictions.top5[:, 0]
    world.FakeScorer.tables[evidence.record.run_id] = table
    return evidence


def test_of_one_corpus_the_recorded_answers_are_paired(tmp_path: Path, view: CorpusView, reads: dict[str, str]) -> None:
    label = world.answers(view).label
    reads["b"] = world.CHARS
    mine = with_table(world.run(tmp_path / "a", view, label != 3, run_id="a"), view)
    other = with_table(world.run(tmp_path / "b", view, label != 5, run_id="b"), view)
    found = pair(answers_of(mine, view), view, other, None)
    np.testing.assert_array_equal(found.candidate.right, label != 3)
    np.testing.assert_array_equal(found.rival, label != 5)
    assert (found.num_learnt, found.learnt_known, found.new_chars, found.gone_chars) == (0, True, "", "")


def test_predictions_that_the_onnx_does_not_say_are_refused(tmp_path: Path, view: CorpusView) -> None:
    evidence = with_table(world.run(tmp_path / "a", view, run_id="a"), view)
    world.FakeScorer.tables["a"] = (world.FakeScorer.tables["a"] + 1) % 60
    with pytest.raises(IntegrityError, match="must hold what its ONNX says, but of 64 test images that were read again 64"):
        answers_of(evidence, view)


def test_a_run_that_has_not_judged_every_image_is_said(tmp_path: Path, view: CorpusView, reads: dict[str, str]) -> None:
    reads["b"] = world.CHARS
    mine = with_table(world.run(tmp_path / "a", view, run_id="a"), view)
    other = with_table(world.run(tmp_path / "b", view, run_id="b"), view)
    whole = Predictions.read(other.file(PREDICTIONS))
    kept = slice(0, -1)
    short = Predictions(whole.index[kept], whole.set_id[kept], whole.label[kept], whole.top5[kept], whole.prob5[kept])
    other.file(PREDICTIONS).write_bytes(short.to_bytes())
    with pytest.raises(EvidenceError, match="has not judged every test image"):
        pair(answers_of(mine, view), view, other, None)


def test_of_two_corpora_the_former_version_reads_again(tmp_path: Path, view: CorpusView, reads: dict[str, str]) -> None:
    """Its classes have another order, one character is new to it, and one of its own is gone."""
    theirs = "口" + world.CHARS[:0:-1]  # all but the first, turned round, and another one before them
    other_view = world.make_corpus(tmp_path / "other", theirs, "another", shift=7)
    reads["b"] = theirs
    other = world.run(tmp_path / "b", other_view, run_id="b")
    world.FakeScorer.tables["b"] = np.array([theirs.find(view.chars[i]) for i in view.class_ids])
    world.FakeScorer.tables["b"][view.class_ids == 5] = 0  # which it takes for 口
    mine = with_table(world.run(tmp_path / "a", view, run_id="a"), view)
    found = pair(answers_of(mine, view), view, other, None)
    assert (found.new_chars, found.gone_chars, found.learnt_known) == (world.CHARS[0], "口", False)
    assert 0 not in found.candidate.label and len(found.rival) == 59 * 102
    np.testing.assert_array_equal(found.rival, found.candidate.label != 5)


def test_scans_that_the_former_version_trained_on_are_left_out(
    tmp_path: Path, view: CorpusView, reads: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other_view = world.make_corpus(tmp_path / "other", name="another")
    learnt = {view.names[i] for i in view.indices("test")[:10]}
    train = other_view.indices("train")
    scans = train[other_view.rows["source"][train] == Source.SCANNED]
    names = list(other_view.names)
    for place, name in zip(scans, learnt, strict=False):
        names[place] = name
    object.__setattr__(other_view, "names", names)
    reads["b"] = world.CHARS
    other = world.run(tmp_path / "b", other_view, run_id="b")
    world.FakeScorer.tables["b"] = np.array(view.class_ids)
    mine = with_table(world.run(tmp_path / "a", view, run_id="a"), view)
    found = pair(answers_of(mine, view), view, other, other_view)
    left = set(view.indices("test").tolist()) - set(found.candidate.index.tolist())
    assert found.learnt_known and found.num_learnt == len(left) >= 10
    assert {view.names[i] for i in left} >= learnt
