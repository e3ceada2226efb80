"""A training: the same bits however often it is interrupted, the handover where it was asked for, the best epoch kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from endings import ending, plain
from torch import Tensor

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import StoreError, TrialFailedError
from ocr_sweep.models.checkpoint import load_checkpoint, save_checkpoint
from ocr_sweep.optim import StepRecorder, warmup_cosine
from ocr_sweep.store import CorpusView
from ocr_sweep.training import origin
from ocr_sweep.training import trainer as trainer_module
from ocr_sweep.training.feed import Batch
from ocr_sweep.training.memory import MB, StepMemory
from ocr_sweep.training.trainer import Trainer, predict_logits

MakeTrial = Callable[..., TrialConfig]
Sit = Callable[..., Any]

STEPS = 15  # five epochs of three batches
LEAST_MB = 0.1 if torch.cuda.is_available() else 10  # of a GPU its tensors count, of a CPU the process
UNET = {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.1, "decoder": True, "reconstruction_weight": 1.0}
DENSE = {
    "kind": "dense_unet",
    "growth": 8,
    "blocks": [2, 3],
    "stem_stride": 1,
    "dropout": 0.1,
    "decoder": True,
    "reconstruction_weight": 1.0,
    "reconstruction_target": "canonical",
}
CAPSULE = {
    "kind": "capsule",
    "base_channels": 4,
    "depth": 2,
    "primary": 8,
    "latent": 16,
    "routing": {"kind": "dynamic"},
    "dropout": 0.1,
}
MODELS: dict[str, dict[str, Any]] = {
    "decoder": {"model": UNET},
    "encoder": {"model": {**UNET, "decoder": False, "reconstruction_weight": 0.0}, "loss.kind": "bce"},
    "timm": {"model": {"kind": "timm", "name": "test_resnet", "dropout": 0.1}, "training.sampling": "square_root"},
    "dense": {"model": DENSE},
    "capsule": {"model": CAPSULE},
}


@pytest.mark.parametrize(
    ("model", "handover_at"),  # 0.6 is at the border of an epoch, 0.7 within one
    [
        ("encoder", 0.6),
        ("encoder", 0.7),
        pytest.param("decoder", 0.6, marks=pytest.mark.slow),
        pytest.param("decoder", 0.7, marks=pytest.mark.slow),
        pytest.param("dense", 0.7, marks=pytest.mark.slow),
        pytest.param("capsule", 0.7, marks=pytest.mark.slow),
        pytest.param("timm", 0.6, marks=pytest.mark.slow),
        pytest.param("timm", 0.7, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_training_ends_with_the_same_bits(model: str, handover_at: float, sit: Sit, make_trial: MakeTrial) -> None:
    config = make_trial({**MODELS[model], "optim.handover_at": handover_at})
    handover = round(handover_at * STEPS)
    whole = ending(sit(config, "whole"))
    assert whole["handover"][0] == handover / 3 and whole["epochs"] == [1, 2, 3, 4, 5]
    if model == "decoder":
        assert ending(sit(config, "again")) == whole
    stops = {"early": [1], "mid-epoch": [4], "at the handover": [handover], "after it": [handover + 1], "often": [2, 5, 4, 1]}
    for name, sittings in stops.items():
        for batches in sittings:
            assert sit(config, name, stop_after=batches).trained is None
        last = sit(config, name)
        assert last.listener.batches == STEPS - sum(sittings)
        assert ending(last) == whole, name


ENCODER: dict[str, Any] = MODELS["encoder"]
ALONE = {"optim.handover_at": 0.0, "optim.handover_rate": "fixed", "optim.sgd_lr": 0.05}
VARIANTS: dict[str, tuple[dict[str, Any], list[list[int]]]] = {  # what differs, and after how many batches each sitting stops
    "average and warm": ({"optim.ema_decay": 0.9, "optim.handover_momentum": "warm"}, [[9], [10], [2, 5, 4]]),
    "slower adamw": ({"optim.handover_to": "slower_adamw", "optim.ema_decay": 0.9}, [[9], [10, 3]]),
    "sgd alone": (ALONE, [[1], [8]]),
    "stop within an epoch": ({"optim.handover_to": "stop", "optim.handover_at": 0.7}, [[9], [1, 8]]),
    "stop at a border": ({"optim.handover_to": "stop"}, [[8]]),
    "parts in bf16": ({"training.accumulate": 4, "training.precision": "bf16"}, [[9], [10]]),
    "fp16, progressive": ({"training.precision": "fp16", "training.sampling": "progressive"}, [[9], [4]]),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_course_ends_with_the_same_bits_wherever_it_is_interrupted(variant: str, sit: Sit, make_trial: MakeTrial) -> None:
    changes, stops = VARIANTS[variant]
    optim = {key: value for key, value in changes.items() if key.startswith("optim.")}
    base = make_trial().optim.model_dump() | {key.removeprefix("optim."): value for key, value in optim.items()}
    others = {key: value for key, value in changes.items() if key not in optim}
    config = make_trial({**ENCODER, **others, "optim": base})
    whole = ending(sit(config, "whole"))
    for number, sittings in enumerate(stops):
        for batches in sittings:
            assert sit(config, f"torn{number}", stop_after=batches).trained is None
        assert ending(sit(config, f"torn{number}")) == whole, sittings


def test_a_stop_within_an_epoch_judges_what_there_is(sit: Sit, make_trial: MakeTrial) -> None:
    session = sit(make_trial({**ENCODER, "optim.handover_to": "stop", "optim.handover_at": 0.7}))
    told = session.listener.told
    assert session.listener.batches == 10 and [epoch for epoch, _ in told] == [1, 2, 3, 4]
    assert session.trained.handover_epoch == pytest.approx(10 / 3) and session.trained.handover_lr == 0.0
    whole = sit(make_trial({**ENCODER, "optim.handover_at": 1.0}), "whole").listener.told
    assert [metrics["epoch/lr"] for _, metrics in told[:3]] == [metrics["epoch/lr"] for _, metrics in whole[:3]]
    assert told[3][1]["epoch/train_loss"] == pytest.approx(whole[3][1]["epoch/train_loss"], rel=0.5)  # of one batch, not a third


def test_a_plateau_stops_a_training(sit: Sit, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "_validate", lambda self: {"epoch/val/accuracy_macro": 0.5 - 0.1 * self.progress.epoch})
    stop = {"optim.handover_to": "stop", "optim.handover_at": 1.0, "optim.handover_patience": 2}
    session = sit(make_trial({**ENCODER, **stop}))
    assert len(session.listener.told) == 3 and session.trained.selected_epoch == 1


def test_the_average_of_the_weights_is_judged_and_kept(sit: Sit, make_trial: MakeTrial, tiny_corpus: CorpusView) -> None:
    session = sit(make_trial({**ENCODER, "optim.ema_decay": 0.9, "training.epochs": 1}))
    trainer = session.trainer
    assert trainer.ema is not None and trainer.judged is trainer.ema.model
    kept, trained = plain(session.trained.model.state_dict()), plain(load_checkpoint(trainer.checkpoint)["model"])
    assert kept == plain(trainer.ema.state_dict()) and kept != trained
    told = session.listener.told[0][1]["epoch/val/accuracy"]
    logits = predict_logits(session.trained.model, tiny_corpus, tiny_corpus.indices("val"), 16)
    assert told == (logits.argmax(axis=1) == tiny_corpus.class_ids[tiny_corpus.indices("val")]).mean()
    alone = sit(make_trial({**ENCODER, "training.epochs": 1}), "alone")
    assert plain(load_checkpoint(alone.trainer.checkpoint)["model"]) == trained  # averaging changes nothing in the training


def test_what_a_run_measured_is_told(sit: Sit, make_trial: MakeTrial) -> None:
    measured = sit(make_trial(ENCODER)).trained.measured
    assert measured["handover/swats_lr"] > 0 and measured["memory/peak_mb"] > LEAST_MB
    assert sit(make_trial({**ENCODER, "optim.handover_at": 1.0}), "alone").trained.measured["handover/swats_lr"] == 0.0


def test_memory_is_predicted_before_and_told_after(sit: Sit, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[TrialConfig, int]] = []

    def told(config: TrialConfig, num_classes: int) -> StepMemory:
        asked.append((config, num_classes))
        return StepMemory(weights=MB, lasting=4 * MB, peak=9 * MB)

    monkeypatch.setattr("ocr_sweep.training.memory.step_memory", told)
    config = make_trial({**ENCODER, "training.epochs": 1})
    assert sit(config).trained.measured["memory/predicted_mb"] == 10.0 and asked == [(config, 8)]


def test_no_memory_ends_the_trial_with_what_to_write(sit: Sit, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Any, images: Tensor) -> Any:
        return images.new_empty(2**58)

    monkeypatch.setattr("ocr_sweep.training.memory.step_memory", lambda config, num_classes: StepMemory(0, 0, 0))
    monkeypatch.setattr("ocr_sweep.models.unet.UNet.forward", forward)
    with pytest.raises(TrialFailedError, match=r"^oom: .*batch_size is 16 and training.accumulate 1; write accumulate: 2"):
        sit(make_trial(ENCODER))


def test_a_checkpoint_of_another_program_is_not_read(sit: Sit, make_trial: MakeTrial) -> None:
    session = sit(make_trial(ENCODER), stop_after=4)
    state = load_checkpoint(session.trainer.checkpoint)
    save_checkpoint(session.trainer.checkpoint, {**state, "format": 1})
    assert sit(make_trial(ENCODER)).listener.batches == STEPS


def test_augmentation_of_whole_batches_ends_with_the_same_bits_and_near_the_other(sit: Sit, make_trial: MakeTrial) -> None:
    config = make_trial({**MODELS["encoder"], "training.augment_on": "batch", "training.epochs": 2})
    whole = ending(sit(config, "whole"))
    for batches in (2, 1):
        assert sit(config, "often", stop_after=batches).trained is None
    assert ending(sit(config, "often")) == whole
    single = sit(make_trial({**MODELS["encoder"], "training.epochs": 2}), "single").listener.told
    for one, other in zip(single, whole["told"], strict=True):
        assert one[1]["epoch/train_loss"] == pytest.approx(other["epoch/train_loss"], rel=0.02)


def test_other_seeds_give_other_bits(sit: Sit, make_trial: MakeTrial) -> None:
    one, other = (ending(sit(make_trial({"seed": seed, "training.epochs": 1}), f"seed{seed}")) for seed in (3, 4))
    assert one["network"] != other["network"]


def test_a_finished_training_is_not_trained_again(sit: Sit, make_trial: MakeTrial) -> None:
    first, second = (sit(make_trial({"training.epochs": 2})) for _ in range(2))
    assert second.listener.batches == 0 and ending(second) == ending(first)


@pytest.mark.parametrize("where", ["flipped", "cut", "empty"])
def test_a_damaged_checkpoint_costs_time_and_nothing_else(where: str, sit: Sit, make_trial: MakeTrial) -> None:
    config = make_trial()
    session = sit(config, "damaged", stop_after=7)
    content = bytearray(session.trainer.checkpoint.read_bytes())
    content[len(content) // 2] ^= 4
    session.trainer.checkpoint.write_bytes({"flipped": content, "cut": content[:1000], "empty": b""}[where])
    last = sit(config, "damaged")
    assert last.listener.batches == STEPS
    assert ending(last) == ending(sit(config, "whole"))


def test_a_full_disk_stops_a_training_that_can_go_on(sit: Sit, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    saved, save = [], origin.save_checkpoint

    def full(path: Path, state: dict[str, Any]) -> None:
        if len(saved) == 2:
            raise StoreError("no room")
        saved.append(path)
        save(path, state)

    with monkeypatch.context() as disk:
        disk.setattr(origin, "save_checkpoint", full)
        with pytest.raises(StoreError):
            sit(make_trial(), "full")
    last = sit(make_trial(), "full")
    assert last.listener.batches == STEPS - 6  # two epochs of three batches were safe
    assert ending(last) == ending(sit(make_trial(), "whole"))


class Witness:
    """Notes the optimiser's kind and rate at every batch boundary."""

    def __init__(self) -> None:
        self.trainer: Trainer | None = None
        self.rates: list[tuple[str, float]] = []

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        pass

    def should_stop(self) -> bool:
        assert self.trainer is not None
        optimizer = self.trainer.course.optimizer
        self.rates.append((type(optimizer).__name__, float(optimizer.param_groups[0]["lr"])))
        return False


