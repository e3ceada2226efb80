"""Promotion: judge a version at the gate, then let a pointer move to it, or refuse with numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import ConflictError, EvidenceError, IntegrityError, NotFoundError
from ocr_sweep.registry.commit import Commit, Judged, Order, Promotion
from ocr_sweep.registry.evidence import Evidence, collect
from ocr_sweep.registry.gate import Rival, judge
from ocr_sweep.registry.history import History
from ocr_sweep.registry.keys import Signer, require_signer
from ocr_sweep.registry.pointer import PRODUCTION, STAGING, Pointer
from ocr_sweep.registry.register import Version, holder, model_name, registry_lock, require_complete, require_model, version_of
from ocr_sweep.registry.scribe import Scribe
from ocr_sweep.store import CorpusView
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.test_readings import read_test, readings
from ocr_sweep.tracking.tracker import Tracker

OpenCorpus = Callable[[RunRecord, TrialConfig], CorpusView]


class Promoter:
    """Promotes runs.

    Args:
        open_corpus: gives the corpus of a run, as it was then, in its own fold.
    """

    def __init__(self, tracker: Tracker, paths: Paths, open_corpus: OpenCorpus) -> None:
        self._tracker = tracker
        self._paths = paths
        self._open_corpus = open_corpus

    def promote(self, record: RunRecord, order: Order) -> Promotion:
        """Judge a run's version and let the pointer move to it, or record the refusal.

        What the gate compares with is read under the lock before and must still stand there under the lock after. Between
        the two nobody is kept waiting.

        Raises:
            EvidenceError: the run is not complete, a file is missing, or its ONNX disagrees with PyTorch.
            IntegrityError: a file, the history or a pointer is not what was recorded.
            ConflictError: another promotion was faster.
        """
        require_complete(record)
        if order.model is not None:
            require_model(self._tracker, order.model)
        history = History(self._tracker, self._paths, order.model or model_name(record.params["corpus.name"]))
        with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
            candidate = collect(self._tracker, record, Path(folder))
            signer = Signer.open(self._paths.signing_key)
            require_signer(signer, order.gate.signers, order.pointer.alias)
            with registry_lock(self._paths):
                version = version_of(self._tracker, record, history.model)
                self._seated(history, signer, order)
                compared = self._rival(history.model, order.pointer)
                self._check_stage(version, order.pointer)
            rival = self._fetched(compared, version, Path(folder))
            view = self._open_corpus(record, candidate.config)
            before = readings(self._tracker.runs())
            read_test(self._tracker, [record, *([rival.evidence.record] if rival and rival.evidence else [])], "promotion")
            alone = "the first one is compared with nobody" if compared is None else "it is this very version"
            report = judge(self._tracker, candidate, view, rival, order.gate, readings=before, alone=alone)
            judged = Judged(candidate, view, version, order, rival, report)
            if compared is not None and (compared[0].number, compared[1]) == (version.number, order.pointer.alias):
                return Promotion(judged, version.number, None)
            with registry_lock(self._paths):
                scribe = self._seated(history, signer, order)
                self._require_still(history.model, order.pointer, compared)
                return Commit(scribe, judged).make()

    def _seated(self, history: History, signer: Signer, order: Order) -> Scribe:
        scribe = Scribe.sit_down(history, signer)
        outside = history.moved_outside(scribe.entries)
        if outside and not order.because:
            said = "; ".join(
                f"{alias} stands at {_number(stands)}, not at {_number(says)}" for alias, (says, stands) in outside.items()
            )
            raise IntegrityError(
                f"the pointers of {history.model} must stand where its history says, but another program moved them: {said}. "
                f"`ocr-sweep models rollback {history.model}` puts one back; to record it as it stands and go on: "
                '--force --because "..."'
            )
        scribe.adopt(f"another program moved it; {order.because}")
        return scribe

    def _rival(self, model: str, pointer: Pointer) -> tuple[Version, str] | None:
        """Who holds the pointer, or where nobody does, who is in production."""
        for alias in dict.fromkeys((pointer.alias, PRODUCTION.alias)):
            version = holder(self._tracker, model, alias)
            if version is not None:
                return version, alias
        return None

    def _check_stage(self, version: Version, pointer: Pointer) -> None:
        if pointer == STAGING:
            now = holder(self._tracker, version.name, PRODUCTION.alias)
            if now is not None and now.number == version.number:
                raise ConflictError(f"{version.name} version {version.number} is in production; it cannot be in staging besides")

    def _fetched(self, compared: tuple[Version, str] | None, version: Version, folder: Path) -> Rival | None:
        if compared is None or compared[0].number == version.number:
            return None
        try:
            evidence = collect(self._tracker, self._tracker.run(compared[0].run_id), folder)
        except (EvidenceError, NotFoundError) as error:
            return Rival(*compared, None, None, str(error))
        return Rival(*compared, evidence, self._stored_corpus(evidence))

    def _stored_corpus(self, evidence: Evidence) -> CorpusView | None:
        path = self._paths.corpora / evidence.record.tags.get(tag.CORPUS, "")
        return CorpusView.open(path, evidence.config.training.fold) if (path / "manifest.json").is_file() else None

    def _require_still(self, model: str, pointer: Pointer, compared: tuple[Version, str] | None) -> None:
        now = self._rival(model, pointer)
        if _named(now) != _named(compared):
            raise ConflictError(
                f"overtaken: the gate compared with {_named(compared)} of {model}, but now it is {_named(now)}; nothing was "
                "changed. Run the same command again to be compared with it"
            )


def _number(version: int | None) -> str:
    return "nobody" if version is None else f"version {version}"


def _named(compared: tuple[Version, str] | None) -> str:
    return "nobody" if compared is None else f"version {compared[0].number}, {compared[1]}"
