"""The one run of a study that is no training: its verdict and pictures, replaced whenever the study ends."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ocr_sweep.tracking.mlflow_client import tracking_errors
from ocr_sweep.tracking.record import KEY, OUTCOME, QUESTION, ROLE, STUDY, SUMMARY
from ocr_sweep.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

_MADE_FROM = "ocr_sweep.summary_of"
_OUTCOME = (
    "a summary of its study"  # what stands where others say that they are complete: it can be neither promoted nor repeated
)


def write_summary(
    tracker: Tracker,
    experiment_id: str,
    study: str,
    *,
    made_from: str,
    note: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    pictures: Path,
) -> str:
    """Put a study's summary in place of the former one; returns the run's id.

    Args:
        made_from: see `made_of`.
        note: what MLflow shows above the run, Markdown.
        pictures: a folder whose content becomes the run's artifacts, and all of them.

    Raises:
        StoreError: the tracking store is unavailable.
    """
    client = tracker.client
    own = {STUDY: study, ROLE: SUMMARY, "mlflow.source.name": "ocr-sweep", "mlflow.source.type": "LOCAL"}
    run_id = tracker.begin(experiment_id, key=_key(study), name=f"{study}-summary", tags=own, params={})
    with tracking_errors(client.tracking_uri):
        known = client.get_run(run_id)
        for tag in set(known.data.tags) - {*tags, *own, KEY}:
            if tag.startswith("ocr_sweep."):
                client.delete_tag(run_id, tag)
        _remove_artifacts(known.info.artifact_uri, client.tracking_uri, [entry.path for entry in client.list_artifacts(run_id)])
    tracker.upload(run_id, pictures)
    gone = {name: float("nan") for name in set(known.data.metrics) - set(metrics)}  # a metric cannot be taken back
    tracker.log_metrics(run_id, {**metrics, **gone}, timestamp=time.time_ns() // 1_000_000)
    tracker.set_tags(run_id, {**tags, QUESTION: note, OUTCOME: _OUTCOME, _MADE_FROM: made_from})
    with tracking_errors(client.tracking_uri):
        client.set_terminated(run_id)
    return run_id


def summary_of(tracker: Tracker, study: str) -> str | None:
    """The run that is the study's summary; None where it has none yet."""
    with tracking_errors(tracker.client.tracking_uri):
        known = tracker.client.get_experiment_by_name(study)
    found = None if known is None else _found(tracker, known.experiment_id, study)
    return None if found is None else str(found.info.run_id)


def made_of(tracker: Tracker, experiment_id: str, study: str) -> str:
    """What the study's summary was made from, as its maker said; "" where there is no whole one."""
    found = _found(tracker, experiment_id, study)
    if found is None or found.info.status != "FINISHED":
        return ""
    return str(found.data.tags.get(_MADE_FROM, ""))


def _found(tracker: Tracker, experiment_id: str, study: str) -> Run | None:
    with tracking_errors(tracker.client.tracking_uri):
        found = tracker.client.search_runs([experiment_id], filter_string=f"tags.`{KEY}` = '{_key(study)}'", max_results=1)
    return found[0] if found else None


def _key(study: str) -> str:
    return f"{study}/{SUMMARY}"


def _remove_artifacts(uri: str, tracking_uri: str, names: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository = get_artifact_repository(uri, tracking_uri)
        for name in names:
            repository.delete_artifacts(name)  # type: ignore[no-untyped-call]
