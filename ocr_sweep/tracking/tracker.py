"""Runs in MLflow: found or created by key, fed in batches, ended truthfully."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import read_json, sync_file
from ocr_sweep.errors import IntegrityError, NotFoundError, StoreError
from ocr_sweep.tracking.mlflow_client import connect, is_embedded, tracking_errors
from ocr_sweep.tracking.record import KEY, OUTCOME, REASON, ROLE, STUDY, SUMMARY, SUPERSEDED, Outcome, RunRecord
from ocr_sweep.tracking.run_files import RunFiles

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MANIFEST = "manifest.json"
_PARAM_LENGTH = 500
_BATCH = 100


class Tracker:
    """The only writer of runs. One process of a project uses it for writing at a time per study."""

    def __init__(self, client: MlflowClient, paths: Paths) -> None:
        self.client = client
        self._paths = paths

    @classmethod
    def open(cls, paths: Paths) -> Tracker:
        """Connect to the project's store.

        Raises:
            StoreError: the store cannot be reached or created.
        """
        return cls(connect(paths), paths)

    def experiment(self, study: str, about: Mapping[str, str]) -> str:
        """Return the id of a study's experiment, created on first use.

        Args:
            about: tags of the experiment; those that it has already keep their former value.
        """
        with self._errors():
            known = self.client.get_experiment_by_name(study)
            if known is not None:
                if known.lifecycle_stage == "deleted":
                    self.client.restore_experiment(known.experiment_id)
                for tag in set(about) - set(known.tags):
                    self.client.set_experiment_tag(known.experiment_id, tag, about[tag])
                return str(known.experiment_id)
            tags = {**about, "mlflow.experimentKind": "custom_model_development"}
            place = (self._paths.artifacts / study).as_uri() if is_embedded(self._paths) else None
            return str(self.client.create_experiment(study, artifact_location=place, tags=tags))

    def begin(
        self, experiment_id: str, *, key: str, name: str, tags: Mapping[str, str], params: Mapping[str, Any], anew: bool = False
    ) -> str:
        """Return the id of the run with this key, now RUNNING; a run that exists is adopted, never doubled.

        Args:
            anew: the training begins from nothing: a run that has recorded something already keeps it, and gives up its key.
        """
        with self._errors():
            found = self._with_key(experiment_id, key)
            if found is not None and anew and found.data.metrics:
                self._supersede(found, key)
                found = None
            if found is not None:
                run_id = str(found.info.run_id)
                self.client.update_run(run_id, status="RUNNING")
                for tag in (OUTCOME, REASON):
                    if tag in found.data.tags:
                        self.client.delete_tag(run_id, tag)
            else:
                run_id = str(self.client.create_run(experiment_id, run_name=name, tags={**tags, KEY: key}).info.run_id)
            self._log_params(run_id, params)  # again for an adopted run: it may have been killed before them
            return run_id

    def _with_key(self, experiment_id: str, key: str) -> Run | None:
        found = self.client.search_runs([experiment_id], filter_string=f"tags.`{KEY}` = '{key}'", max_results=1)
        return found[0] if found else None

    def _supersede(self, run: Run, key: str) -> None:
        """Set a run aside; its key is given up last."""
        run_id = str(run.info.run_id)
        self.client.set_tag(run_id, SUPERSEDED, key)
        if run.info.status == "RUNNING":
            self.finish(run_id, Outcome.STOPPED, "begun anew in another run: its folder was gone")
        self.client.set_tag(run_id, KEY, f"{key}@{run_id[:8]}")

    def _log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(key, value) for key, value in as_params(params).items()]
        for first in range(0, len(entries), _BATCH):
            self.client.log_batch(run_id, params=entries[first : first + _BATCH])

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], *, step: int = 0, timestamp: int) -> None:
        """Store metrics; the same metrics with the same step and timestamp (ms) are stored once, however often told."""
        from mlflow.entities import Metric

        with self._errors():
            self.client.log_batch(run_id, metrics=[Metric(key, value, timestamp, step) for key, value in metrics.items()])

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        with self._errors():
            for key, value in tags.items():
                self.client.set_tag(run_id, key, value)

    def delete_tag(self, run_id: str, tag: str) -> None:
        """Take a tag off."""
        with self._errors():
            self.client.delete_tag(run_id, tag)

    def upload(self, run_id: str, folder: Path, inside: str | None = None) -> None:
        """Copy a folder's content into the run's artifacts.

        Raises:
            StoreError: the store is away, or did not keep what it was given.
        """
        with self._errors():
            self.client.log_artifacts(run_id, str(folder), inside)
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        self._require_kept(run_id, {f"{inside}/{name}" if inside else name: path for name, path in files.items()})

    def upload_file(self, run_id: str, file: Path, inside: str | None = None) -> None:
        """Copy one file into the run's artifacts (see `upload`)."""
        with self._errors():
            self.client.log_artifact(run_id, str(file), inside)
        self._require_kept(run_id, {f"{inside}/{file.name}" if inside else file.name: file})

    def _require_kept(self, run_id: str, files: Mapping[str, Path]) -> None:
        """Read artifacts back: whoever gave them away will delete his copies. MLflow neither compares nor syncs."""
        with self._errors(), tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
            place = local_place(str(self.client.get_run(run_id).info.artifact_uri))
            for name, path in files.items():
                if self._kept_sha256(run_id, name, place, Path(folder)) != file_sha256(path):
                    raise StoreError(
                        f"the tracking store must keep {name} of run {run_id} as it was sent, but has other bytes; "
                        "the results are safe on disk; when the store is mended, run the same command again",
                        passing=place is None,  # a server may have been killed meanwhile; a disk of ours is full or broken
                    )
            if place:
                _sync(place, files)

    def _kept_sha256(self, run_id: str, name: str, place: Path | None, scratch: Path) -> str | None:
        """The hash of a run's artifact as the store has it; None where it has none."""
        try:
            return file_sha256(place / name if place else self._download(run_id, name, scratch))
        except (FileNotFoundError, NotFoundError):
            return None

    def upload_text(self, run_id: str, text: str, name: str) -> None:
        """Write a text as an artifact."""
        with self._errors():
            self.client.log_text(run_id, text, name)

    def finish(self, run_id: str, outcome: Outcome, reason: str = "") -> None:
        """End a run; the status is written last."""
        with self._errors():
            self.client.set_tag(run_id, OUTCOME, outcome.value)
            if reason:
                self.client.set_tag(run_id, REASON, reason[:1000])
            self.client.set_terminated(run_id, outcome.mlflow_status)

    def run(self, run_id: str) -> RunRecord:
        """Read a run.

        Raises:
            NotFoundError: there is no such run.
        """
        return RunRecord.of(self._run(run_id))

    def _run(self, run_id: str) -> Run:
        from mlflow.exceptions import MlflowException

        with self._errors():
            try:
                return self.client.get_run(run_id)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise NotFoundError(
                        f"no run '{run_id}' in this project; `ocr-sweep runs list` shows the known ones"
                    ) from None
                raise

    def runs(self, study: str | None = None) -> list[RunRecord]:
        """Read all trainings of a study, or of every study, oldest first: no summaries, and none that was begun anew."""
        with self._errors():
            experiments = self.client.search_experiments()
            ids = [e.experiment_id for e in experiments if study is None or e.name == study]
            if not ids:
                return []
            records, token = [], None
            while True:
                page = self.client.search_runs(
                    ids,
                    filter_string=f"tags.`{STUDY}` != ''",
                    order_by=["attributes.start_time ASC"],
                    max_results=1000,
                    page_token=token,
                )
                records += [
                    RunRecord.of(run) for run in page if SUPERSEDED not in run.data.tags and run.data.tags.get(ROLE) != SUMMARY
                ]
                token = page.token
                if not token:
                    return records

    def curve(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """Read (step, value) of one metric, in order."""
        with self._errors():
            points = self.client.get_metric_history(run_id, metric)
        return sorted({(point.step, point.value) for point in points})

    def about(self, study: str) -> dict[str, str]:
        """What a study's experiment says of it (see `experiment`); empty where there is none."""
        with self._errors():
            known = self.client.get_experiment_by_name(study)
        return dict(known.tags) if known is not None else {}

    def artifact_places(self) -> dict[str, str]:
        """Where each experiment's artifacts lie, by the experiment's name."""
        with self._errors():
            return {e.name: str(e.artifact_location) for e in self.client.search_experiments() if e.name != "Default"}

    def manifest(self, run_id: str, into: Path) -> dict[str, str]:
        """Read the recorded sha256 of each artifact of a run.

        Raises:
            NotFoundError: the run has no manifest: it never finished.
        """
        hashes: dict[str, str] = read_json(self._download(run_id, MANIFEST, into))["sha256"]
        return hashes

    def artifact(self, run_id: str, name: str, into: Path) -> Path:
        """Fetch an artifact and compare it with its recorded hash.

        Raises:
            NotFoundError: the run has no such artifact.
            IntegrityError: its bytes differ from what was recorded.
        """
        expected = self.manifest(run_id, into).get(name)
        if expected is None:
            raise NotFoundError(f"run {run_id} has recorded no artifact '{name}'")
        path = self._download(run_id, name, into)
        came = file_sha256(path)
        if came != expected:
            raise IntegrityError(
                f"artifact {name} of run {run_id} must have sha256 {expected}, but has {came}: it was changed or damaged"
            )
        return path

    def unproven(self, run_id: str, name: str, into: Path) -> Path | None:
        """Fetch an artifact that no manifest vouches for, a log say; None where the run has none of this name."""
        try:
            return self._download(run_id, name, into)
        except NotFoundError:
            return None

    def files(self, run_id: str) -> RunFiles:
        """The artifacts of a run as they are, without comparing them with anything.

        Raises:
            NotFoundError: there is no such run.
        """
        return RunFiles(run_id, str(self._run(run_id).info.artifact_uri), self._paths.tracking_uri)

    def _download(self, run_id: str, name: str, into: Path) -> Path:
        folder = into / run_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        with self._errors():
            parent = name.rpartition("/")[0] or None
            if name not in {file.path for file in self.client.list_artifacts(run_id, parent)}:
                raise NotFoundError(f"run {run_id} has no artifact '{name}': its files are missing or it never finished")
            return Path(self.client.download_artifacts(run_id, name, str(folder)))

    def _errors(self) -> Any:
        return tracking_errors(self._paths.tracking_uri)


def as_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as the tracking store keeps them."""
    return {key: str(value)[:_PARAM_LENGTH] for key, value in params.items()}


def local_place(artifact_uri: str) -> Path | None:
    """The folder of a run's artifacts; None where they are not on a disk of this machine."""
    parts = urlsplit(artifact_uri)
    if parts.scheme not in ("file", ""):
        return None
    return Path(unquote(parts.path))


def _sync(place: Path, names: Iterable[str]) -> None:
    """Make copied artifacts durable, and the names of all folders above them up to the store's root."""
    files = [place / name for name in names]
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(place)} | set(place.parents[:3])
    for path in (*files, *sorted(folders)):
        sync_file(path)


def best_first(records: Iterable[RunRecord], metric: str) -> list[RunRecord]:
    """Complete runs that have the metric, highest first; ties by trial number."""
    return sorted((r for r in records if r.complete and metric in r.metrics), key=lambda r: (-r.metrics[metric], r.trial))
