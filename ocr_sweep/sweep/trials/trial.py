"""One trial, from its folder alone: train, export, prove, judge, seal. Knows neither Optuna nor MLflow."""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save as save_tensors
from torch import nn

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import file_lock, make_directory, read_json, store_errors, write_bytes
from ocr_sweep.errors import OcrSweepError, ProcessDiedError, StoreError, TrialFailedError, TrialMemoryError
from ocr_sweep.export.onnx_file import export_onnx
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.export.scorer import Scorer, ValidationLogits
from ocr_sweep.losses import rendered_neighbours
from ocr_sweep.metrics import Clusters, accuracy_estimate, calibration_error, confusable_accuracy
from ocr_sweep.pulse import beat, heard_by, show_stacks_when_told
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.trials.attempt import LOSSES, ONNX, PREDICTIONS, PROVENANCE, WEIGHTS, Attempt, Ending
from ocr_sweep.sweep.trials.events import Event
from ocr_sweep.sweep.trials.heartbeat import Heartbeat
from ocr_sweep.sweep.trials.micro_batches import in_parts
from ocr_sweep.sweep.trials.sealing import acceptance_metrics, acceptance_of, describe, prove
from ocr_sweep.tracking.pictures import confusion_picture, error_sheet
from ocr_sweep.tracking.provenance import code_sha256
from ocr_sweep.training.memory import memory_errors
from ocr_sweep.training.representation import RepresentationStore
from ocr_sweep.training.score import score
from ocr_sweep.training.train import Files, Finished, train

for _late in ("torch._dynamo", "pyarrow.dataset", "imgaug.augmenters"):  # imported by the first AdamW, Parquet file and gamma,
    importlib.import_module(_late)  # a second each, in every trial; the fork server pays once

_CONFUSABLE = 5  # look-alikes of a class that it is told from
_CODE = code_sha256()  # of what this process runs: read when it was imported