@pytest.mark.parametrize("how", ["matched", "inherit", "fixed"])
def test_the_rate_of_sgd_is_the_one_asked_for(how: str, tiny_corpus: CorpusView, make_trial: MakeTrial, tmp_path: Path) -> None:
    config = _fixed(make_trial) if how == "fixed" else make_trial({"optim.handover_rate": how})
    witness, trainer = Witness(), Trainer(config, tiny_corpus, tmp_path / "checkpoint.pt")
    witness.trainer = trainer
    trained = trainer.run(witness)
    assert trained is not None and len(witness.rates) == STEPS
    adamw = [0.01 * warmup_cosine(step, num_steps=STEPS, warmup_steps=2) for step in range(9)]
    assert [kind for kind, _ in witness.rates] == ["AdamW"] * 10 + ["SGD"] * 5
    assert [rate for _, rate in witness.rates[1:10]] == pytest.approx(adamw)
    recorder = trainer.course.recorder
    assert recorder is not None and len(recorder.ratios) == 9
    median = recorder.median_ratio()
    first = {"matched": 3.0 * (1 - 0.9) * adamw[-1] * median, "inherit": adamw[-1], "fixed": 0.07}[how]
    assert trained.handover_lr == pytest.approx(first)
    cosine = [0.5 * (1 + np.cos(np.pi * since / 6)) for since in range(6)]
    assert [rate for _, rate in witness.rates[10:]] == pytest.approx([first * factor for factor in cosine[:5]])
    group = trainer.course.optimizer.param_groups[0]
    assert group["momentum"] == 0.9 and group["nesterov"]
    assert group["weight_decay"] == pytest.approx(adamw[-1] * 0.02 * (1 - 0.9) / first)


