"""What the gate found, as plain data: what was judged, by what, and by whom."""

from __future__ import annotations

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ocr_sweep.config.gate import GateConfig
from ocr_sweep.registry.evidence import Evidence
from ocr_sweep.registry.gate import Report, Rival
from ocr_sweep.registry.register import Version
from ocr_sweep.tracking.provenance import code_sha256

_FORMAT = 1


def gate_record(
    candidate: Evidence,
    version: Version,
    alias: str,
    rival: Rival | None,
    gate: GateConfig,
    report: Report,
    *,
    who: str,
    because: str,
) -> dict[str, Any]:
    """Everything that was judged and by what, as plain data.

    Args:
        because: why a failed check was overruled; empty where none was.
    """
    return {
        "format": _FORMAT,
        "model": version.name,
        "alias": alias,
        "version": version.number,
        "run": {"id": candidate.record.run_id, "name": candidate.record.name, "study": candidate.record.study},
        "simulated": candidate.record.simulated,
        "files": candidate.hashes,
        "rival": None if rival is None else {**asdict(rival.version), "alias": rival.alias},
        "gate": gate.model_dump(mode="json"),
        "checks": [asdict(check) for check in report.checks],
        "accuracy": [asdict(score) for score in report.scores],
        "forgotten": report.forgetting.forgotten if report.forgetting else "",
        "learnt": report.forgetting.learnt if report.forgetting else "",
        "passed": not report.failed,
        "because": because,
        "who": who,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "code": code_sha256(),
    }
