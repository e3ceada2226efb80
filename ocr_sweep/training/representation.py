"""The first stage of a trial, and the place where trials that differ only in what follows it share one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import file_lock, make_directory, store_errors
from ocr_sweep.errors import ConflictError
from ocr_sweep.models import Network
from ocr_sweep.models.checkpoint import load_checkpoint, save_checkpoint
from ocr_sweep.store import CorpusView
from ocr_sweep.training.trainer import Observer, Trained, Trainer

_POLL = 0.2  # seconds between two looks at a representation that another trial is learning


@dataclass(frozen=True)
class Representation:
    """A finished first stage."""

    trained: Trained
    history: list[dict[str, float]]  # its epochs' metrics
    shared: bool  # whether another trial learnt it

    @property
    def network(self) -> Network:
        """The network at the selected epoch."""
        assert isinstance(self.trained.model, Network)
        return self.trained.model

    def state(self) -> dict[str, Any]:
        """Everything as a checkpoint keeps it, on the CPU and independent of the network's further life."""
        facts = {field.name: getattr(self.trained, field.name) for field in fields(Trained) if field.name != "model"}
        weights = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
        return {"weights": weights, "facts": facts, "history": list(self.history)}

    @classmethod
    def of(cls, state: dict[str, Any], trainer: Trainer, *, shared: bool) -> Representation:
        """What `state` gave, put into the network of an untrained trainer."""
        trainer.model.load_state_dict(state["weights"])
        return cls(Trained(model=trainer.model.eval(), **state["facts"]), state["history"], shared)

    def tell(self, observer: Observer) -> None:
        """Tell the epochs again; those that another trial trained say so."""
        for number, metrics in enumerate(self.history, start=1):
            observer.epoch_done(number, {"epoch/shared": 1.0, **metrics} if self.shared else metrics)


class RepresentationStore:
    """Finished representations in a folder, one for each key; any of them can be removed at any time.

    Args:
        code: hash of the program, so that another one learns its own.
    """

    def __init__(self, folder: Path, code: str) -> None:
        self._folder = folder
        self._code = code

    def key(self, config: TrialConfig, view: CorpusView) -> str:
        """The name of all that a representation depends on (64 hex digits)."""
        learnt_from = config.model_dump(mode="json", exclude={"classifier", "calibration"})
        return fingerprint({"config": learnt_from, "corpus": view.fingerprint, "code": self._code})

    def load(self, key: str) -> dict[str, Any] | None:
        """A representation's state; None when there is none, or when its bytes are not those that were written."""
        return load_checkpoint(self._file(key))

    def save(self, key: str, representation: Representation) -> None:
        """Keep a representation.

        Raises:
            StoreError: the disk refuses.
        """
        with store_errors(f"writing {self._file(key)}"):
            make_directory(self._file(key).parent)
        save_checkpoint(self._file(key), representation.state())

    @contextmanager
    def held(self, key: str, should_stop: Callable[[], bool]) -> Iterator[bool]:
        """Be the only one that learns this representation; wait for whoever does. False: told to stop while waiting."""
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(file_lock(self._folder / key / "lock", wait=False))
                except ConflictError:
                    if should_stop():
                        yield False
                        return
                    time.sleep(_POLL)
                else:
                    break
            yield True

    def _file(self, key: str) -> Path:
        return self._folder / key / "representation.pt"


class _Recorder:
    """Passes a training on to an observer, and keeps its epochs."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.history: list[dict[str, float]] = []

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        self.history.append(metrics)
        self._observer.epoch_done(epoch, metrics)

    def should_stop(self) -> bool:
        return self._observer.should_stop()


def learn_representation(
    config: TrialConfig, view: CorpusView, checkpoint: Path, observer: Observer, store: RepresentationStore | None
) -> Representation | None:
    """Train the first stage, or fork the one that another trial has left in the store; None when told to stop.

    A trial that has begun to train goes on with its own.

    Raises:
        see `Trainer.run`.
    """
    if store is None:
        return _trained(config, view, checkpoint, observer)
    key = store.key(config, view)
    with store.held(key, observer.should_stop) as held:
        if not held:
            return None
        state = None if checkpoint.exists() else store.load(key)
        if state is not None:
            representation = Representation.of(state, Trainer(config, view, checkpoint), shared=True)
            representation.tell(observer)
            return representation
        learnt = _trained(config, view, checkpoint, observer)
        if learnt is not None:
            store.save(key, learnt)
        return learnt


def _trained(config: TrialConfig, view: CorpusView, checkpoint: Path, observer: Observer) -> Representation | None:
    recorder = _Recorder(observer)
    trained = Trainer(config, view, checkpoint).run(recorder)
    return None if trained is None else Representation(trained, recorder.history, shared=False)
