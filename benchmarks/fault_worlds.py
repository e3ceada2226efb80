"""The worlds of `benchmarks/faults.py`: supervisors and trials that can be killed, and a log of what they acknowledge.

Everything is imported once and forked from there, so that a session costs tenths of a second. A trial is a process of the
program's own, with its lock, its folder and its watch over its supervisor; the fast one writes what a trial writes,
checkpoints, events, results and seal, and only does not train.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkContext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import make_directory, write_bytes
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.models.checkpoint import load_checkpoint, save_checkpoint
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep import study_loop
from ocr_sweep.sweep.running import recording
from ocr_sweep.sweep.running.local_engine import LocalEngine
from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.study_lock import is_driven
from ocr_sweep.sweep.summary import summary
from ocr_sweep.sweep.trials import trial
from ocr_sweep.sweep.trials.attempt import ONNX, PREDICTIONS, WEIGHTS, Attempt
from ocr_sweep.sweep.watching.board import Result, SilentBoard
from ocr_sweep.training.trainer import Trainer

sys.path.append(str(Path(__file__).parents[1] / "tests" / "e2e"))
cv2.setNumThreads(1)  # a fork of a process with OpenCV's threads would wait for them for ever
tiny_study: Any = importlib.import_module("tiny_study")  # the project of the end-to-end tests

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: whoever is orphaned becomes our child, and its time is counted as ours
SECONDS_PER_EPOCH = 0.03  # of the trial that does not train
METRIC = "val/accuracy_macro"


class Log:
    """What was acknowledged, in the order in which it happened: one line of JSON each, which no kill can tear.

    Args:
        folder: where the logs are, outside of what is killed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = ""

    def begin(self, name: str, place: Path | None = None) -> Path:
        """Begin the log of another project; returns the project's place.

        Args:
            place: the folder that it lies in; None: beside the log.
        """
        self._name = name
        return (place or self._folder) / name

    @property
    def file(self) -> Path:
        """The log."""
        return self._folder / f"{self._name}.jsonl"

    @property
    def words(self) -> Path:
        """What its supervisors print."""
        return self._folder / f"{self._name}.txt"

    def write(self, what: str, *fact: Any) -> None:
        """Note that something has returned."""
        handle = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, (json.dumps([what, *fact]) + "\n").encode())
        os.close(handle)

    def read(self) -> list[list[Any]]:
        """All of it."""
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []


class ForkEngine(LocalEngine):
    """Trials as forks of their supervisor, which has imported everything."""

    def _forking(self, *, timm: bool) -> ForkContext:
        return multiprocessing.get_context("fork")


def settle(log: Log, *, train: bool) -> None:
    """Make this process, and what it forks, one whose acknowledgements are logged.

    Args:
        train: whether trials really train.
    """
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)
    setattr(study_loop, "LocalEngine", ForkEngine)  # noqa: B010
    if not train:
        setattr(trial, "_work", _work)  # noqa: B010
        setattr(recording, "write_model_folder", lambda *_: None)  # noqa: B010
        setattr(summary, "draw", lambda picture: b"a picture")  # noqa: B010
    _log_after(log, Attempt, "append", lambda attempt, event: ("epoch", attempt.folder.name, event.epoch, event.metrics))
    _log_after(log, Attempt, "end", lambda attempt, ending, reason="": ("ended", attempt.folder.name, ending))
    _log_after(log, Search, "on_end", _told)
    real = Trainer._epoch

    def epoch(trainer: Trainer, *args: Any) -> bool:
        if trainer.progress.batch == 0:
            log.write("began", trainer.checkpoint.parent.name, trainer.progress.epoch + 1)
        return real(trainer, *args)

    setattr(Trainer, "_epoch", epoch)  # noqa: B010
    setattr(_work, "log", log)  # noqa: B010