def _fixed(make_trial: MakeTrial) -> TrialConfig:
    optim = {**make_trial().optim.model_dump(), "handover_rate": "fixed", "sgd_lr": 0.07}
    return make_trial({"optim": optim})


def test_without_a_handover_adamw_goes_on_to_the_end(sit: Sit, make_trial: MakeTrial) -> None:
    session = sit(make_trial({"optim.handover_at": 1.0}))
    assert isinstance(session.trainer.course.optimizer, torch.optim.AdamW)
    assert (session.trained.handover_epoch, session.trained.handover_lr) == (5.0, 0.0)


@pytest.mark.parametrize(
    ("scores", "patience", "handover", "selected"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5], 2, 5.0, 5),  # gains to the end: never
        ([0.5, 0.4, 0.3, 0.9, 0.9], 2, 3.0, 4),  # two epochs without gain; the first of the best two
        ([0.5, 0.5004, 0.5008, 0.6, 0.6], 2, 3.0, 4),  # less than 0.05 points is no gain ...
        ([0.5, 0.5004, 0.5002, 0.1, 0.1], 0, 5.0, 2),  # ... but still the best epoch; no patience: never
        ([0.5, 0.4, 0.4, 0.4, 0.3], 1, 2.0, 1),
    ],
)
def test_a_plateau_of_validation_hands_over_and_the_best_epoch_is_selected(
    scores: list[float],
    patience: int,
    handover: float,
    selected: int,
    sit: Sit,
    make_trial: MakeTrial,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights: list[Any] = []

    def scripted(self: Trainer) -> dict[str, float]:
        weights.append(plain(self.model.state_dict()))
        return {"epoch/val/accuracy_macro": scores[self.progress.epoch]}

    monkeypatch.setattr(Trainer, "_validate", scripted)
    session = sit(make_trial({"optim.handover_at": 1.0, "optim.handover_patience": patience}))
    assert session.trained.handover_epoch == handover
    assert session.trained.selected_epoch == selected
    assert plain(session.trained.model.state_dict()) == weights[selected - 1]
    assert not session.trained.model.training


def test_test_images_have_no_say(tiny_corpus: CorpusView, make_trial: MakeTrial, tmp_path: Path, sit: Sit) -> None:
    images = np.array(tiny_corpus.images)
    images[tiny_corpus.indices("test")] = 255 - images[tiny_corpus.indices("test")]
    other = Trainer(make_trial(), replace(tiny_corpus, images=images), tmp_path / "checkpoint.pt").run(Quiet())
    here = sit(make_trial()).trained
    assert other is not None and plain(other.model.state_dict()) == plain(here.model.state_dict())
    assert (other.selected_epoch, other.handover_lr) == (here.selected_epoch, here.handover_lr)


class Quiet:
    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        assert not any("test" in name for name in metrics)

    def should_stop(self) -> bool:
        return False


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_trial_at_its_step(
    poison: float, sit: Sit, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = trainer_module.Feed.batch

    def poisoned(self: Any, epoch: int, number: int) -> Batch:
        came = batch(self, epoch, number)
        return replace(came, images=came.images * poison) if (epoch, number) == (1, 1) else came

    with monkeypatch.context() as feed:
        feed.setattr(trainer_module.Feed, "batch", poisoned)
        with pytest.raises(TrialFailedError, match=r"^nan-loss: the loss must stay finite, but is nan at step 4$"):
            sit(make_trial(), "poisoned")
    resumed = sit(make_trial(), "poisoned")  # the last finite checkpoint is whole
    assert resumed.listener.batches == STEPS - 3
    assert ending(resumed) == ending(sit(make_trial(), "whole"))


def test_outputs_that_are_not_finite_end_the_trial_at_validation(
    sit: Sit, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_batch = Trainer.train_batch

    def poisoned(self: Trainer, batches: Any) -> float:
        value = train_batch(self, batches)
        self.model.down[0][1].running_var.fill_(float("nan"))  # type: ignore[index, union-attr]  # unused in training
        return value

    monkeypatch.setattr(Trainer, "train_batch", poisoned)
    with pytest.raises(TrialFailedError, match=r"^nan-logits: outputs must stay finite, but are not after step 3$"):
        sit(make_trial())


def test_a_rate_that_cannot_be_matched_ends_the_trial(sit: Sit, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StepRecorder, "median_ratio", lambda self: 0.0)
    with pytest.raises(TrialFailedError, match=r"^no-gradient: the handover at step 9 found no step to match"):
        sit(make_trial())


@pytest.mark.parametrize(
    "model", ["encoder", *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS if name != "encoder")]
)
def test_a_network_learns_the_tiny_corpus(model: str, sit: Sit, make_trial: MakeTrial, tiny_corpus: CorpusView) -> None:
    config = make_trial({**MODELS[model], "training.epochs": 25, "training.images_per_epoch": None, "optim.handover_at": 0.8})
    session = sit(config)
    test = tiny_corpus.indices("test")
    logits = predict_logits(session.trained.model, tiny_corpus, test, 16)
    assert (logits.argmax(axis=1) == tiny_corpus.class_ids[test]).mean() > 0.9
    losses = [metrics["epoch/train_loss"] for _, metrics in session.listener.told]
    assert losses[-1] < losses[0] / 1.5


def test_an_untrained_binary_network_expects_one_class_in_k(
    tiny_corpus: CorpusView, make_trial: MakeTrial, tmp_path: Path
) -> None:
    trainer = Trainer(make_trial(MODELS["encoder"]), tiny_corpus, tmp_path / "checkpoint.pt")
    assert trainer.model.head.bias.tolist() == pytest.approx([-np.log(7)] * 8)  # type: ignore[index, union-attr]


def test_every_epoch_has_its_curves(sit: Sit, make_trial: MakeTrial) -> None:
    told = sit(make_trial({"training.epochs": 2})).listener.told
    assert [epoch for epoch, _ in told] == [1, 2]
    validation = ("accuracy", "accuracy_macro", "accuracy_few", "accuracy_unseen", "book/accuracy", "simulated/accuracy")
    for epoch, metrics in told:
        own = {"epoch/train_loss", "epoch/lr", "epoch/images_per_second", "epoch/wait_share", "epoch/peak_memory_mb"}
        handed_over = {"epoch/handed_over"} if epoch > 1 else set()
        assert set(metrics) == own | handed_over | {f"epoch/val/{name}" for name in validation}
        assert np.isfinite(list(metrics.values())).all()
        assert 0 < metrics["epoch/wait_share"] < 1 and metrics["epoch/peak_memory_mb"] > LEAST_MB


def test_prediction_does_not_depend_on_the_batch_and_puts_the_mode_back(
    sit: Sit, make_trial: MakeTrial, tiny_corpus: CorpusView
) -> None:
    model = sit(make_trial({"training.epochs": 1})).trained.model.train()
    val = tiny_corpus.indices("val")
    whole = predict_logits(model, tiny_corpus, val, 16)
    assert model.training and whole.shape == (48, 8)
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    parted = predict_logits(model, tiny_corpus, val, 16, parts=16)
    np.testing.assert_allclose(parted, whole, rtol=1e-4, atol=1e-5)
    assert predict_logits(model, tiny_corpus, val[:0], 16).shape == (0, 8)
    assert sizes == [16, 16, 16], "where a batch is cut for want of memory, so is this"
