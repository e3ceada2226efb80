"""The end of a training in the tracking store: its evidence, then its outcome, then whoever must know."""

from __future__ import annotations

from collections.abc import Callable

from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.errors import IntegrityError
from ocr_sweep.sweep.running.active import Active, Ended
from ocr_sweep.sweep.trials.attempt import ONNX, WEIGHTS
from ocr_sweep.sweep.watching.board import Result
from ocr_sweep.tracking import record
from ocr_sweep.tracking.model_folder import write_model_folder
from ocr_sweep.tracking.record import Outcome
from ocr_sweep.tracking.tracker import Tracker


def record_end(active: Active, ended: Ended, tracker: Tracker, on_end: Callable[[Result], None]) -> Result:
    """Record everything, the outcome after its evidence and `on_end` after the outcome; then remove the trial's folder.

    Each write can be repeated, so whatever interrupts this, it is done again from its beginning.

    Raises:
        StoreError: a store does not take it; the trial's folder is as it was.
    """
    metrics: dict[str, float] = {}
    if ended.outcome is Outcome.COMPLETE:
        try:
            metrics = _record_results(active, tracker)
        except IntegrityError as error:
            ended = Ended(Outcome.FAILED, f"integrity: {error}")
    if parts := active.attempt.micro_batches():
        tracker.set_tags(active.run_id, {record.MICRO_BATCHES: str(parts.count), record.MICRO_BATCHES_SINCE: str(parts.since)})
    _upload(active, tracker)
    tracker.finish(active.run_id, ended.outcome, ended.reason)
    result = Result(active.job, active.run_id, ended.outcome, metrics, ended.reason)
    on_end(result)
    active.attempt.remove()
    return result


def _record_results(active: Active, tracker: Tracker) -> dict[str, float]:
    """The numbers of record and the hashes of what was delivered.

    Raises:
        IntegrityError: the sealed results are not what they were.
    """
    manifest = active.attempt.sealed()
    metrics = {key: float(value) for key, value in manifest["metrics"].items()}
    tracker.log_metrics(active.run_id, metrics, timestamp=manifest["timestamp"])
    hashes = manifest["sha256"]
    shared = {record.REPRESENTATION: manifest["representation"]} if "representation" in manifest else {}
    write_model_folder(active.attempt.result / ONNX, active.attempt.folder)
    files = {record.FILES_SHA256: fingerprint(active.attempt.hashes())}
    tags = {record.ONNX_SHA256: hashes[ONNX], record.WEIGHTS_SHA256: hashes[WEIGHTS], **shared, **files}
    tracker.set_tags(active.run_id, tags)
    return metrics


def _upload(active: Active, tracker: Tracker) -> None:
    tracker.upload(active.run_id, active.attempt.result)
    log = active.attempt.log
    if log.exists() and log.stat().st_size:
        tracker.upload_file(active.run_id, log)
