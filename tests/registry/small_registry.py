"""A registry of versions whose files are a few bytes: for history, rollback and verification nothing needs to be trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr_sweep.config.fingerprint import file_sha256, fingerprint
from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import write_json
from ocr_sweep.registry.evidence import hashes_of_version
from ocr_sweep.registry.history import History
from ocr_sweep.registry.keys import Signer
from ocr_sweep.registry.pointer import PRODUCTION, Pointer
from ocr_sweep.registry.register import Version, registry_lock, standing, version_numbered, version_of
from ocr_sweep.registry.scribe import Scribe
from ocr_sweep.registry.signed import signed_text
from ocr_sweep.tracking.record import Outcome, RunRecord
from ocr_sweep.tracking.tracker import Tracker

MODEL = "ocr-small"


@dataclass(frozen=True)
class SmallRegistry:
    """One registered model and everything that a test does to it."""

    tracker: Tracker
    paths: Paths

    @property
    def signer(self) -> Signer:
        return Signer.open(self.paths.signing_key)

    @property
    def history(self) -> History:
        return History(self.tracker, self.paths, MODEL)

    def run(self, name: str) -> RunRecord:
        """A complete run with small files."""
        folder = self.paths.mlruns / "made" / name
        (folder / "model").mkdir(parents=True)
        for file in ("model/model.onnx", "model/MLmodel", "weights.safetensors", "predictions.npz"):
            (folder / file).write_text(f"{file} of {name}")
        recorded = {file: file_sha256(folder / file) for file in ("model/model.onnx", "weights.safetensors", "predictions.npz")}
        write_json(folder / "manifest.json", {"metrics": {"val/accuracy": 0.5}, "sha256": recorded})
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
        study = self.tracker.experiment("small", {})
        run_id = self.tracker.begin(
            study, key=name, name=name, tags={"ocr_sweep.study": "small"}, params={"corpus.name": "small"}
        )
        self.tracker.log_metrics(run_id, {"val/accuracy": 0.5}, timestamp=1)
        tags = {"onnx": recorded["model/model.onnx"], "weights": recorded["weights.safetensors"], "files": fingerprint(hashes)}
        self.tracker.set_tags(run_id, {f"ocr_sweep.{key}_sha256": value for key, value in tags.items()})
        self.tracker.upload(run_id, folder)
        self.tracker.finish(run_id, Outcome.COMPLETE)
        return self.tracker.run(run_id)

    def version(self, name: str) -> Version:
        """A registered version of a new run."""
        record = self.run(name)
        with registry_lock(self.paths):
            return version_of(self.tracker, record, MODEL)

    def promote(self, number: int, pointer: Pointer = PRODUCTION, **changed: Any) -> None:
        """Move a pointer as a promotion does whose gate has said yes; keywords change the gate's record."""
        with registry_lock(self.paths):
            scribe = Scribe.sit_down(self.history, self.signer)
            version = version_numbered(self.tracker, MODEL, number)
            files = hashes_of_version(self.tracker, MODEL, number)[1]
            record = {"model": MODEL, "version": number, "alias": pointer.alias, "files": files, "passed": True, "because": ""}
            record |= changed
            evidence = {**files, **self._upload_record(version, len(scribe.entries), record)}
            scribe.leave_staging(pointer, version)
            scribe.write("promote", pointer, version, "a test", evidence)

    def _upload_record(self, version: Version, number: int, record: dict[str, Any]) -> dict[str, str]:
        file = self.paths.mlruns / f"{number}.gate.json"
        file.write_text(signed_text(record, self.signer))
        self.tracker.upload_file(version.run_id, file, "registry")
        return {f"registry/{file.name}": file_sha256(file)}

    def sit_down(self) -> list[int | None]:
        """Let somebody take the lock and finish what was left; the versions of all entries."""
        with registry_lock(self.paths):
            return [entry.version for entry in Scribe.sit_down(self.history, self.signer).entries]

    def aliases(self) -> dict[str, int]:
        found = standing(self.tracker, MODEL)
        return found.aliases if found else {}

    def stages(self) -> dict[int, str]:
        return {
            int(version.version): version.current_stage
            for version in self.tracker.client.search_model_versions(f"name = '{MODEL}'")
        }

    def artifact(self, number: int, name: str) -> Path:
        """Where a file of a version's run lies."""
        run_id = version_numbered(self.tracker, MODEL, number).run_id
        return self.paths.artifacts / "small" / run_id / "artifacts" / name
