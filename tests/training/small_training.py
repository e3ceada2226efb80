"""A network without batch norm and dropout, and what processes that train it side by side do in tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ocr_sweep.config.model import LinearHead
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.models import Network, Output
from ocr_sweep.optim import Course
from ocr_sweep.store import CorpusView
from ocr_sweep.training import trainer as trainer_module
from ocr_sweep.training.classification import Classification
from ocr_sweep.training.distributed import Ranks
from ocr_sweep.training.feed import Feed
from ocr_sweep.training.processes import Seat
from ocr_sweep.training.restoration import Restoration
from ocr_sweep.training.step import Step
from ocr_sweep.training.trainer import Trainer


class Small(Network):
    """Eight classes and a restored image from 16 x 16 pixels; one parameter that no image reaches."""

    def __init__(self) -> None:
        super().__init__(LinearHead(kind="linear"), num_features=4 * 16, num_classes=8)
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.restore = nn.Conv2d(4, 1, 1)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, images: Tensor) -> Output:
        """(B, 1, 16, 16) images, restored while training."""
        x = torch.tanh(self.conv(images))
        logits = self.classify(nn.functional.avg_pool2d(x, 4).flatten(1))
        return Output(logits, self.restore(x) if self.training else None)


@dataclass(frozen=True)
class Made:
    """What a few updates left."""

    losses: list[float]
    gradients: list[list[Tensor]]  # of each update, clipped
    unused: Tensor | None


def steps(ranks: Ranks, config: TrialConfig, view: CorpusView, rendezvous: Path | None = None) -> Made:
    """Do the updates of an epoch; of the classes, the last three have no glyph to restore."""
    torch.manual_seed(0)
    model = Small().to(ranks.device)
    share = {"rank": ranks.rank, "devices": ranks.devices}
    feed = Feed(view, config.training, config.augment, seed=config.seed, image_size=16, device=ranks.device, **share)
    restoration = Restoration(config.model, view, ranks.device, image_size=16)
    assert restoration._glyphs is not None
    restoration._glyphs._known[5:] = False
    course = Course(config.optim, model, num_steps=feed.batches_per_epoch)
    costs = Classification(config.loss, view, ranks.device), restoration
    step = Step(config.training, model, *costs, device=ranks.device, num_steps=feed.batches_per_epoch, ranks=ranks)
    if rendezvous is None:
        return _made(feed, step, course, model)
    with ranks.joined(rendezvous):
        step.network = ranks.network(model, 16)
        try:
            return _made(feed, step, course, model)
        finally:
            step.network = model  # as the trainer does: whoever lets go of the group last waits for its threads, and they for him


def _made(feed: Feed, step: Step, course: Course, model: Small) -> Made:
    losses, gradients = [], []
    for number in range(feed.batches_per_epoch):
        losses.append(float(step(feed.batch(0, number), course, number)))
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    return Made(losses, gradients, model.unused.grad)


def other_steps(seat: Seat, config: TrialConfig, store: Path) -> None:
    """The same as another device."""
    view = CorpusView.open(store)
    seat.ready()
    steps(Ranks(seat.devices, seat.rank), config, view, seat.rendezvous)


def build_small(*_: object) -> Network:
    """In the place of `build_model`."""
    return Small()


def follow_small(seat: Seat, config: TrialConfig, store: Path, checkpoint: Path) -> None:
    """Train the small network as another device, and leave its weights beside the checkpoint."""
    trainer_module.build_model = build_small  # type: ignore[assignment]
    trainer = Trainer(config, CorpusView.open(store), checkpoint, Ranks(seat.devices, seat.rank))
    trainer.follow(seat)
    torch.save(trainer.model.state_dict(), checkpoint.parent / f"device{seat.rank}.pt")
