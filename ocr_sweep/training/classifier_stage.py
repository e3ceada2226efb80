"""The second stage of a trial: batch norm's statistics, then the head, on an extractor that is frozen.

Whatever happens between two batches, a stage that is resumed from its checkpoint ends with the same bits (on a CPU,
with the same number of threads). It learns on one device: where several learnt the representation, the others have ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ocr_sweep.config.classifier import LearntScale, NearestMean, RetrainedHead, TauNorm
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.models import replace_head
from ocr_sweep.optim import cosine
from ocr_sweep.store import CorpusView
from ocr_sweep.training.classifier_data import classifier_feed, classifier_indices
from ocr_sweep.training.classifier_heads import MeanCollector, ScaledHead, new_head, norm_count_correlation, normalise_rows
from ocr_sweep.training.feed import to_tensor
from ocr_sweep.training.origin import Origin
from ocr_sweep.training.recalibration import batch_norms, forget_statistics, see_batch
from ocr_sweep.training.representation import Representation
from ocr_sweep.training.score import score
from ocr_sweep.training.trainer import Observer, predict_logits

_MOMENTUM = 0.9
_BATCH = 256  # images in a pass that learns nothing


@dataclass
class Progress:
    """Where the stage stands; plain values, so that a checkpoint can hold it."""

    recalibrated: int = 0  # batches that batch norm has seen
    epoch: int = 0  # epochs completed
    batch: int = 0  # batches done in the epoch in progress
    loss_sum: float = 0.0  # over the batches of the epoch in progress
    seconds: float = 0.0  # spent in this stage, over all sessions
    history: list[dict[str, float]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)  # of the stage as a whole


class ClassifierStage:
    """Gives the network of a representation another head, resumable at every batch.

    Args:
        state: what a former session wrote into `checkpoint`.
    """

    def __init__(
        self,
        config: TrialConfig,
        view: CorpusView,
        representation: Representation,
        checkpoint: Path,
        state: dict[str, Any] | None = None,
    ) -> None:
        assert config.classifier is not None
        self.config = config
        self.stage = config.classifier
        self.view = view
        self.checkpoint = checkpoint
        self._origin = Origin.of(config, view)
        self.shared = representation.shared
        self.model = representation.network.eval()
        self.device = next(self.model.parameters()).device
        self.feed = classifier_feed(config, view, self.device)
        self.indices = classifier_indices(config, view)
        self.progress = Progress()
        self._first = representation.state()
        self._before = len(representation.history)
        self._prepare_head()
        self.optimizer = self._optimizer()
        if state is not None:
            self._resume(state)

    def run(self, observer: Observer) -> bool:
        """Do what is left of the stage; False when the observer stopped it, and the checkpoint holds everything.

        Raises:
            TrialFailedError: a loss or an output is no longer finite.
            StoreError: a checkpoint cannot be written.
        """
        for number, metrics in enumerate(self.progress.history, start=1):
            observer.epoch_done(self._before + number, metrics)
        while self.progress.epoch < self.stage.num_epochs:
            began = time.perf_counter()
            finished = self._recalibrate(observer) and self._epoch(observer)
            self.progress.seconds += time.perf_counter() - began
            self._save()
            if not finished:
                return False
            observer.epoch_done(self._before + self.progress.epoch, self.progress.history[-1])
        if isinstance(self.model.head, ScaledHead):
            self.model.head = self.model.head.folded()
        self.model.requires_grad_(True)
        return True

    def metrics(self) -> dict[str, float]:
        """What is worth recording of the whole stage."""
        return {"classifier/images": float(len(self.indices)), **self.progress.metrics}

    def _prepare_head(self) -> None:
        """Put the head in place that the stage fits or trains, and freeze all the rest."""
        model = self.model.requires_grad_(False)
        match self.stage:
            case RetrainedHead():
                model.head = new_head(model, self.config.seed)
            case LearntScale():
                assert isinstance(model.head, nn.Linear)
                model.head = ScaledHead(model.head)
            case TauNorm():
                pass
            case NearestMean():
                replace_head(model, self.stage)
                model.head.to(self.device)

    def _optimizer(self) -> torch.optim.SGD | None:
        learnt = [p for p in self.model.head.parameters() if p.requires_grad]
        if not isinstance(self.stage, RetrainedHead | LearntScale):
            return None
        decay = self.stage.weight_decay if isinstance(self.stage, RetrainedHead) else 0.0
        groups = [
            {"params": [p for p in learnt if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.SGD([group for group in groups if group["params"]], lr=self.stage.lr, momentum=_MOMENTUM)

    def _recalibrate(self, observer: Observer) -> bool:
        """Let batch norm see one epoch of the stage's images, if it should; False when stopped."""
        progress = self.progress
        if self.stage.bn_mode == "eval" or not batch_norms(self.model):
            return True
        while progress.recalibrated < self.feed.batches_per_epoch:
            if observer.should_stop():
                return False
            if progress.recalibrated == 0:
                forget_statistics(self.model)
            see_batch(self.model, self._images(self.feed.batch(self._epoch_of_chance(0), progress.recalibrated).images))
            progress.recalibrated += 1
        return True

    def _epoch(self, observer: Observer) -> bool:
        """Do the rest of the epoch in progress; False when stopped."""
        match self.stage:
            case RetrainedHead() | LearntScale():
                learnt = self._learn(observer)
            case TauNorm(tau=tau):
                learnt = self._normalise(tau)
            case NearestMean():
                learnt = self._collect_means(observer)
        if learnt is None:
            return False
        self.progress.history.append({"epoch/stage": 2.0, **learnt, **self._validate()})
        self.progress.epoch, self.progress.batch, self.progress.loss_sum = self.progress.epoch + 1, 0, 0.0
        return True

    def _learn(self, observer: Observer) -> dict[str, float] | None:
        progress = self.progress
        assert self.optimizer is not None
        while progress.batch < self.feed.batches_per_epoch:
            if observer.should_stop():
                return None
            batch = self.feed.batch(self._epoch_of_chance(1 + progress.epoch), progress.batch)
            progress.loss_sum += self._step(self._images(batch.images), batch.labels.to(self.device))
            progress.batch += 1
        lr = float(self.optimizer.param_groups[0]["lr"])
        return {"epoch/train_loss": progress.loss_sum / self.feed.batches_per_epoch, "epoch/lr": lr}

    def _step(self, images: Tensor, labels: Tensor) -> float:
        """One update of the head; returns the loss."""
        assert isinstance(self.stage, RetrainedHead | LearntScale) and self.optimizer is not None
        step = self.progress.epoch * self.feed.batches_per_epoch + self.progress.batch
        for group in self.optimizer.param_groups:
            group["lr"] = self.stage.lr * cosine(step, num_steps=self.stage.num_epochs * self.feed.batches_per_epoch)
        with torch.no_grad():
            features = self.model.features(images)
        loss = functional.cross_entropy(self.model.head(features), labels, label_smoothing=self.stage.label_smoothing)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrialFailedError(f"nan-loss: the loss must stay finite, but is {value} at step {step} of the classifier stage")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return value

    def _normalise(self, tau: float) -> dict[str, float]:
        linear = self.model.head
        assert isinstance(linear, nn.Linear)
        counts = np.bincount(self.view.class_ids[self.indices], minlength=self.view.num_classes)
        self.progress.metrics["classifier/norm_count_correlation"] = norm_count_correlation(linear, counts)
        normalise_rows(linear, tau)
        return {}

    def _collect_means(self, observer: Observer) -> dict[str, float] | None:
        """Two passes over the stage's images as they are stored; one that is stopped begins again."""
        collector = MeanCollector(self.model.num_features, self.view.num_classes)
        for features, _ in self._features():
            if observer.should_stop():
                return None
            collector.add(features)
        for features, chosen in self._features():
            if observer.should_stop():
                return None
            collector.add_to_classes(features, self.view.class_ids[chosen])
        self.model.head = collector.head().to(self.device)
        return {}

    @torch.no_grad()
    def _features(self) -> Iterator[tuple[Tensor, Any]]:
        for first in range(0, len(self.indices), _BATCH):
            chosen = self.indices[first : first + _BATCH]
            yield self.model.features(self._images(to_tensor(self.view.images[chosen], self.config.image_size))), chosen

    def _images(self, images: Tensor) -> Tensor:
        return images.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)

    def _epoch_of_chance(self, epoch: int) -> int:
        """The number that an epoch's draws and distortions come from: none that the representation used."""
        return self.config.training.epochs + epoch

    def _validate(self) -> dict[str, float]:
        val, config = self.view.indices("val"), self.config
        logits = predict_logits(self.model, self.view, val, config.image_size, config.training.accumulate)
        if not np.isfinite(logits).all():
            raise TrialFailedError(
                f"nan-logits: outputs must stay finite, but are not after epoch {self.progress.epoch + 1} of the classifier stage"
            )
        return {f"epoch/{name}": value for name, value in score(self.view, "val", logits.argmax(axis=1)).items()}

    def _save(self) -> None:
        statistics = [norm.state_dict() for norm in batch_norms(self.model)] if self.progress.recalibrated else []
        state = {
            "representation": self._first,
            "shared": self.shared,
            "head": self.model.head.state_dict(),
            "statistics": statistics,
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            "progress": asdict(self.progress),
        }
        self._origin.save(self.checkpoint, state)

    def _resume(self, state: dict[str, Any]) -> None:
        self.progress = Progress(**state["progress"])
        self.model.head.load_state_dict(state["head"])
        if state["statistics"]:
            for norm, statistics in zip(batch_norms(self.model), state["statistics"], strict=True):
                norm.load_state_dict(statistics)
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])
