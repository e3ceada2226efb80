"""The checks of the gate: a loss that matters is refused, one that cannot be seen is said, an equal version passes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import world
from numpy.typing import NDArray

from ocr_sweep.config.gate import GateConfig
from ocr_sweep.disk import write_json
from ocr_sweep.registry import checks
from ocr_sweep.registry.accuracy import forgetting, parts
from ocr_sweep.registry.checks import Check, Outcome
from ocr_sweep.registry.pairs import Pairs
from ocr_sweep.store import CorpusView

GATE = GateConfig()
GROUPS = ("unseen", "few", "medium")


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> CorpusView:
    return world.make_corpus(tmp_path_factory.mktemp("world") / "corpus")


def judged(pairs: Pairs, view: CorpusView, gate: GateConfig = GATE) -> dict[str, Check]:
    return {check.name: check for check in checks.accuracy_checks(pairs, list(parts(pairs.candidate, view)), gate)}


def wrong_on(
    view: CorpusView, share: float, *, classes: range = range(60), sets: str = "test", seed: int = 0
) -> NDArray[np.bool_]:
    """Answers that are right but for a share of the images of these classes in these sets."""
    all_right = world.answers(view)
    drawn = np.random.default_rng(seed).random(len(all_right.index)) < share
    return ~(drawn & np.isin(all_right.label, classes) & np.isin(all_right.set_id, view.set_ids(sets)))


def test_the_parts_are_the_sets_and_their_groups(view: CorpusView) -> None:
    found = {part.title: len(part.rows) for part in parts(world.answers(view), view)}
    groups = {f"test/book, {group}": 2000 for group in GROUPS}
    assert found == {"test/book": 6000, **groups, "test/worn": 120, **{f"test/worn, {group}": 40 for group in GROUPS}}


def test_two_versions_that_answer_alike_pass_where_there_are_images_enough(view: CorpusView) -> None:
    alike = wrong_on(view, 0.1)
    found = judged(world.pairs_of(view, alike, alike), view)
    for name, check in found.items():
        assert check.outcome is (Outcome.PASSED if name.startswith("test/book") else Outcome.NOT_JUDGED), check
    assert found["test/book"].note == "not worse" and "could not be ruled out" in found["test/worn"].note
    assert "test sets that can tell" not in found


def test_a_better_version_passes_and_is_called_better(view: CorpusView) -> None:
    found = judged(world.pairs_of(view, True, wrong_on(view, 0.1)), view)
    assert found["test/book"].outcome is Outcome.PASSED and found["test/book"].note == "better"
    assert found["test/book"].number.startswith("+10.") and found["test/book"].limit == "loss above 0.5 points ruled out"


def test_a_worse_version_fails_everywhere(view: CorpusView) -> None:
    found = judged(world.pairs_of(view, wrong_on(view, 0.1), True), view)
    assert all(check.outcome is Outcome.FAILED and check.note == "worse" for name, check in found.items() if "book" in name)


def test_a_loss_in_one_group_fails_there_alone(view: CorpusView) -> None:
    gate = GateConfig(margin=4.0, group_margin=2.0)
    found = judged(world.pairs_of(view, wrong_on(view, 0.06, classes=range(20)), True), view, gate)
    failed = [name for name, check in found.items() if check.outcome is Outcome.FAILED]
    assert failed == ["test/book, unseen"]


def test_what_is_not_shown_fails_and_says_how_many_images_would_tell(view: CorpusView) -> None:
    found = judged(world.pairs_of(view, wrong_on(view, 0.05, seed=1), wrong_on(view, 0.05, seed=2)), view)["test/book"]
    assert found.outcome is Outcome.FAILED and "not shown: about" in found.note
    needed = int(found.note.split("about ")[1].split()[0].replace(",", ""))
    assert 6_000 < needed < 200_000


def test_images_too_few_for_any_margin_are_no_evidence(view: CorpusView) -> None:
    mine = world.answers(view)
    few = np.isin(mine.set_id, view.set_ids("test/worn"))
    pairs = Pairs(mine[few], mine[few].right, 0, True, "", "")
    found = judged(pairs, view)
    assert found["test sets that can tell"].outcome is Outcome.FAILED
    assert found["test sets that can tell"].number == "0 of 1"


def test_a_loss_beyond_doubt_fails_even_on_few_images(view: CorpusView) -> None:
    found = judged(world.pairs_of(view, wrong_on(view, 0.5, sets="test/worn"), True), view)
    assert found["test/worn"].outcome is Outcome.FAILED and "too few images" in found["test/worn"].note
    assert found["test/book"].outcome is Outcome.PASSED


def test_a_version_that_is_worse_by_the_margin_hardly_ever_passes(view: CorpusView) -> None:
    """The promise of a non-inferiority test: at most 2.5 % at the margin itself."""
    gate, rng = GateConfig(margin=3.0), np.random.default_rng(5)
    label = world.answers(view).label
    passed = 0
    for _ in range(120):
        difficulty = rng.beta(8, 2, 60)
        loss = np.clip(rng.normal(0.03, 0.03, 60), -0.2, 0.2)
        loss += 0.03 - loss.mean()
        draw = rng.random(len(label))
        rival, mine = draw < difficulty[label], rng.random(len(label)) < np.clip(difficulty - loss, 0, 1)[label]
        pairs = world.pairs_of(view, mine, rival)
        part = next(part for part in parts(pairs.candidate, view) if part.title == "test/book")
        passed += checks._accuracy_check(pairs, part, gate).outcome is Outcome.PASSED
    assert passed <= 8, passed  # 2.5 % of 120 is 3; 8 is four standard deviations above


def test_forgotten_characters_are_counted_and_named(view: CorpusView) -> None:
    label = world.answers(view).label
    mine, rival = ~np.isin(label, [3, 7]), ~np.isin(label, [7, 9])
    found = forgetting(world.pairs_of(view, mine, rival), view)
    assert (found.forgotten, found.learnt, found.num_read) == (world.CHARS[3], world.CHARS[9], 58)
    check = checks.forgetting_check(found, GATE)
    assert check.outcome is Outcome.PASSED and f"forgotten: {world.CHARS[3]}" in check.note
    assert checks.forgetting_check(found, GateConfig(max_forgotten=1.0)).outcome is Outcome.FAILED
    some = wrong_on(view, 0.6)
    assert not forgetting(world.pairs_of(view, some, True), view).forgotten, "a character of which some are read is not forgotten"


@pytest.mark.parametrize(("gone", "allowed", "outcome"), [("", 0, "passed"), ("甲乙", 1, "failed"), ("甲乙", 2, "passed")])
def test_characters_that_the_charset_lost(view: CorpusView, gone: str, allowed: int, outcome: str) -> None:
    pairs = Pairs(world.answers(view), world.answers(view).right, 0, True, "丙", gone)
    check = checks.charset_check(pairs, GateConfig(max_dropped=allowed))
    assert check.outcome.value == outcome and "new, not compared: 丙" in check.note
    assert not gone or "gone: 甲 乙" in check.note


def test_budgets(view: CorpusView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = world.run(tmp_path / "run", view)
    evidence.file("model/model.onnx").write_bytes(bytes(3_000_000))
    evidence.places["probe.npz"] = tmp_path / "probe.npz"
    np.savez(evidence.file("probe.npz"), images=np.full((3, 16, 16), 200, np.uint8))
    pictures: list[tuple[int, ...]] = []

    def takes(squares: float, picture: float | None) -> None:
        def timed(given: NDArray[np.uint8]) -> float | None:
            pictures.append(given.shape)
            return picture

        scorer = SimpleNamespace(latency_ms=lambda: squares, picture_latency_ms=timed)
        monkeypatch.setattr(checks, "Scorer", lambda path, threads: scorer)

    def budgets(**asked: Any) -> list[Check]:
        return list(checks.budget_checks(evidence, GateConfig(**asked)))

    def outcomes(**asked: Any) -> list[str]:
        return [check.outcome.value for check in budgets(**asked)]

    takes(squares=3.0, picture=12.0)
    assert outcomes() == ["passed", "passed"] and pictures == [(128, 128)]
    assert outcomes(max_latency_ms=11.9, max_megabytes=2.9) == ["failed", "failed"]
    assert outcomes(max_latency_ms=None, max_megabytes=None) == ["not judged", "not judged"]
    assert "128 px, preparation included" in budgets()[0].note
    takes(squares=3.0, picture=None)
    assert outcomes(max_latency_ms=2.9)[0] == "failed" and "of a former version, which prepares nothing" in budgets()[0].note


@pytest.mark.parametrize(
    ("verdicts", "asked", "outcome"),
    [
        ([], None, "not judged"),
        ([], "within band", "failed"),
        (["within band"], "within band", "passed"),
        (["within band"], "identical", "failed"),
        (["identical"], "within band", "passed"),
        (["identical", "diverged"], "within band", "failed"),  # the last one counts
    ],
)
def test_reproduction(view: CorpusView, tmp_path: Path, verdicts: list[str], asked: Any, outcome: str) -> None:
    evidence = world.run(tmp_path / "run", view, run_id="mine")
    runs = [SimpleNamespace(tags={"ocr_sweep.reproduces": "mine", "ocr_sweep.verdict": verdict}) for verdict in verdicts]
    others = [SimpleNamespace(tags={"ocr_sweep.reproduces": "another", "ocr_sweep.verdict": "identical"})]
    tracker: Any = SimpleNamespace(runs=lambda study: [*runs, *others])
    assert checks.reproduction_check(tracker, evidence, GateConfig(reproduction=asked)).outcome.value == outcome


def test_a_certificate_that_says_no_fails(view: CorpusView, tmp_path: Path) -> None:
    evidence = world.run(tmp_path / "run", view)
    place = tmp_path / "parity.json"
    again: Any = SimpleNamespace(max_difference=0.0, flips=0, num_images=1)
    evidence.places["parity.json"] = place
    content = {"num_images": 5, "max_difference": 0.3, "flips": 2, "tolerance": 1e-4}
    for holds, outcome in ((True, Outcome.PASSED), (False, Outcome.FAILED)):
        write_json(place, {**content, "holds": holds})
        assert next(checks.parity_checks(evidence, again)).outcome is outcome


def test_a_candidate_without_test_images_has_shown_nothing(view: CorpusView) -> None:
    from ocr_sweep.registry import gate

    scores = tuple(gate._scores(world.answers(view, wrong_on(view, 0.1)), view))
    check = gate._accuracy(scores, 6120)
    assert check.outcome is Outcome.PASSED and check.number == "6120 in 2 sets"
    assert check.note.startswith("test/book 89.4 % [") and "test/worn" in check.note and "unseen" not in check.note
    assert gate._accuracy((), 0).outcome is Outcome.FAILED


def test_a_damaged_corpus_fails(tmp_path: Path) -> None:
    view = world.make_corpus(tmp_path / "corpus")
    images = tmp_path / "corpus" / "images.npy"
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    check = checks.corpus_check(CorpusView.open(view.path))
    assert check.outcome is Outcome.FAILED and "must have sha256" in check.note
