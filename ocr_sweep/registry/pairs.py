"""What two versions say of the same test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.delivery.model_file import read_metadata
from ocr_sweep.errors import EvidenceError, IntegrityError
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.registry.evidence import ONNX, PREDICTIONS, Evidence
from ocr_sweep.store import CorpusView, Source
from ocr_sweep.tracking import record as tag

_CHUNK = 2048  # images whose (., K) logits are held at once
_SAMPLE = 64  # test images that are read again
_TIE = 1e-3  # two probabilities so near may change their order on another machine


@dataclass(frozen=True)
class Answers:
    """A version's answers on the test images of the candidate's corpus."""

    index: NDArray[np.int64]  # (N,) image number in the corpus
    label: NDArray[np.int64]  # (N,) class in the corpus
    set_id: NDArray[np.int64]  # (N,) named set
    group: NDArray[np.int64]  # (N,) writer or page
    right: NDArray[np.bool_]  # (N,)

    def __getitem__(self, kept: NDArray[np.bool_]) -> Answers:
        return Answers(self.index[kept], self.label[kept], self.set_id[kept], self.group[kept], self.right[kept])


@dataclass(frozen=True)
class Pairs:
    """Test images that both versions could read, and how each did."""

    candidate: Answers
    rival: NDArray[np.bool_]  # (N,) whether the former version reads the image right
    num_learnt: int  # test images left out, because the former version trained on them
    learnt_known: bool  # whether that could be found out: the former version's corpus is in the store
    new_chars: str  # that the former version's charset lacks; their images are left out
    gone_chars: str  # that the candidate's charset lacks


def answers_of(evidence: Evidence, view: CorpusView) -> Answers:
    """A run's recorded answers on the test images of its own corpus, after reading some of the images again.

    Raises:
        EvidenceError: the run has no predictions.
        IntegrityError: its ONNX answers otherwise than they say.
    """
    predictions = Predictions.read(evidence.file(PREDICTIONS))
    rows = predictions.of_set("test", view)
    _read_again(evidence, predictions, rows, view)
    return Answers(
        predictions.index[rows],
        predictions.label[rows],
        predictions.set_id[rows].astype(np.int64),
        np.asarray(view.rows["group"][predictions.index[rows]], np.int64),
        predictions.top5[rows, 0] == predictions.label[rows],
    )


def pair(mine: Answers, view: CorpusView, rival: Evidence, rival_view: CorpusView | None) -> Pairs:
    """Set another version's answers beside the candidate's.

    If it was trained on the same corpus, it has recorded them; otherwise it reads the images now.

    Args:
        mine: the candidate's answers on the test images of `view`.
        rival_view: the other version's corpus; None where it is not in the store.

    Raises:
        EvidenceError, IntegrityError: the other version's files are not enough, or contradict each other.
    """
    charset = "".join(read_metadata(rival.file(ONNX))["charset"])
    new = np.array([char not in charset for char in view.chars])
    same_corpus = rival.record.tags.get(tag.CORPUS) == view.fingerprint
    learnt = np.zeros(len(mine.index), bool) if same_corpus else _learnt_by(rival_view, view, mine.index)
    mine = mine[~learnt & ~new[mine.label]]
    return Pairs(
        candidate=mine,
        rival=_recorded(rival, mine, view) if same_corpus else _read(rival, mine, view, charset),
        num_learnt=int(learnt.sum()),
        learnt_known=same_corpus or rival_view is not None,
        new_chars="".join(char for char in view.chars if char not in charset),
        gone_chars="".join(char for char in charset if char not in view.chars),
    )


def _recorded(rival: Evidence, wanted: Answers, view: CorpusView) -> NDArray[np.bool_]:
    known = answers_of(rival, view)
    place = np.minimum(np.searchsorted(known.index, wanted.index), max(0, len(known.index) - 1))  # both are ascending
    if not len(known.index) or not np.array_equal(known.index[place], wanted.index):
        raise EvidenceError(f"run {rival.record.run_id} ({rival.record.name}) has not judged every test image of its corpus")
    right: NDArray[np.bool_] = known.right[place]
    return right


def _read(rival: Evidence, wanted: Answers, view: CorpusView, charset: str) -> NDArray[np.bool_]:
    """Run a version of another corpus over the images; what it reads is compared as a character."""
    scorer = Scorer(rival.file(ONNX), threads=rival.config.training.threads)
    class_of = {char: i for i, char in enumerate(charset)}
    wanted_class = np.array([class_of.get(char, -1) for char in view.chars])[wanted.label]
    parts = []
    for first in range(0, len(wanted.index), _CHUNK):
        parts.append(scorer.corpus_logits(view, wanted.index[first : first + _CHUNK]).argmax(axis=1))
    read: NDArray[np.int64] = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    right: NDArray[np.bool_] = read == wanted_class
    return right


def _learnt_by(rival_view: CorpusView | None, view: CorpusView, index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) which images the former version trained on: scans have a name that is the same in every corpus."""
    if rival_view is None:
        return np.zeros(len(index), bool)
    train = rival_view.indices("train")
    scans = train[rival_view.rows["source"][train] == Source.SCANNED]
    learnt = {rival_view.names[i] for i in scans}
    scans = view.rows["source"][index] == Source.SCANNED
    known: list[bool] = [bool(scan) and view.names[i] in learnt for i, scan in zip(index, scans, strict=True)]
    return np.array(known, dtype=np.bool_)


def _read_again(evidence: Evidence, predictions: Predictions, rows: NDArray[np.int64], view: CorpusView) -> None:
    some = rows[np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(np.int64)]
    clear = some[predictions.prob5[some, 0] - predictions.prob5[some, 1] > _TIE]
    scorer = Scorer(evidence.file(ONNX), threads=evidence.config.training.threads)
    came = scorer.corpus_logits(view, predictions.index[clear]).argmax(axis=1)
    wrong = int((came != predictions.top5[clear, 0]).sum())
    if wrong:
        raise IntegrityError(
            f"{PREDICTIONS} of run {evidence.record.run_id} must hold what its ONNX says, but of {len(clear)} test images "
            f"that were read again {wrong} came out otherwise"
        )
