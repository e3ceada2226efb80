"""The folder of a trial in progress: one class knows what lies in it.

The supervisor writes the configuration, the parts of a batch and the wish to stop; the trial writes events, beats,
checkpoints, results, and last of all its outcome. Nothing else passes between them, so they may live on different machines.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import yaml

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import make_directory, new_aside, read_json, store_errors, sync_directory, write_bytes, write_json
from ocr_sweep.errors import IntegrityError
from ocr_sweep.sweep.trials.events import Event, EventLog
from ocr_sweep.sweep.trials.micro_batches import MicroBatches

Ending = Literal["complete", "pruned", "failed", "oom", "stopped"]
Wish = Literal["prune", "stop"]

_FINAL: tuple[Ending, ...] = ("complete", "pruned", "failed")

ONNX = "model/model.onnx"
WEIGHTS = "weights.safetensors"
PREDICTIONS = "predictions.npz"
PROBE = "probe.npz"
CONFIG = "config.yaml"
PROVENANCE = "provenance.json"
LOSSES = "losses.npy"


class Attempt:
    """The paths and the small files of one trial in progress."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.result = folder / "result"  # becomes the run's artifacts
        self.checkpoint = folder / "checkpoint.pt"
        self.classifier_checkpoint = folder / "classifier.pt"
        self.log = folder / "log.txt"
        self.lock = folder / "lock"
        self.heartbeat = folder / "beats"
        self._log = EventLog(folder / "events.jsonl")
        self._outcome = folder / "outcome.json"
        self._wish = folder / "wish"
        self._job = folder / "job.json"
        self._deaths = folder / "deaths"
        self._micro_batches = folder / "micro_batches.json"

    def prepare(
        self,
        config: TrialConfig,
        store: Path,
        provenance: dict[str, Any],
        representations: Path | None = None,
        parts: MicroBatches | None = None,
    ) -> None:
        """Lay the folder out, or keep it as a former session left it.

        Args:
            representations: where the trial may share its representation with others; None: it shares none.
            parts: of a batch, from the start; None: as configured.
        """
        with store_errors(f"preparing {self.folder}"):
            make_directory(self.result)
        if not self._job.exists():
            write_bytes(self.result / CONFIG, config_yaml(config).encode())
            write_json(self.result / PROVENANCE, provenance)
            if parts is not None:
                self.cut(parts)
            shared = {} if representations is None else {"representations": str(representations)}
            write_json(self._job, {"store": str(store), **shared})

    def prepared(self) -> bool:
        """Whether a former session laid the folder out."""
        return self._job.exists()

    def ended(self) -> bool:
        """Whether the trial has an end that no process can change: it needs to be recorded, and nothing else."""
        outcome = self.outcome()
        return outcome is not None and outcome[0] in _FINAL

    def begin(self) -> None:
        """Forget how a former session ended, and what was asked of it."""
        self._wish.unlink(missing_ok=True)
        self.forget_outcome()

    def forget_outcome(self) -> None:
        """Forget how a former process of this trial ended; it may have said so after `begin`."""
        self._outcome.unlink(missing_ok=True)

    def died(self) -> int:
        """Count a death of the trial's process; returns how many there were, this one included."""
        deaths = int(self._deaths.read_text()) + 1 if self._deaths.exists() else 1
        write_bytes(self._deaths, str(deaths).encode())
        return deaths

    def cut(self, parts: MicroBatches) -> None:
        """Have batches pass in these parts from the next start on."""
        write_json(self._micro_batches, asdict(parts))

    def micro_batches(self) -> MicroBatches | None:
        """The parts of a batch, where they are other than the configuration's."""
        return MicroBatches(**read_json(self._micro_batches)) if self._micro_batches.exists() else None

    def config(self) -> TrialConfig:
        """The trial's configuration."""
        return read_config(self.result / CONFIG)

    def store(self) -> Path:
        """The corpus store that the trial reads."""
        return Path(read_json(self._job)["store"])

    def representations(self) -> Path | None:
        """Where the trial may share its representation."""
        found = read_json(self._job).get("representations")
        return None if found is None else Path(found)

    def begun(self) -> bool:
        """Whether a former session left a checkpoint."""
        return self.checkpoint.exists() or self.classifier_checkpoint.exists()

    def append(self, event: Event) -> None:
        """Write an event down; once this returns it survives a kill."""
        self._log.append(event)

    def events(self) -> list[Event]:
        """All whole events, in order; a line that is torn or damaged is not one of them."""
        return self._log.events()

    def num_damaged_events(self) -> int:
        """Lines of events that are not what was written."""
        return self._log.num_damaged()

    def heal_events(self) -> None:
        """Mend what a kill left: a torn last line, and files that never got their name."""
        mine = (*self.folder.glob(".*.pt.*.tmp"), *self.folder.glob(f".{self._outcome.name}.*.tmp"))
        for aside in (*self.result.rglob(".*.tmp"), *mine):
            aside.unlink(missing_ok=True)
        self._log.heal()

    def wish(self, wish: Wish) -> None:
        """Ask the trial to end at its next batch."""
        write_bytes(self._wish, wish.encode())

    def wished(self) -> str | None:
        """What the supervisor asked for."""
        return self._wish.read_text() if self._wish.exists() else None

    def end(self, ending: Ending, reason: str = "") -> None:
        """Write how the trial ended; the trial's last act."""
        write_json(self._outcome, {"ending": ending, "reason": reason})

    def outcome(self) -> tuple[Ending, str] | None:
        """How the trial ended; None while it runs, or when it died."""
        if not self._outcome.exists():
            return None
        content = read_json(self._outcome)
        return content["ending"], content["reason"]

    def seal(self, record: dict[str, Any]) -> None:
        """Write the manifest: the hash of every result, and the numbers of record."""
        hashes = {name: sha256 for name, sha256 in self.hashes().items() if name != "manifest.json"}
        write_json(self.result / "manifest.json", {**record, "sha256": hashes})

    def hashes(self) -> dict[str, str]:
        """The sha256 of every result that lies there now."""
        files = [path for path in sorted(self.result.rglob("*")) if path.is_file()]
        return {path.relative_to(self.result).as_posix(): file_sha256(path) for path in files}

    def sealed(self) -> dict[str, Any]:
        """Read the manifest and compare every file with it.

        Raises:
            IntegrityError: a result differs from what was recorded.
        """
        try:
            manifest: dict[str, Any] = read_json(self.result / "manifest.json")
        except (FileNotFoundError, ValueError) as error:
            raise IntegrityError(f"the manifest of {self.result} cannot be read: {error}") from error
        for name, expected in manifest["sha256"].items():
            path = self.result / name
            came = file_sha256(path) if path.is_file() else "no file"
            if came != expected:
                raise IntegrityError(f"result {path} must have sha256 {expected}, but has {came}")
        return manifest

    def carried(self, *, ended: bool) -> list[str]:
        """Names of what the trial has written, in the order in which it may be written elsewhere: the outcome last.

        Args:
            ended: whether its process has; its results are not whole before.
        """
        ours = {self._job.name, self._wish.name, self._deaths.name, self._outcome.name, self.lock.name}
        found = (path.name for path in self.folder.iterdir() if path.is_file())
        names = sorted(name for name in found if name not in ours and not name.startswith((".", "rendezvous-")))
        if not ended:
            return names
        results = (path for path in self.result.rglob("*") if path.is_file())
        inside = sorted(path.relative_to(self.folder).as_posix() for path in results)
        inside.sort(key=lambda name: name.endswith("/manifest.json"))
        return [*names, *inside, self._outcome.name]

    def remove(self) -> None:
        """Delete the folder; everything in it has been recorded. It loses its name first: half of one would be believed."""
        for left in self.folder.parent.glob(f".{self.folder.name}.*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        aside = new_aside(self.folder)
        with suppress(FileNotFoundError), store_errors(f"removing {self.folder}"):
            self.folder.rename(aside)
            sync_directory(aside.parent)
        shutil.rmtree(aside, ignore_errors=True)


def config_yaml(config: TrialConfig) -> str:
    """A complete trial as YAML, charset included."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), allow_unicode=True, sort_keys=False, width=120)
    return text


def read_config(path: Path) -> TrialConfig:
    """Read what `config_yaml` wrote."""
    return TrialConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
