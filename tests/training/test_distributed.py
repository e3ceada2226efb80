"""Several devices: the updates of one, the same bits on each and from every checkpoint, and an end when one of them dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_training
import torch
from endings import ending, plain

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import ProcessDiedError, TrialFailedError
from ocr_sweep.models.checkpoint import load_checkpoint
from ocr_sweep.store import CorpusView
from ocr_sweep.training import trainer as trainer_module
from ocr_sweep.training.distributed import Ranks
from ocr_sweep.training.feed import Batch, Feed, device_slice
from ocr_sweep.training.processes import other_processes
from ocr_sweep.training.trainer import Trainer

MakeTrial = Callable[..., TrialConfig]
Sit = Callable[..., Any]

TWO = {"training.devices": 2}
CANONICAL = {
    "model": {
        "kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.0, "decoder": True, "reconstruction_weight": 1.0,
        "reconstruction_target": "canonical", "reconstruction_fade": 0.0,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("num_images", "devices", "sizes"),
    [(16, 3, [6, 5, 5]), (6, 3, [2, 2, 2]), (5, 3, [5, 5, 5]), (7, 2, [4, 3]), (2, 4, [2, 2, 2, 2]), (9, 1, [9])],
)
def test_a_batch_is_cut_or_goes_whole_to_every_device(num_images: int, devices: int, sizes: list[int]) -> None:
    slices = [np.arange(num_images)[device_slice(num_images, rank, devices)] for rank in range(devices)]
    assert [len(images) for images in slices] == sizes
    joined = np.concatenate(slices)
    assert joined.tolist() == (list(range(num_images)) if sum(sizes) == num_images else list(range(num_images)) * devices)


@pytest.mark.parametrize("augment_on", ["cpu", "batch"])
def test_devices_see_the_batch_of_one(augment_on: str, tiny_corpus: CorpusView, make_trial: MakeTrial) -> None:
    config = make_trial({"training.augment_on": augment_on, "training.images_per_epoch": 21})  # batches of 16 and of 5

    def feed(rank: int, devices: int) -> Feed:
        share = {"rank": rank, "devices": devices}
        return Feed(tiny_corpus, config.training, config.augment, seed=3, image_size=16, **share)

    whole = [feed(0, 1).batch(1, number) for number in range(2)]
    slices = [[feed(rank, 3).batch(1, number) for rank in range(3)] for number in range(2)]
    for name in ("images", "clean", "labels"):
        joined = torch.cat([getattr(batch, name) for batch in slices[0]])
        torch.testing.assert_close(joined, getattr(whole[0], name), rtol=0, atol=1e-5)
        for batch in slices[1]:
            torch.testing.assert_close(getattr(batch, name), getattr(whole[1], name), rtol=0, atol=1e-5)
    assert [batch.share for batch in slices[0]] == [6 * 3 / 16, 5 * 3 / 16, 5 * 3 / 16]
    assert [batch.share for batch in slices[1]] == [1.0] * 3 and whole[0].share == 1.0
    assert slices[0][1].whole is not None and torch.equal(slices[0][1].whole, whole[0].labels)


def test_uneven_slices_pass_in_equally_many_parts() -> None:
    """Seven images on two devices: of 4 and 3 only the first could be cut in two, and the other would wait for its sums."""
    labels = torch.arange(7)
    slices = [Batch(part[:, None], part[:, None], part, labels, 2) for part in (labels[:4], labels[4:])]
    assert [[len(part.labels) for part in batch.parts(4)] for batch in slices] == [[4], [3]]
    assert sum(part.share for batch in slices for part in batch.parts(4)) == pytest.approx(2)  # whose average is 1


@pytest.mark.devices
def test_two_devices_make_the_gradients_of_one(
    make_trial: MakeTrial, tiny_corpus: CorpusView, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Batches of 11, 11 and 3 images: uneven slices in two parts each, and one that goes whole to both.

    The rate is so small that the weights stay; gradients are clipped, so that they show the norm that clipping saw.
    """
    changes = {"batch_size": 11, "images_per_epoch": 25, "accumulate": 2}
    config = make_trial({f"training.{key}": value for key, value in changes.items()} | CANONICAL | {"optim.lr": 1e-9})
    config = config.model_copy(update={"optim": config.optim.model_copy(update={"clip_norm": 0.3, "handover_at": 1.0})})
    one = small_training.steps(Ranks(), config, tiny_corpus)
    work = small_training.other_steps, config, tiny_corpus.path
    with other_processes(2, tmp_path, *work) as rendezvous:
        two = small_training.steps(Ranks(2), config, tiny_corpus, rendezvous)
    assert len(one.losses) == 3 and two.losses == pytest.approx(one.losses, rel=1e-6)
    for mine, theirs in zip(two.gradients, one.gradients, strict=True):
        assert len(mine) == 6 and sum(float(part.square().sum()) for part in theirs) == pytest.approx(0.3**2, rel=1e-4)
        for part, expected in zip(mine, theirs, strict=True):
            torch.testing.assert_close(part, expected, rtol=0, atol=1e-6)
    assert two.unused is None, "what no image reaches is left alone, as on one device"
    assert capfd.readouterr().err == ""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network of this test is the small one, in the other processes, too."""
    monkeypatch.setattr(trainer_module, "build_model", small_training.build_small)
    monkeypatch.setattr(trainer_module, "follow", small_training.follow_small)


@pytest.mark.devices
@pytest.mark.usefixtures("small")
def test_two_devices_train_as_one(sit: Sit, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the handover, which measures AdamW's steps and comes when the first device says that nothing is gained.

    Rounding differs by 1e-7 in a sum, and AdamW divides small gradients by their size: hence the tolerances.
    """
    scores = [0.1, 0.2, 0.3, 0.3, 0.4]
    monkeypatch.setattr(Trainer, "_validate", lambda self: {"epoch/val/accuracy_macro": scores[self.progress.epoch]})
    optim = {"optim.ema_decay": 0.9, "optim.handover_at": 1.0, "optim.handover_patience": 1}
    config = make_trial({**CANONICAL, **optim, "training.sampling": "progressive"})
    one, two = sit(config, "one"), sit(config.model_copy(update={"training": _on_two(config)}), "two")
    for (_, mine), (_, theirs) in zip(two.listener.told, one.listener.told, strict=True):
        assert mine["epoch/train_loss"] == pytest.approx(theirs["epoch/train_loss"], rel=1e-4)
        assert mine["epoch/lr"] == pytest.approx(theirs["epoch/lr"], rel=1e-3)
    assert two.trained.handover_epoch == one.trained.handover_epoch == 4.0
    assert two.trained.handover_lr == pytest.approx(one.trained.handover_lr, rel=1e-3)
    for mine, theirs in zip(two.trainer.model.parameters(), one.trainer.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3)
    state = load_checkpoint(two.trainer.checkpoint)
    assert state is not None and plain(_other_weights(two.trainer)) == plain(state["model"]), "the same bits on both"


