"""The training of one trial: its epochs, its checkpoints, and the epoch that validation selects.

Whatever happens between two batches, a trial that is resumed from its checkpoint ends with the same bits (on a CPU,
with the same number of threads and devices).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import deterministic

from ocr_sweep.config.model import ModelConfig, TimmConfig
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.models import build_model
from ocr_sweep.models.heads import set_head_bias
from ocr_sweep.optim import Course, Ema
from ocr_sweep.store import CorpusView
from ocr_sweep.training.classification import Classification
from ocr_sweep.training.distributed import Ranks
from ocr_sweep.training.feed import Feed
from ocr_sweep.training.memory import MB, memory_errors, needed_mb, peak_mb
from ocr_sweep.training.origin import Origin
from ocr_sweep.training.predict import predict_logits
from ocr_sweep.training.prefetch import Batches, Prefetch
from ocr_sweep.training.processes import Seat, other_processes
from ocr_sweep.training.progress import LossLog, Progress
from ocr_sweep.training.restoration import Restoration
from ocr_sweep.training.score import score
from ocr_sweep.training.step import Step

__all__ = ["SELECT_BY", "Observer", "Progress", "Trained", "Trainer", "predict_logits"]

SELECT_BY = "val/accuracy_macro"


class Observer(Protocol):
    """What a training tells, and what it asks, while it runs."""

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        """Hear the metrics of an epoch (from 1). After a resume, past epochs are told again."""

    def should_stop(self) -> bool:
        """Say whether to stop at this batch boundary, after a checkpoint."""


@dataclass(frozen=True)
class Trained:
    """A finished training: the network at the selected epoch."""

    model: nn.Module
    selected_epoch: int
    seconds: float
    handover_epoch: float  # epochs under AdamW at its own rate; equal to all epochs when nothing came after it
    handover_lr: float  # SGD's first rate; 0 when it never came
    measured: dict[str, float] = field(default_factory=dict)  # further metrics of the run, by name
    losses: list[float] = field(default_factory=list)  # of every step, float32 each


class Trainer:
    """Trains one configuration on one corpus, resumable at every batch.

    With several devices every process has a trainer and does the same steps. That of the first, the trial's own, alone
    observes, validates, selects and writes; the others resume from its checkpoint and hear from it when to stop.

    Args:
        ranks: which device this is; None: the first.
    """

    def __init__(self, config: TrialConfig, view: CorpusView, checkpoint: Path, ranks: Ranks | None = None) -> None:
        self.config = config
        self.view = view
        self.checkpoint = checkpoint
        self._origin = Origin.of(config, view)
        self.ranks = ranks or Ranks(config.training.devices)
        self.device = self.ranks.device
        self.predicted_mb = needed_mb(config, view.num_classes, self.device)
        torch.set_num_threads(config.training.threads)
        if self.device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS sums in another order each time
        torch.use_deterministic_algorithms(True, warn_only=True)
        deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # filling new tensors is 7 % of a step
        torch.manual_seed(config.seed)
        with memory_errors(config.training):
            self._build()
        self.progress = Progress()
        self.best_weights: dict[str, Tensor] = {}
        self._val = view.indices("val")

    def _build(self) -> None:
        config, view = self.config, self.view
        self.model = build_model(config.model, view.num_classes, config.image_size, data_root(config.model))
        classification = Classification(config.loss, view, self.device, leave_out=config.training.leave_out, seed=config.seed)
        if classification.head_bias:
            set_head_bias(self.model.head, classification.head_bias)
        self.model.to(self.device)
        _to_channels_last(self.model)
        reserved = round(self.predicted_mb * MB)
        self.feed: Batches = Feed(
            view,
            config.training,
            config.augment,
            seed=config.seed,
            image_size=config.image_size,
            device=self.device,
            reserved=reserved,
            rank=self.ranks.rank,
            devices=self.ranks.devices,
        )
        num_steps = config.training.epochs * self.feed.batches_per_epoch
        self.course = Course(config.optim, self.model, num_steps=num_steps)
        restoration = Restoration(config.model, view, self.device, image_size=config.image_size)
        costs = classification, restoration
        self.step = Step(config.training, self.model, *costs, device=self.device, num_steps=num_steps, ranks=self.ranks)
        self.ema = Ema(self.model, config.optim.ema_decay) if config.optim.ema_decay and self.ranks.first else None
        self._losses = LossLog()

    @property
    def losses(self) -> list[float]:
        """The losses of the steps that were read so far, float32 each."""
        return self._losses.values

    @property
    def judged(self) -> nn.Module:
        """The network that is validated, selected and exported: the average of the weights, if there is one."""
        return self.ema.model if self.ema else self.model

    def run(self, observer: Observer) -> Trained | None:
        """Train to the end, or until the observer says stop: then None, and the checkpoint holds everything.

        Raises:
            TrialFailedError: a loss or an output is no longer finite, memory does not suffice, nothing can be compiled, or
                the process of another device failed.
            ProcessDiedError: the process of another device was killed.
            StoreError: a checkpoint cannot be written.
        """
        self._resume()
        for number, metrics in enumerate(self.progress.history, start=1):
            observer.epoch_done(number, metrics)
        if self._over() or self._train_on_all(observer):
            return self._trained()
        return None

    def follow(self, seat: Seat) -> None:
        """Train as another device than the first, from its checkpoint on, until it is done or told to stop."""
        self._resume()
        seat.ready()
        self._train_with_others(seat.rendezvous, _Follower())

    def _train_on_all(self, observer: Observer) -> bool:
        """Do the epochs that are left on as many devices as there should be; False when the observer stopped it."""
        if self.ranks.devices == 1:
            return self._train(observer)
        self.ranks.check()
        with other_processes(
            self.ranks.devices, self.checkpoint.parent, follow, self.config, self.view.path, self.checkpoint
        ) as rendezvous:
            return self._train_with_others(rendezvous, observer)

    def _train_with_others(self, rendezvous: Path, observer: Observer) -> bool:
        with self.ranks.joined(rendezvous), memory_errors(self.config.training):
            self.step.network = self.ranks.network(self.model, self.config.image_size)
            try:
                return self._train(observer)
            finally:
                self.step.network = self.model

    def _train(self, observer: Observer) -> bool:
        prefetch = Prefetch(self.feed, self.config.training.epochs, self.device) if self.device.type == "cuda" else None
        try:
            with memory_errors(self.config.training):
                while not self._over():
                    if not self._epoch(observer, prefetch or self.feed):
                        return False
        finally:
            if prefetch:
                prefetch.close()
        return True

    def _over(self) -> bool:
        return self.progress.epoch >= self.config.training.epochs or self._ends()

    def _ends(self) -> bool:
        return self.course.ends(self.progress.step, stale_epochs=self._stale_epochs())

    def _stale_epochs(self) -> int:
        """Epochs without gain, as the course may know them: within an epoch nobody hands over for want of gain."""
        return 0 if self.progress.batch else self.progress.stale_epochs

    def _epoch(self, observer: Observer, batches: Batches) -> bool:
        """Do the rest of the epoch in progress, to its end or the course's; False when the observer stopped it."""
        progress, began, waited, already = self.progress, time.perf_counter(), 0.0, self.progress.batch
        self.model.train()
        while progress.batch < batches.batches_per_epoch and not self._ends():
            if self.ranks.told(observer.should_stop()):
                self._note_costs(began)
                self._save()
                return False
            waited += self.train_batch(batches)
        progress.loss_sum += self._losses.settle()
        trained = time.perf_counter() - began
        metrics = {
            "epoch/train_loss": progress.loss_sum / progress.batch,
            "epoch/lr": float(self.course.optimizer.param_groups[0]["lr"]),
            "epoch/images_per_second": (progress.batch - already) * self.config.training.batch_size / trained,
            "epoch/wait_share": waited / trained,
            **({"epoch/handed_over": 1.0} if self.course.handed_over else {}),
            **(self._validate() if self.ranks.first else {}),
        }
        verdict = self.ranks.told(metrics.get(f"epoch/{SELECT_BY}", 0.0))
        progress.epoch, progress.batch, progress.loss_sum = progress.epoch + 1, 0, 0.0
        if progress.judge(verdict) and self.ranks.first:
            self.best_weights = {name: tensor.detach().clone() for name, tensor in self.judged.state_dict().items()}
        self._note_costs(began)
        metrics["epoch/peak_memory_mb"] = peak_mb(self.device)
        progress.history.append(metrics)
        self._save()
        observer.epoch_done(progress.epoch, metrics)
        return True

    def train_batch(self, batches: Batches) -> float:
        """Do the next batch; returns the seconds that it was waited for."""
        progress = self.progress
        if self.course.due(progress.step, stale_epochs=self._stale_epochs()):
            self.course.hand_over(progress.step)
            progress.stale_epochs = 0
        began = time.perf_counter()
        batch = batches.batch(progress.epoch, progress.batch)
        self.ranks.seed(self.config.seed, progress.step)
        waited = time.perf_counter() - began
        progress.loss_sum += self._losses.add(progress.step, self.step(batch, self.course, progress.step))
        if self.ema:
            self.ema.update(progress.step)
        progress.batch += 1
        progress.step += 1
        return waited

    def _validate(self) -> dict[str, float]:
        """The curves of validation; the numbers of record come from the exported file."""
        size, parts = self.config.image_size, self.config.training.accumulate
        logits = predict_logits(self.judged, self.view, self._val, size, parts)
        if not np.isfinite(logits).all():
            raise TrialFailedError(f"nan-logits: outputs must stay finite, but are not after step {self.progress.step}")
        metrics = score(self.view, "val", logits.argmax(axis=1))
        return {f"epoch/{name}": value for name, value in metrics.items()}

    def _note_costs(self, began: float) -> None:
        self.progress.loss_sum += self._losses.settle()
        self.progress.seconds += time.perf_counter() - began
        self.progress.peak_mb = max(self.progress.peak_mb, peak_mb(self.device))

    def _trained(self) -> Trained:
        self.model.load_state_dict(self.best_weights)
        progress, course = self.progress, self.course
        measured = {
            "handover/swats_lr": course.swats_lr,
            "memory/peak_mb": progress.peak_mb,
            "memory/predicted_mb": self.predicted_mb,
        }
        under_adamw = course.handover_step if course.phase != "adamw" else progress.step
        return Trained(
            model=self.model.eval(),
            selected_epoch=progress.best_epoch,
            seconds=progress.seconds,
            handover_epoch=under_adamw / self.feed.batches_per_epoch,
            handover_lr=course.sgd_lr,
            measured=measured,
            losses=list(self._losses.values),
        )

    def _save(self) -> None:
        if not self.ranks.first:
            return
        state: dict[str, Any] = {
            "progress": vars(self.progress),
            "model": self.model.state_dict(),
            "course": self.course.state_dict(),
            "step": self.step.state_dict(),
            "ema": self.ema.state_dict() if self.ema else None,
            "best_weights": self.best_weights,
            "losses": torch.tensor(self._losses.values, dtype=torch.float32),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }
        self._origin.save(self.checkpoint, state)

    def _resume(self) -> None:
        state = self._origin.load(self.checkpoint, self.device)
        if state is None:
            return
        self.progress = Progress(**state["progress"])
        self.model.load_state_dict(state["model"])
        self.course.load_state_dict(state["course"])
        self.step.load_state_dict(state["step"])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
        self.best_weights = state["best_weights"] if self.ranks.first else {}
        self._losses.values = state["losses"].tolist()
        torch.set_rng_state(state["rng"].cpu())
        if state["cuda_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"].cpu(), self.device)


class _Follower:
    """The observer of the other devices: what it would hear and say is the first one's business."""

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        pass

    def should_stop(self) -> bool:
        return False


def follow(seat: Seat, config: TrialConfig, store: Path, checkpoint: Path) -> None:
    """Train as another device than the first: what its process does."""
    ranks = Ranks(seat.devices, seat.rank)
    ranks.settle()
    Trainer(config, CorpusView.open(store, config.training.fold), checkpoint, ranks).follow(seat)


def data_root(config: ModelConfig) -> Path | None:
    """Where the weights are that a network begins with; None where it begins from scratch.

    Raises:
        NotFoundError: it has weights, and there is no project around the current folder.
    """
    return Paths.find().data if isinstance(config, TimmConfig) and config.weights is not None else None


def _to_channels_last(model: nn.Module) -> None:
    """Lay kernels out as the images are: 1.2 to 1.6 times faster on a CPU (docs/log.md)."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
