"""What a run says of itself, read back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run

STUDY = "ocr_sweep.study"
TRIAL = "ocr_sweep.trial"
ROLE = "ocr_sweep.role"  # search, confirm, audit or reproduce; or summary, of the one run that is no training
SUMMARY = "summary"
KEY = "ocr_sweep.key"  # one run per key: <study>/<trial>/<role>-<seed>
SUPERSEDED = "ocr_sweep.superseded"  # of a run whose training was begun anew in another: the key that both had
OUTCOME = "ocr_sweep.outcome"
REASON = "ocr_sweep.reason"
QUESTION = "mlflow.note.content"  # of an experiment: what the study asks; of a summary: its words
ARMS = "ocr_sweep.arms"  # of an experiment: the search path whose choices are compared
REPORTED = "ocr_sweep.reported"  # of an experiment: published numbers to set beside ours, JSON
CHOOSES_NOTHING = "ocr_sweep.chooses_nothing"  # of an experiment: its trials count as they are, like repetitions
ARM = "ocr_sweep.arm"  # the architecture, for grouping
CORPUS = "ocr_sweep.corpus"  # fingerprint
SIMULATED = "ocr_sweep.simulated"
ONNX_SHA256 = "ocr_sweep.onnx_sha256"
WEIGHTS_SHA256 = "ocr_sweep.weights_sha256"
FILES_SHA256 = (
    "ocr_sweep.files_sha256"  # fingerprint of the hashes of all files that were recorded at the end, the manifest's too
)
REPRESENTATION = "ocr_sweep.representation"  # key of what is learnt before the classifier, where trials may share it
MICRO_BATCHES = "ocr_sweep.micro_batches"  # parts that batches passed in, where memory did not suffice for the configuration's
MICRO_BATCHES_SINCE = "ocr_sweep.micro_batches_since"  # epochs that were done before, in larger parts
REPRODUCES = "ocr_sweep.reproduces"
FENCED = "ocr_sweep.fenced"  # why the run is not comparable with its study as it is now
VERDICT = "ocr_sweep.verdict"


class Outcome(StrEnum):
    """How a run ended. MLflow's own status has no word for pruned, so the tag says it."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    OOM = "oom"  # there is not the memory for it, in parts as small as they may be; no value, and no fault of the program
    STOPPED = "stopped"  # by a signal; goes on when the study is run again

    @property
    def mlflow_status(self) -> str:
        """MLflow's nearest status."""
        return {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "oom": "FAILED", "stopped": "KILLED"}[
            self.value
        ]


@dataclass(frozen=True)
class RunRecord:
    """One run, as the tracking store has it."""

    run_id: str
    name: str
    status: str  # MLflow's: RUNNING, FINISHED, FAILED, KILLED
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    deleted: bool = False  # in MLflow, which keeps it until somebody collects garbage
    started: datetime | None = None  # UTC
    ended: datetime | None = None  # UTC; None while it runs

    @classmethod
    def of(cls, run: Run) -> RunRecord:
        """Read MLflow's object."""
        return cls(
            run_id=run.info.run_id,
            name=run.info.run_name or run.info.run_id,
            status=run.info.status,
            tags=dict(run.data.tags),
            params=dict(run.data.params),
            metrics=dict(run.data.metrics),
            deleted=run.info.lifecycle_stage == "deleted",
            started=_moment(run.info.start_time),
            ended=_moment(run.info.end_time),
        )

    @property
    def study(self) -> str:
        """The study that the run belongs to."""
        return self.tags.get(STUDY, "")

    @property
    def trial(self) -> int:
        """The trial's number in its study; -1 when the run is no trial of ours."""
        return int(self.tags.get(TRIAL, "-1"))

    @property
    def role(self) -> str:
        """search, confirm, audit or reproduce."""
        return self.tags.get(ROLE, "")

    @property
    def complete(self) -> bool:
        """Whether the run ended with all its evidence."""
        return self.status == "FINISHED" and self.tags.get(OUTCOME) == Outcome.COMPLETE and not self.deleted

    @property
    def state(self) -> str:
        """How the run ended, in a word; or that it runs, or is deleted."""
        if self.deleted:
            return "deleted"
        return self.status.lower() if self.status == "RUNNING" else self.tags.get(OUTCOME, self.status.lower())

    @property
    def fenced(self) -> str:
        """Why the run is not comparable with its study as it is now; empty where it is."""
        return self.tags.get(FENCED, "")

    @property
    def unfinished(self) -> bool:
        """Whether it would go on when its study is run again."""
        return self.status in ("RUNNING", "KILLED")

    @property
    def simulated(self) -> bool:
        """Whether its numbers are measured on simulated scans."""
        return self.tags.get(SIMULATED) == "true"


def _moment(milliseconds: int | None) -> datetime | None:
    return None if not milliseconds else datetime.fromtimestamp(milliseconds / 1000, UTC)
