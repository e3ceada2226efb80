"""Trials that train nothing: they write what a real trial writes, as a test tells them, one epoch at each wait."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import write_bytes
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.running.slots import Machine, Need, Place
from ocr_sweep.sweep.trials.attempt import LOSSES, ONNX, PREDICTIONS, WEIGHTS, Attempt
from ocr_sweep.sweep.trials.events import Event
from ocr_sweep.sweep.trials.trial import numbers_of_record

METRIC = "val/accuracy_macro"


@dataclass(frozen=True)
class Fate:
    """What becomes of a trial."""

    right: float = 0.5  # share of the images read right
    fails: str = ""  # with this reason, after its first epoch
    dies: int = 0  # so many times, after its first epoch
    code: int = -9  # of a death
    hangs: int = 0  # so many times, after its first epoch
    needs_parts: int = 1  # of its batches, or its memory does not suffice
    kernel: bool = False  # whether it is the kernel that says so
    parameters: int = 1000
    losses: tuple[float, ...] = ()  # of its steps; none: it recorded none
    stride: int = 1  # 1: the first images are read right, class by class; 7: images of all classes
    early: float | None = None  # share that its epochs read right; None: as in the end


Oracle = Callable[[TrialConfig, str], Fate]


@dataclass
class FakeWorker:
    """A trial as a row of epochs."""

    attempt: Attempt
    fate: Fate
    starts: int  # before this one
    place: Place
    killed: bool = False
    out_of_memory: bool = False
    lost_on: str = ""
    shown: int = 0  # times that it was asked for its stacks
    _code: int | None = None
    _beats: int = 0

    @property
    def exit_code(self) -> int | None:
        return self._code

    def kill(self) -> None:
        self.killed, self._code = True, -9

    def show_stacks(self) -> None:
        self.shown += 1

    def step(self) -> None:
        if self._code is not None:
            return
        attempt, config = self.attempt, self.attempt.config()
        done = len(attempt.events())
        if done >= 1 and self.starts < self.fate.hangs:
            return
        self._beats += 1
        attempt.heartbeat.write_text(str(self._beats))
        parts = attempt.micro_batches()
        if attempt.wished() is not None:
            attempt.end("pruned" if attempt.wished() == "prune" else "stopped")
            self._code = 0
        elif done >= 1 and self.fate.fails:
            attempt.end("failed", self.fate.fails)
            self._code = 0
        elif done >= 1 and self.starts < self.fate.dies:
            self._code = self.fate.code
        elif done >= 1 and (parts.count if parts else config.training.accumulate) < self.fate.needs_parts:
            self._run_out_of_memory()
        elif done < config.training.epochs:
            now = time.time_ns() // 1_000_000  # as a real trial: the same epoch told twice is two points
            value = self.fate.right if self.fate.early is None else self.fate.early
            attempt.append(Event(done + 1, {f"epoch/{METRIC}": value, "epoch/train_loss": 1.0}, now))
        else:
            seal(attempt, self.fate)
            attempt.end("complete")
            self._code = 0

    def _run_out_of_memory(self) -> None:
        if self.fate.kernel:
            self.out_of_memory, self._code = True, -9
        else:
            self.attempt.end("oom", "oom: the memory of this machine does not suffice")
            self._code = 0


@dataclass
class FakeEngine:
    """Starts nothing; `started` holds the folder of every start, in order."""

    oracle: Oracle
    started: list[str] = field(default_factory=list)
    workers: list[FakeWorker] = field(default_factory=list)
    over: list[FakeWorker] = field(default_factory=list)  # those that had ended when they were last waited for
    at_wait: Callable[[], None] = lambda: None
    has: tuple[Machine, ...] = (Machine("", cores=64, memory_mb=1e6),)

    def close(self) -> None:
        pass

    def machines(self) -> tuple[Machine, ...]:
        return self.has

    def start(self, attempt: Attempt, place: Place, need: Need) -> FakeWorker:
        name = attempt.folder.name
        worker = FakeWorker(attempt, self.oracle(attempt.config(), name), self.started.count(name), place)
        self.started.append(name)
        self.workers.append(worker)
        return worker

    def wait(self, workers: list[FakeWorker], seconds: float) -> None:
        ended = [worker for worker in workers if worker.exit_code is not None]
        assert not any(worker in self.over for worker in ended), "a real engine would not sleep, and its caller spin"
        self.over = ended
        self.at_wait()
        for worker in workers:
            if isinstance(worker, FakeWorker):
                worker.step()


def seal(attempt: Attempt, fate: Fate) -> None:
    """Write results of which only the predictions mean something: the first share of the images is read right."""
    view = CorpusView.open(attempt.store(), attempt.config().training.fold)
    predictions = predicted(view, fate.right, fate.stride)
    (attempt.result / ONNX).parent.mkdir(parents=True, exist_ok=True)
    write_bytes(attempt.result / ONNX, tiny_onnx(view.chars, attempt.folder.name))
    write_bytes(attempt.result / WEIGHTS, b"weights")
    write_bytes(attempt.result / PREDICTIONS, predictions.to_bytes())
    if fate.losses:
        with (attempt.result / LOSSES).open("wb") as file:
            np.save(file, np.asarray(fate.losses, np.float32))
    metrics = {**numbers_of_record(view, predictions), "selected/epoch": 1.0, "cost/parameters": float(fate.parameters)}
    attempt.seal({"metrics": metrics, "timestamp": 5000})


def tiny_onnx(chars: str, name: str) -> bytes:
    """A valid file with as many classes as characters, that says the same of every image."""
    logits = numpy_helper.from_array(np.zeros((1, len(chars)), np.float32), "logits")
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 1, 16, 16])
    answer = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(chars)])
    graph = helper.make_graph([], name, [images], [answer], [logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    helper.set_model_props(model, {"ocr_sweep.charset": json.dumps(list(chars), ensure_ascii=False)})
    content: bytes = model.SerializeToString()
    return content


def predicted(view: CorpusView, right: float, stride: int = 1) -> Predictions:
    """Predictions that are right on the first share of val and of test, and say the next class otherwise."""
    index = np.concatenate([view.indices("val"), view.indices("test")])
    label = view.class_ids[index]
    sizes = [len(view.indices(split)) for split in ("val", "test")]
    place = np.concatenate([np.arange(size) * stride % size / size for size in sizes])
    first = np.where(place < right - 1e-9, label, label + 1)
    top5 = (first[:, None] + np.arange(5)) % view.num_classes
    return Predictions(
        index, np.asarray(view.rows["set_id"][index]), label, top5.astype(np.int64), np.full((len(index), 5), 0.2, np.float32)
    )


def folders(root: Path, study: str = "tiny") -> list[str]:
    """The trials in progress."""
    work = root / "mlruns" / "work" / study
    return sorted(path.name for path in work.iterdir()) if work.exists() else []