class _Watch:
    """Hears the epochs of a training and knows when it should stop."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._known = {event.epoch for event in attempt.events()}
        self._parent = multiprocessing.parent_process()
        self.signalled = False
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is the supervisor's to pass on

    def _on_signal(self, *_: object) -> None:
        self.signalled = True

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        if epoch not in self._known:
            self._known.add(epoch)
            self._attempt.append(Event(epoch, metrics, time.time_ns() // 1_000_000))

    def should_stop(self) -> bool:
        beat()  # who waits for another's representation, too
        orphaned = self._parent is not None and not self._parent.is_alive()
        return self.signalled or orphaned or self._attempt.wished() is not None


def run_attempt(folder: str) -> None:
    """Do the work of a trial's folder and leave its outcome there; the entry point of a trial's process."""
    attempt = Attempt(Path(folder))
    try:
        with store_errors(f"trial {attempt.folder.name}"):
            _redirect_output(attempt.log)
            show_stacks_when_told()
            watch = _Watch(attempt)
            with (
                heard_by(Heartbeat(attempt.heartbeat).beat),
                file_lock(attempt.lock, wait=True),
            ):  # a former process of this trial may still be writing
                attempt.forget_outcome()
                attempt.end(*_ending(attempt, watch))
    except (StoreError, ProcessDiedError) as error:
        with suppress(OSError):  # a full disk may refuse even the reason
            os.write(2, f"{error}\n".encode())
        sys.exit(error.exit_code)


def _ending(attempt: Attempt, watch: _Watch) -> tuple[Ending, str]:
    """Do the work and say how it ended.

    Raises:
        StoreError: the disk refuses; the trial has not ended and can go on.
        ProcessDiedError: one of its processes was killed; it has not ended either.
    """
    try:
        with store_errors("training"):
            return _work(attempt, watch), ""
    except (StoreError, ProcessDiedError):
        raise
    except TrialMemoryError as error:
        return "oom", str(error)
    except TrialFailedError as error:
        return "failed", str(error)
    except OcrSweepError as error:
        return "failed", f"mistake: {error}"
    except Exception as error:
        traceback.print_exc()
        return "failed", f"bug: {type(error).__name__}: {error}"


def _redirect_output(log: Path) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(handle, number)
    os.close(handle)


def _work(attempt: Attempt, watch: _Watch) -> Ending:
    attempt.heal_events()
    config = in_parts(attempt.config(), attempt.micro_batches())
    view = CorpusView.open(attempt.store(), config.training.fold)
    cv2.setNumThreads(1)
    files = Files(attempt.checkpoint, attempt.classifier_checkpoint)
    with memory_errors(config.training):
        finished = train(config, view, files, watch, _representations(attempt))
        if finished is None:
            return "pruned" if attempt.wished() == "prune" else "stopped"
        seal_results(attempt, config, view, finished)
    return "complete"


def _representations(attempt: Attempt) -> RepresentationStore | None:
    """Where the trial may share its representation; nowhere once the program is another than the one that began it."""
    folder = attempt.representations()
    if folder is None or read_json(attempt.result / PROVENANCE)["code"]["sha256"] != _CODE:
        return None
    return RepresentationStore(folder, _CODE)


def seal_results(attempt: Attempt, config: TrialConfig, view: CorpusView, finished: Finished) -> None:
    """Write the model, its certificate, its predictions and pictures, and the manifest last.

    Raises:
        TrialFailedError: the exported file disagrees with the network.
        StoreError: the disk refuses.
    """
    trained, model = finished.trained, finished.trained.model.cpu()
    onnx_path = attempt.result / ONNX
    make_directory(onnx_path.parent)
    write_bytes(attempt.result / WEIGHTS, _weights(model))
    write_bytes(attempt.result / LOSSES, _losses(trained.losses))
    export_onnx(model, onnx_path, chars=view.chars, image_size=config.image_size, stored_size=view.images.shape[1])
    scorer = Scorer(onnx_path, threads=config.training.threads)
    validation = ValidationLogits(scorer, view)
    prove(attempt, scorer, model, view, validation)
    predictions = Predictions.of(scorer, view, rendered_neighbours(view, _CONFUSABLE).indices, validation)
    write_bytes(attempt.result / PREDICTIONS, predictions.to_bytes())
    write_bytes(attempt.result / "confusion.png", confusion_picture(view, *predictions.confusion("val", view)))
    write_bytes(attempt.result / "errors.png", error_sheet(view, *predictions.errors("val", view)))
    acceptance = acceptance_of(predictions, view)
    metrics = {
        **numbers_of_record(view, predictions),
        **acceptance_metrics(predictions, view, acceptance),
        **finished.metrics,
        "selected/epoch": float(trained.selected_epoch),
        "cost/train_seconds": trained.seconds,
        "cost/parameters": float(_num_delivered_parameters(model)),
        "cost/latency_ms": scorer.latency_ms(),
        "handover/epoch": trained.handover_epoch,
        "handover/sgd_lr": trained.handover_lr,
        **trained.measured,
    }
    describe(onnx_path, config, view, predictions, acceptance, metrics)
    metrics["cost/onnx_bytes"] = float(onnx_path.stat().st_size)
    shared = {"representation": finished.representation} if finished.representation else {}
    attempt.seal({"metrics": metrics, "timestamp": time.time_ns() // 1_000_000, **shared})


def numbers_of_record(view: CorpusView, predictions: Predictions) -> dict[str, float]:
    """Every accuracy of validation and test, the 95 % interval of the macro and the plain one, and what confidence is worth."""
    metrics = {} if predictions.temperature is None else {"calibration/temperature": float(predictions.temperature)}
    for split in ("val", "test"):
        rows = predictions.of_set(split, view)
        metrics |= score(view, split, predictions.top5[rows, 0])
        correct = (predictions.top5[rows, 0] == predictions.label[rows]).astype(np.float64)
        clusters = Clusters.of(predictions.label[rows], view.rows["group"][predictions.index[rows]])
        metrics[f"{split}/accuracy_top5"] = float((predictions.top5[rows] == predictions.label[rows, None]).any(axis=1).mean())
        for name, macro in ((f"{split}/accuracy_macro", True), (f"{split}/accuracy", False)):
            interval = accuracy_estimate(correct, clusters, macro=macro).share()
            metrics |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        metrics |= {f"{split}/{name}": value for name, value in _beyond_accuracy(predictions, rows).items()}
    return metrics


def _beyond_accuracy(predictions: Predictions, rows: NDArray[np.int64]) -> dict[str, float]:
    """How far confidence can be believed, and how look-alikes are told apart; nothing of files that do not know."""
    metrics: dict[str, float] = {}
    if predictions.confidence is not None and predictions.nll is not None:
        correct = predictions.top5[rows, 0] == predictions.label[rows]
        metrics["ece"] = calibration_error(predictions.confidence[rows], correct)
        metrics["nll"] = float(predictions.nll[rows].mean(dtype=np.float64))
    if predictions.beats is not None and (share := confusable_accuracy(predictions.beats[rows])) is not None:
        metrics["accuracy_confusable"] = share
    return metrics


def _losses(losses: list[float]) -> bytes:
    """The losses of all steps of the first stage, by which a reproduction tells the step where it leaves the original."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(losses, dtype=np.float32))
    return buffer.getvalue()


def _weights(model: nn.Module) -> bytes:
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    content: bytes = save_tensors(tensors)
    return content


def _num_delivered_parameters(model: nn.Module) -> int:
    """Parameters that the exported file needs: the decoder is dropped."""
    return sum(p.numel() for name, p in model.named_parameters() if not name.startswith("decoder."))
