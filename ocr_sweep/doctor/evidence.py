"""All that is looked at, read once: what the stores say, what lies on disk, and who is at work."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import yaml

from ocr_sweep.config.paths import Paths
from ocr_sweep.doctor import words
from ocr_sweep.doctor.artifacts import Artifacts, artifacts_at
from ocr_sweep.doctor.mlflow_rest import Server, read_server
from ocr_sweep.doctor.mlflow_sql import read_database
from ocr_sweep.doctor.optuna_store import read_studies
from ocr_sweep.doctor.records import Run, Study, Tracking, Trial
from ocr_sweep.doctor.violation import Violation
from ocr_sweep.doctor.work import Folder, folders, is_held, is_run
from ocr_sweep.errors import NotFoundError

_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RunFiles:
    """The files of one run, each read once."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts

    @cached_property
    def present(self) -> frozenset[str]:
        """The files that are there."""
        return frozenset(self.artifacts.names())

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """The seal; None where there is none that can be read."""
        return self._json(words.MANIFEST)

    @cached_property
    def hashes(self) -> Mapping[str, str]:
        """The recorded hash of each file; empty without a seal."""
        found = (self.manifest or {}).get("sha256", {})
        return found if isinstance(found, dict) else {}

    @cached_property
    def config(self) -> dict[str, Any] | None:
        """The configuration as plain data; None where it cannot be read."""
        content = self.artifacts.read(words.CONFIG)
        try:
            found = yaml.load(content or b"", Loader=_SafeLoader)  # the safe one, in C where it is built
        except yaml.YAMLError:
            return None
        return found if isinstance(found, dict) else None

    @cached_property
    def parity(self) -> dict[str, Any] | None:
        """The certificate of parity."""
        return self._json(words.PARITY)

    def _json(self, name: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self.artifacts.read(name) or b"")
        except ValueError:
            return None
        return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class StudyEvidence:
    """All that is known of one study."""

    name: str
    optuna: Study | None  # None where Optuna knows none of this name
    runs: tuple[Run, ...]  # its trainings
    summaries: tuple[Run, ...]  # what its ends were put into words in
    folders: tuple[Folder, ...]
    running: bool  # somebody runs it now
    files: Mapping[str, RunFiles] = field(repr=False)  # by run, where they can be read
    quick: bool = False  # read no artifact's bytes

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """Optuna's trials."""
        return self.optuna.trials if self.optuna else ()

    @cached_property
    def by_key(self) -> Mapping[str, Sequence[Run]]:
        """The current runs of each training, by what follows the study in their key."""
        found: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            if run.current:
                found[run.tags.get(words.KEY, "").partition("/")[2]].append(run)
        return found

    def run_of(self, trial: Trial) -> Run | None:
        """The one current run of a trial's search; None where there is none, or more than one, or the trial has repeats."""
        if trial.fenced or self.repeats > 1:
            return None
        found = self.by_key.get(f"{trial.number:04d}-search", [])
        return found[0] if len(found) == 1 else None

    @cached_property
    def settled(self) -> tuple[tuple[Trial, Run], ...]:
        """The trials that have been told, each with its run; what is still being written is not judged."""
        pairs = ((trial, self.run_of(trial)) for trial in self.trials if trial.finished)
        return tuple((trial, run) for trial, run in pairs if run is not None)

    @cached_property
    def complete(self) -> tuple[Run, ...]:
        """The runs that ended with all their evidence."""
        return tuple(run for run in self.runs if run.current and run.complete)

    @property
    def metric(self) -> str:
        """What trials are compared by."""
        return str(self.optuna.identity.get("metric", "")) if self.optuna else ""

    @property
    def repeats(self) -> int:
        """So many trainings are one trial of the search."""
        return int(self.optuna.identity.get("repeats", 1)) if self.optuna else 1

    @property
    def against(self) -> str:
        """The second number that trials are compared by; empty where there is none."""
        return str(self.optuna.identity.get("against") or "") if self.optuna else ""

    @property
    def again(self) -> str:
        """The command that goes on with the study."""
        return f"`make sweep STUDY={self.name}`"

    def wrong(self, invariant: str, where: str, what: str, do: str) -> Violation:
        """Something of this study that does not hold."""
        return Violation(invariant, self.name, where, what, do)


@dataclass(frozen=True)
class Evidence:
    """All that is known of a project."""

    paths: Paths
    tracking: Tracking
    studies: tuple[StudyEvidence, ...]
    unread: tuple[str, ...]  # addresses of artifacts that cannot be read from here
    limited: bool  # to one study
    quick: bool

    @property
    def complete(self) -> list[Run]:
        """The complete runs of all studies."""
        return [run for study in self.studies for run in study.complete]

    def files(self, run: Run) -> RunFiles | None:
        """The files of a run; None where they cannot be read from here."""
        return next((study.files[run.run_id] for study in self.studies if run.run_id in study.files), None)


def gather(paths: Paths, only: str | None = None, *, quick: bool = False) -> Evidence:
    """Read everything once. Optuna comes first: a trial that it calls ended was recorded everywhere else before.

    Raises:
        NotFoundError: there is no such study.
        StoreError: a store is away.
        IntegrityError: a database is damaged.
    """
    busy = _busy(paths)
    optuna = {study.name: study for study in read_studies(paths.optuna_url, only) if study.identity}  # others are not ours
    server = Server(paths.tracking_uri) if paths.tracking_uri.startswith(("http://", "https://")) else None
    tracking = read_server(server, only) if server else read_database(paths.tracking_uri, only)
    busy |= _busy(paths)
    names = {*optuna, *(run.study for run in tracking.runs), *_at_work(paths)}
    if only is not None and only not in names:
        known = ", ".join(sorted({study.name for study in read_studies(paths.optuna_url)})) or "none"
        raise NotFoundError(f"no study '{only}' has ever run in this project; there is {known}")
    unread: dict[str, None] = {}
    studies = []
    for name in sorted(names if only is None else {only}):
        mine = [run for run in tracking.runs if run.study == name]
        runs = tuple(run for run in mine if run.role != words.SUMMARY)
        files: dict[str, RunFiles] = {}
        for run in runs:
            artifacts = artifacts_at(run.artifacts, server)
            if artifacts is None:
                unread[run.artifacts.partition("://")[0]] = None
            else:
                files[run.run_id] = RunFiles(artifacts)
        studies.append(
            StudyEvidence(
                name=name,
                optuna=optuna.get(name),
                runs=runs,
                summaries=tuple(run for run in mine if run.role == words.SUMMARY),
                folders=tuple(folders(name, paths)),
                running=name in busy or is_run(name, paths),
                files=files,
                quick=quick,
            )
        )
    return Evidence(paths, tracking, tuple(studies), tuple(unread), only is not None, quick)


def _busy(paths: Paths) -> set[str]:
    """The studies that somebody runs at this moment."""
    locks = sorted((paths.mlruns / "locks").glob("study-*.lock"))
    return {lock.name.removeprefix("study-").removesuffix(".lock") for lock in locks if is_held(lock)}


def _at_work(paths: Paths) -> list[str]:
    """The studies that have left folders of trials in progress."""
    work = paths.mlruns / "work"
    return [path.name for path in work.iterdir() if not path.name.startswith(".")] if work.is_dir() else []


def is_reproduced(run: Run, paths: Paths) -> bool:
    """Whether somebody trains this reproduction now."""
    return is_held(paths.lock(f"reproduce-{run.tags.get(words.REPRODUCES, '')}"))