def _on_two(config: TrialConfig) -> Any:
    return config.training.model_copy(update={"devices": 2})


def _other_weights(trainer: Trainer) -> Any:
    return torch.load(trainer.checkpoint.parent / "device1.pt", weights_only=True)


@pytest.mark.devices
@pytest.mark.slow
def test_devices_end_with_the_same_bits_wherever_they_are_interrupted(sit: Sit, make_trial: MakeTrial) -> None:
    """With batch norm, dropout, a decoder and the average of the weights; the stop is within an epoch.

    A sum of two is the same in any order: it takes three to see whether the order hangs on where a training was resumed.
    """
    config = make_trial({"training.devices": 3, "training.epochs": 2, "model.base_channels": 8, "optim.ema_decay": 0.9})
    whole = ending(sit(config, "whole"))
    stopped = sit(config, "torn", stop_after=2)
    assert stopped.trained is None and stopped.trainer.progress.step == 2
    last = sit(config, "torn")
    assert last.listener.batches == 6 - 2 and ending(last) == whole


@pytest.mark.devices
@pytest.mark.slow
def test_a_killed_process_ends_the_training_and_its_checkpoint_goes_on(
    make_trial: MakeTrial, tiny_corpus: CorpusView, tmp_path: Path
) -> None:
    killer = Killer(at=5)
    trainer = Trainer(make_trial(TWO), tiny_corpus, tmp_path / "checkpoint.pt")
    with pytest.raises(ProcessDiedError, match=r"^devices: all 2 processes .* device 1 was killed by SIGKILL"):
        trainer.run(killer)
    assert not multiprocessing.active_children() and not Path(f"/proc/{killer.pid}").exists()
    state = load_checkpoint(tmp_path / "checkpoint.pt")
    assert state is not None and state["progress"]["step"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


class Killer:
    """Kills the other process before a batch."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.pid = 0

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        pass

    def should_stop(self) -> bool:
        self.at -= 1
        if self.at == 0:
            (other,) = multiprocessing.active_children()
            assert other.pid is not None
            self.pid = other.pid
            os.kill(self.pid, signal.SIGKILL)
        return False


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    Ranks(2).check()
    assert [str(Ranks(2, rank).device) for rank in range(2)] == ["cuda:0", "cuda:1"] and str(Ranks().device) == "cuda"
    with pytest.raises(
        TrialFailedError, match=r"^devices: this machine shows 2 GPUs, but training.devices is 4; write at most 2$"
    ):
        Ranks(4).check()


def test_chance_is_that_of_a_step_on_a_device() -> None:
    def drawn(rank: int, step: int) -> list[float]:
        Ranks(2, rank).seed(7, step)
        return torch.rand(4).tolist()

    assert drawn(0, 5) == drawn(0, 5)
    assert len({tuple(drawn(rank, step)) for rank in range(2) for step in range(3)}) == 6
    state = torch.get_rng_state()
    Ranks().seed(7, 5)
    assert torch.equal(torch.get_rng_state(), state), "one device goes on with its stream"


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_batch_norm_sees_the_whole_batch_on_gpus(sit: Sit, make_trial: MakeTrial) -> None:
    """Everything but dropout is as on one GPU, up to the order of sums."""
    config = make_trial({"model.dropout": 0.0, "training.epochs": 2})
    one, two = sit(config, "one"), sit(config.model_copy(update={"training": _on_two(config)}), "two")
    for (_, mine), (_, theirs) in zip(two.listener.told, one.listener.told, strict=True):
        assert mine["epoch/train_loss"] == pytest.approx(theirs["epoch/train_loss"], rel=1e-2)