def _log_after(log: Log, owner: type, name: str, fact: Callable[..., tuple[Any, ...]]) -> None:
    real = getattr(owner, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = real(self, *args, **kwargs)
        log.write(*fact(self, *args, **kwargs))
        return answer

    setattr(owner, name, method)


def _told(search: Search, result: Result) -> tuple[Any, ...]:
    return "told", result.job.trial, result.outcome.value, result.metrics.get(METRIC), result.run_id


def _work(attempt: Attempt, watch: Any) -> str:
    """What a trial does, without the training (see `ocr_sweep.sweep.trials.trial`)."""
    attempt.heal_events()
    config, log = attempt.config(), getattr(_work, "log")  # noqa: B009
    view = CorpusView.open(attempt.store(), config.training.fold)
    state = load_checkpoint(attempt.checkpoint) or {"epoch": 0, "weights": np.zeros(4000).tolist()}
    for epoch in range(1, config.training.epochs + 1):
        metrics = {f"epoch/{METRIC}": _right(config.seed, epoch), "epoch/train_loss": 1.0 / epoch}
        if epoch > state["epoch"]:
            log.write("began", attempt.folder.name, epoch)
            for _ in range(3):
                time.sleep(SECONDS_PER_EPOCH / 3)
                if watch.should_stop():
                    return "pruned" if attempt.wished() == "prune" else "stopped"
            state["epoch"] = epoch
            save_checkpoint(attempt.checkpoint, state)
        watch.epoch_done(epoch, metrics)
    _seal(attempt, view, _right(config.seed, config.training.epochs))
    return "complete"


def _right(seed: int, epoch: int) -> float:
    return 0.5 + 0.4 * (1 - 1 / epoch) * ((seed % 97) / 97)


def _seal(attempt: Attempt, view: CorpusView, right: float) -> None:
    """Results of which only the predictions mean something."""
    index = np.concatenate([view.indices("val"), view.indices("test")])
    label = view.class_ids[index]
    first = np.where(np.arange(len(index)) / len(index) < right, label, label + 1)
    top5 = ((first[:, None] + np.arange(5)) % view.num_classes).astype(np.int64)
    set_id = np.asarray(view.rows["set_id"][index])
    predictions = Predictions(index, set_id, label, top5, np.full((len(index), 5), 0.2, np.float32))
    make_directory((attempt.result / ONNX).parent)
    write_bytes(attempt.result / ONNX, _onnx(view.chars, attempt.folder.name))
    write_bytes(attempt.result / WEIGHTS, b"weights of " + attempt.folder.name.encode())
    write_bytes(attempt.result / PREDICTIONS, predictions.to_bytes())
    metrics = {**trial.numbers_of_record(view, predictions), "selected/epoch": 1.0, "cost/parameters": 1000.0}
    attempt.seal({"metrics": metrics, "timestamp": time.time_ns() // 1_000_000})


def _onnx(chars: str, name: str) -> bytes:
    """A valid file that says the same of every image."""
    logits = numpy_helper.from_array(np.zeros((1, len(chars)), np.float32), "logits")
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 1, 16, 16])
    answer = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(chars)])
    model = helper.make_model(
        helper.make_graph([], name, [images], [answer], [logits]), opset_imports=[helper.make_opsetid("", 18)]
    )
    helper.set_model_props(model, {"ocr_sweep.charset": json.dumps(list(chars), ensure_ascii=False)})
    content: bytes = model.SerializeToString()
    return content


def session(root: Path, output: Path) -> multiprocessing.process.BaseProcess:
    """Fork a supervisor that runs the project's study, or goes on with it.

    Args:
        output: where its words and those of its failures go.
    """
    process = multiprocessing.get_context("fork").Process(target=_supervise, args=(root, output))
    process.start()
    return process


def run(root: Path) -> None:
    """One session of the study in this process."""
    study_loop.run_study(tiny_study.config_of(root), paths_of(root), SilentBoard())


def _supervise(root: Path, output: Path) -> None:
    os.setsid()
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(handle, number)
    try:
        run(root)
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(getattr(error, "exit_code", 1))
    os._exit(0)


def paths_of(root: Path) -> Paths:
    """The paths of a project."""
    paths: Paths = tiny_study.paths_of(root)
    return paths


def trials_of(root: Path) -> dict[str, int]:
    """The processes of living trials by their folders: whoever writes a trial's log."""
    work = str(paths_of(root).work("tiny"))
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (log := str((entry / "fd" / "1").readlink())).startswith(work):
                found.setdefault(Path(log).parent.name, int(entry.name))
    return found


def kill(pid: int) -> None:
    """End a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def until_alone(root: Path, seconds: float = 60.0) -> None:
    """Wait until no trial lives any more; whoever we have adopted is let go.

    A trial that has just been forked writes no log yet, and holds the lock of the supervisor that it is a copy of.
    """
    deadline = time.monotonic() + seconds
    while trials_of(root) or is_driven("tiny", paths_of(root)):
        reap()
        if time.monotonic() > deadline:
            raise AssertionError(f"an orphan lives on: {trials_of(root)}")
        time.sleep(0.01)
    reap()


def reap() -> None:
    """Let go of adopted children that have ended."""
    with contextlib.suppress(ChildProcessError):
        for child in _children():
            os.waitpid(child, os.WNOHANG)


def _children() -> Iterator[int]:
    mine = {process.pid for process in multiprocessing.active_children()}
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return (int(pid) for pid in listed if int(pid) not in mine)
