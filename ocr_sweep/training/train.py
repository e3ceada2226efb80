"""The whole training of a trial: its representation, the classifier on it, the calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.store import CorpusView
from ocr_sweep.training.calibration import calibrate, check_calibration
from ocr_sweep.training.classifier_stage import ClassifierStage
from ocr_sweep.training.memory import memory_errors
from ocr_sweep.training.origin import Origin
from ocr_sweep.training.representation import Representation, RepresentationStore, learn_representation
from ocr_sweep.training.trainer import Observer, Trained, Trainer


@dataclass(frozen=True)
class Files:
    """Where a training in progress keeps what it needs to go on."""

    representation: Path  # checkpoint of the first stage
    classifier: Path  # of the second


@dataclass(frozen=True)
class Finished:
    """A finished training."""

    trained: Trained  # the network as it is delivered; `seconds` are those that this trial itself spent
    metrics: dict[str, float]  # what else is worth recording, by name
    representation: str  # key of the representation, where trials may share it; else empty


def train(
    config: TrialConfig, view: CorpusView, files: Files, observer: Observer, store: RepresentationStore | None = None
) -> Finished | None:
    """Train a trial to its end, or until the observer says stop: then None, and the files hold everything.

    The epochs of the classifier go on counting after those of the representation; `epoch/stage` tells them apart.

    Args:
        store: where trials share their representations; without it this one is learnt here, whatever others did.

    Raises:
        DataError: the calibration has no images to learn from.
        TrialFailedError: a loss or an output is no longer finite, or a checkpoint is that of another trial.
        StoreError: a checkpoint cannot be written.
    """
    check_calibration(config, view)
    staged = config.classifier is not None
    state = Origin.of(config, view).load(files.classifier) if staged else None
    representation = _representation(config, view, files, _Numbered(observer, staged), store, state)
    if representation is None:
        return None
    own_seconds = 0.0 if representation.shared else representation.trained.seconds
    trained, metrics = representation.trained, _sharing(representation) if staged or store is not None else {}
    if config.classifier is not None:
        stage = ClassifierStage(config, view, representation, files.classifier, state)
        with memory_errors(config.training):
            if not stage.run(observer):
                return None
        metrics |= {"selected/representation_epoch": float(trained.selected_epoch), **stage.metrics()}
        trained = replace(trained, selected_epoch=len(representation.history) + config.classifier.num_epochs)
        own_seconds += stage.progress.seconds
    metrics |= calibrate(config, view, representation.network)
    key = store.key(config, view) if store is not None else ""
    return Finished(replace(trained, seconds=own_seconds), metrics, key)


class _Numbered:
    """Passes the first stage on; its epochs say what they are where another stage follows or another trial trained them."""

    def __init__(self, observer: Observer, staged: bool) -> None:
        self._observer = observer
        self._staged = staged

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        self._observer.epoch_done(epoch, {"epoch/stage": 1.0, **metrics} if self._staged else metrics)

    def should_stop(self) -> bool:
        return self._observer.should_stop()


def _representation(
    config: TrialConfig,
    view: CorpusView,
    files: Files,
    observer: Observer,
    store: RepresentationStore | None,
    state: dict[str, Any] | None,
) -> Representation | None:
    """The first stage: as the second one's checkpoint has it, or learnt, or forked."""
    if state is None:
        return learn_representation(config, view, files.representation, observer, store)
    blank = Trainer(config, view, files.representation)
    representation = Representation.of(state["representation"], blank, shared=state["shared"])
    representation.tell(observer)
    return representation


def _sharing(representation: Representation) -> dict[str, float]:
    return {
        "cost/representation_seconds": representation.trained.seconds,
        "cost/representation_shared": float(representation.shared),
    }
