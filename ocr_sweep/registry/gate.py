"""The gate before a pointer: everything that is asked of a candidate, judged and written down with its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ocr_sweep.config.gate import GateConfig
from ocr_sweep.errors import EvidenceError
from ocr_sweep.metrics import Interval
from ocr_sweep.registry.accuracy import Forgetting, accuracy_of, forgetting, parts
from ocr_sweep.registry.checks import (
    Check,
    Outcome,
    accuracy_checks,
    budget_checks,
    charset_check,
    corpus_check,
    files_check,
    forgetting_check,
    parity_checks,
    reproduction_check,
)
from ocr_sweep.registry.evidence import Evidence
from ocr_sweep.registry.pairs import Answers, Pairs, answers_of, pair
from ocr_sweep.registry.proof import prove
from ocr_sweep.registry.register import Version
from ocr_sweep.store import CorpusView
from ocr_sweep.tracking.test_readings import Reading
from ocr_sweep.tracking.tracker import Tracker


@dataclass(frozen=True)
class Rival:
    """The version that a candidate is compared with."""

    version: Version
    alias: str  # that it holds
    evidence: Evidence | None  # None where its files are missing or damaged
    view: CorpusView | None  # its corpus, where that is in the store
    problem: str = ""  # what is wrong with its files


@dataclass(frozen=True)
class Score:
    """The candidate's accuracy on a named test set, or on the images of one class group in it."""

    test_set: str
    group: str  # empty: all of them
    num_images: int
    num_classes: int
    accuracy: Interval

    def __str__(self) -> str:
        value, low, high = (100 * share for share in (self.accuracy.value, self.accuracy.low, self.accuracy.high))
        return f"{value:.1f} % [{low:.1f}, {high:.1f}]"


@dataclass(frozen=True)
class Report:
    """What the gate found."""

    checks: tuple[Check, ...]
    scores: tuple[Score, ...]
    forgetting: Forgetting | None = None

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that say no."""
        return tuple(check for check in self.checks if check.outcome is Outcome.FAILED)


def judge(
    tracker: Tracker,
    candidate: Evidence,
    view: CorpusView,
    rival: Rival | None,
    gate: GateConfig,
    *,
    readings: Sequence[Reading],
    alone: str,
) -> Report:
    """Put a candidate to every check.

    A candidate whose files are not what was recorded, or whose ONNX disagrees with PyTorch, is no candidate: that is refused
    at once, and nobody can force it. Everything else becomes a check.

    Args:
        view: the candidate's corpus, in the fold that it was validated in.
        rival: the version in the candidate's way; None: there is none.
        readings: of test sets, before this one.
        alone: why there is no rival, where there is none.

    Raises:
        EvidenceError, IntegrityError: see `prove` and `answers_of`.
    """
    again = prove(candidate)
    checks = [files_check(candidate), *parity_checks(candidate, again), corpus_check(view)]
    answers = answers_of(candidate, view)
    scores = tuple(_scores(answers, view))
    checks += [_accuracy(scores, len(answers.index)), _readings(readings, view)]
    found: Forgetting | None = None
    if rival is None:
        checks.append(Check("version it replaces", Outcome.NOT_JUDGED, "none", "–", alone))
    else:
        compared, found = _compared(rival, answers, view, gate)
        checks += compared
    checks += [*budget_checks(candidate, gate), reproduction_check(tracker, candidate, gate)]
    return Report(tuple(checks), scores, found)


def _compared(rival: Rival, answers: Answers, view: CorpusView, gate: GateConfig) -> tuple[list[Check], Forgetting | None]:
    """Set the candidate beside the version that it replaces; one whose files are damaged is a check that fails."""
    name = f"{rival.version.number}, {rival.alias}"
    try:
        if rival.evidence is None:
            raise EvidenceError(rival.problem)
        pairs = pair(answers, view, rival.evidence, rival.view)
    except EvidenceError as error:
        return [Check("version it replaces", Outcome.FAILED, f"{name}: cannot be compared with", "whole", str(error))], None
    found = forgetting(pairs, view)
    checks = [
        Check("version it replaces", Outcome.PASSED, name, "whole", _left_out(pairs)),
        charset_check(pairs, gate),
        *accuracy_checks(pairs, list(parts(pairs.candidate, view)), gate),
        forgetting_check(found, gate),
    ]
    return checks, found


def _accuracy(scores: Sequence[Score], num_images: int) -> Check:
    """The candidate's own accuracy on each test set; a candidate without test images has shown nothing."""
    whole = [score for score in scores if not score.group]
    named = (f"{score.test_set} {score}" for score in whole)
    outcome = Outcome.PASSED if num_images else Outcome.FAILED
    return Check("test images", outcome, f"{num_images} in {len(whole)} sets", "1 or more", "; ".join(named))


def _readings(readings: Sequence[Reading], view: CorpusView) -> Check:
    """Said, not judged: who reads them often enough passes by luck."""
    mine = [reading for reading in readings if reading.corpus == view.fingerprint]
    number = f"{len(mine)}, of {len({reading.run_id for reading in mine})} runs"
    note = "each of the same images makes it likelier to pass by luck" if mine else ""
    return Check("earlier readings of test sets", Outcome.NOT_JUDGED, number, "–", note)


def _left_out(pairs: Pairs) -> str:
    if not pairs.learnt_known:
        return "its corpus is not in the store: it may have trained on some of the test images"
    return f"{pairs.num_learnt} test images left out: it trained on them" if pairs.num_learnt else ""


def _scores(answers: Answers, view: CorpusView) -> Iterator[Score]:
    for part in parts(answers, view):
        classes = len(set(answers.label[part.rows].tolist()))
        yield Score(part.name, part.group, len(part.rows), classes, accuracy_of(answers, part))
