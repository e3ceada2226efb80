"""A judged promotion is written down: the gate's record, the model card, the entry of the history, and then the pointer moves."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.config.gate import GateConfig
from ocr_sweep.disk import write_bytes
from ocr_sweep.errors import EvidenceError
from ocr_sweep.registry.card import model_card
from ocr_sweep.registry.chain import Entry
from ocr_sweep.registry.evidence import Evidence
from ocr_sweep.registry.gate import Report, Rival
from ocr_sweep.registry.gate_record import gate_record
from ocr_sweep.registry.history import COPIES
from ocr_sweep.registry.pointer import Pointer
from ocr_sweep.registry.register import Version
from ocr_sweep.registry.scribe import Scribe, plain, who
from ocr_sweep.registry.signed import signed_text
from ocr_sweep.store import CorpusView
from ocr_sweep.tracking.mlflow_client import tracking_errors

_DESCRIPTION = 4900  # characters that every database keeps
_FLAT = str.maketrans("", "", "-:+")


@dataclass(frozen=True)
class Order:
    """What somebody asks for."""

    pointer: Pointer
    gate: GateConfig
    model: str | None = None  # the registered model; None: that of the run's corpus
    because: str = ""  # why failed checks are overruled; empty: they are not


@dataclass(frozen=True)
class Judged:
    """A candidate, and what the gate found."""

    candidate: Evidence
    view: CorpusView
    version: Version
    order: Order
    rival: Rival | None
    report: Report

    @property
    def refused(self) -> bool:
        """Whether a check failed and nobody overrules it."""
        return bool(self.report.failed) and not self.order.because


@dataclass(frozen=True)
class Promotion:
    """What became of a promotion."""

    judged: Judged
    former: int | None  # version that held the pointer before
    entry: Entry | None  # of the history; None when the version held the pointer already

    def require_passed(self) -> None:
        """Refuse, in words.

        Raises:
            EvidenceError: checks failed and nobody overruled them.
        """
        if self.entry is not None and self.entry.what == "refuse":
            version, sentences = self.judged.version, "; ".join(check.sentence() for check in self.judged.report.failed)
            raise EvidenceError(
                f"{version.name} version {version.number} is not promoted to {self.entry.alias}: {sentences}. "
                'To overrule this, for the record: --force --because "..."'
            )


class Commit:
    """Where a judged promotion is written down; whoever does so holds the lock.

    Until the entry stands in the history nothing has moved; from then on the history itself finishes the work, even after a
    kill.
    """

    def __init__(self, scribe: Scribe, judged: Judged) -> None:
        self._scribe = scribe
        self._judged = judged
        self._tracker = scribe.history.tracker
        self._pointer = judged.order.pointer
        self._because = plain(judged.order.because)
        self._former = scribe.holder(judged.order.pointer)

    def make(self) -> Promotion:
        """Refuse or move."""
        entry = self._refuse() if self._judged.refused else self._move()
        return Promotion(self._judged, self._former, entry)

    def _refuse(self) -> Entry:
        record = self._record(because="")
        evidence = self._upload({self._name(record, "gate.json"): signed_text(record, self._scribe.signer)})
        failed = "; ".join(check.name for check in self._judged.report.failed)
        return self._scribe.write("refuse", self._pointer, self._judged.version, failed, evidence)

    def _move(self) -> Entry:
        judged, forced = self._judged, bool(self._judged.report.failed)
        record = self._record(because=self._because if forced else "")
        card = model_card(
            judged.candidate, judged.view, judged.version, record, judged.report,
            former=self._former, parent=self._scribe.parent(self._pointer),
        )  # fmt: skip
        texts = {self._name(record, "gate.json"): signed_text(record, self._scribe.signer), self._name(record, "card.md"): card}
        evidence = {**judged.candidate.hashes, **self._upload(texts)}
        self._describe(card)
        self._scribe.leave_staging(self._pointer, judged.version)
        return self._scribe.write(
            "promote", self._pointer, judged.version, self._because or "the gate passed", evidence, forced=forced
        )

    def _record(self, because: str) -> dict[str, Any]:
        judged = self._judged
        return gate_record(
            judged.candidate, judged.version, self._pointer.alias, judged.rival, judged.order.gate, judged.report,
            who=who(), because=because,
        )  # fmt: skip

    def _name(self, record: dict[str, Any], kind: str) -> str:
        """No two judgements share a name: what an entry of the history names stays as it is."""
        return f"{COPIES}/{self._pointer.alias}-{len(self._scribe.entries) + 1}-{record['when'].translate(_FLAT)}.{kind}"

    def _upload(self, texts: dict[str, str]) -> dict[str, str]:
        """Put texts among the run's artifacts; their hashes by name."""
        hashes = {}
        with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
            for name, text in texts.items():
                file = Path(folder) / Path(name).name
                write_bytes(file, text.encode())
                hashes[name] = file_sha256(file)
                self._tracker.upload_file(self._judged.candidate.record.run_id, file, COPIES)
        return hashes

    def _describe(self, card: str) -> None:
        """The card as the version's description, for the MLflow UI."""
        client, version = self._tracker.client, self._judged.version
        with tracking_errors(client.tracking_uri):
            client.update_model_version(version.name, str(version.number), card[:_DESCRIPTION])
