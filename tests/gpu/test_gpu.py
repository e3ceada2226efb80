"""What holds on a GPU alone. Without one, `test_rooms.py` runs this with something in its place."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from listener import Listener
from on_the_stand_in import STANDS_IN

from ocr_sweep.augment import BUILT_IN
from ocr_sweep.augment.batched import apply_op
from ocr_sweep.augment.policy import Op
from ocr_sweep.augment.stroke import Dilation, Erosion
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TrialMemoryError
from ocr_sweep.store import CorpusView
from ocr_sweep.training.distributed import Ranks
from ocr_sweep.training.stored import StoredImages
from ocr_sweep.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

MakeTrial = Callable[..., TrialConfig]
TrainerOn = Callable[[torch.device, TrialConfig], Trainer]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
CAPSULE = {"kind": "capsule", "base_channels": 4, "depth": 2, "primary": 6, "latent": 12, "pose": 8, "dropout": 0.0}
DENSE = {"kind": "dense_unet", "growth": 4, "blocks": [2, 2], "stem_stride": 1, "dropout": 0.0, "decoder": True}
UNET = {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.0, "decoder": True, "reconstruction_weight": 1.0}
MODELS: dict[str, dict[str, Any]] = {
    "unet": {"model": UNET},
    "unet canonical": {"model": {**UNET, "reconstruction_target": "canonical"}},
    "cosine": {"model": {**UNET, "head": {"kind": "cosine", "scale": 16.0}}},
    "dense_unet": {"model": {**DENSE, "reconstruction_weight": 1.0, "head": {"kind": "low_rank", "rank": 6}}},
    "capsule_dynamic": {"model": {**CAPSULE, "routing": {"kind": "dynamic", "rounds": 3}}},
    "capsule_attention": {"model": {**CAPSULE, "routing": {"kind": "attention"}}},
    "timm": {"model": {"kind": "timm", "name": "test_efficientnet", "dropout": 0.0}},
}
SIMILAR = {"neighbours": 3, "mass": 0.1, "perplexity": 2.0}
LOSSES: dict[str, dict[str, Any]] = {
    "uniform": {"loss.label_smoothing": 0.1},
    "label-aware": {"loss.label_smoothing": 0.2, "loss.label_smoothing_tail": 0.05},
    "similar": {"loss.similarity": SIMILAR},
    "random": {"loss.similarity": {**SIMILAR, "arm": "random"}},
    "bce": {"loss.kind": "bce", "loss.similarity": SIMILAR},
    "balanced bce": {"loss.kind": "bce", "loss.adjustment": 1.0},
    "adjusted": {"loss.adjustment": 1.0},
    "weighted": {"loss.class_weights_beta": 0.9},
}


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Products of full float32, as on a CPU; afterwards nothing is left of a test's limits."""
    held = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = held
    torch.cuda.set_sync_debug_mode("default")
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.fixture
def trainer_on(tiny_corpus: CorpusView, tmp_path: Path) -> TrainerOn:
    """What trains a configuration on one device."""

    def trainer_on(device: torch.device, config: TrialConfig) -> Trainer:
        ranks = Ranks()
        ranks.device = device
        return Trainer(config, tiny_corpus, tmp_path / "checkpoint.pt", ranks)

    return trainer_on


@pytest.mark.parametrize("changes", [*MODELS.values(), *LOSSES.values()], ids=[*MODELS, *LOSSES])
def test_an_update_is_that_of_the_cpu(changes: dict[str, Any], make_trial: MakeTrial, trainer_on: TrainerOn) -> None:
    config = make_trial({"model": UNET, "optim.clip_norm": 1e6, "training.accumulate": 2, **changes})
    here, there = trainer_on(CPU, config), trainer_on(GPU, config)
    for number in range(2):
        mine, theirs = (float(one.step(one.feed.batch(0, number), one.course, number)) for one in (here, there))
        assert theirs == pytest.approx(mine, rel=1e-4)
    compared = 0
    for weight, other in zip(here.model.parameters(), there.model.parameters(), strict=True):
        assert (weight.grad is None) == (other.grad is None)
        if weight.grad is not None and other.grad is not None:
            scale = float(weight.grad.abs().max())
            torch.testing.assert_close(other.grad.cpu(), weight.grad, rtol=1e-2, atol=1e-3 * scale + 1e-7)
            compared += 1
    assert compared > 3


@pytest.mark.parametrize("changes", [*MODELS.values(), *LOSSES.values()], ids=[*MODELS, *LOSSES])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_update_waits_for_the_device(
    precision: str, changes: dict[str, Any], make_trial: MakeTrial, trainer_on: TrainerOn
) -> None:
    """Neither under AdamW, whose steps are recorded for the handover, nor under SGD after it."""
    whole = {"training.precision": precision, "training.augment_on": "batch", "training.accumulate": 2, "optim.handover_at": 0.5}
    trainer = trainer_on(GPU, make_trial({**whole, **changes}))
    batches = [trainer.feed.batch(0, number) for number in range(3)]
    for step in range(9):
        torch.cuda.set_sync_debug_mode("default")
        if trainer.course.due(step, stale_epochs=0):
            trainer.course.hand_over(step)  # reads what was recorded
        torch.cuda.set_sync_debug_mode("error" if step else "default")
        trainer.step(batches[step % 3], trainer.course, step)
    assert trainer.course.phase == "sgd"


EFFECTS = {type(step.op): step.op for policy in BUILT_IN.values() for step in policy.steps}


@pytest.mark.parametrize("op", EFFECTS.values(), ids=lambda op: type(op).__name__)
def test_an_effect_waits_for_nothing(op: Op, tiny_corpus: CorpusView) -> None:
    """The next one is prepared while the device works on this one; only two must know how wide the strokes are."""
    train = tiny_corpus.indices("train")
    stored = StoredImages(tiny_corpus, train, GPU)
    parameters = op.draw(np.random.default_rng(1).random((len(train), op.num_draws)), 1.0, 16)
    torch.cuda.set_sync_debug_mode("default" if isinstance(op, Erosion | Dilation) else "error")
    images = stored.take(train).float()
    moved = apply_op(op, images.clone(), parameters)
    torch.cuda.set_sync_debug_mode("default")
    assert not torch.equal(moved, images)


def test_a_training_that_does_not_fit_is_refused_before_it_begins(
    make_trial: MakeTrial, tiny_corpus: CorpusView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**20, 2**34))
    with pytest.raises(TrialMemoryError, match=r"^oom: this training needs about \d+ MB, and the GPU has 1 MB free; .* write "):
        Trainer(make_trial(), tiny_corpus, tmp_path / "checkpoint.pt")


def test_the_end_of_the_memory_is_the_end_of_the_trial(make_trial: MakeTrial, tiny_corpus: CorpusView, tmp_path: Path) -> None:
    trainer = Trainer(make_trial({"training.batch_size": 64}), tiny_corpus, tmp_path / "checkpoint.pt")
    held = torch.empty(64 << 20, dtype=torch.uint8, device=GPU)
    total = torch.cuda.mem_get_info(GPU)[1]
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_allocated(GPU) / total)
    with pytest.raises(TrialMemoryError, match=r"^oom: the memory of the GPU does not suffice; .* write accumulate: 2 "):
        trainer.run(Listener())
    assert len(held)


LARGER = {"training.batch_size": 32, "training.images_per_epoch": 64, "image_size": 32}
LATE = {"training.epochs": 3, "optim.handover_at": 0.7}  # steps are still recorded when the first best weights are kept
NEEDS = {
    "unet": {"model": {**UNET, "base_channels": 16}},
    "encoder": {"model": {**UNET, "base_channels": 16, "decoder": False}},
    "averaged": {"model": {**UNET, "base_channels": 16}, "optim.ema_decay": 0.9},
    "bf16": {"model": {**UNET, "base_channels": 16}, "training.precision": "bf16"},
    "resnet": {"model": {"kind": "timm", "name": "resnet10t", "dropout": 0.0}},
    "capsule": {"model": {**CAPSULE, "base_channels": 16, "primary": 16, "routing": {"kind": "dynamic", "rounds": 3}}},
}


@pytest.mark.parametrize("changes", NEEDS.values(), ids=NEEDS)
def test_the_memory_that_a_training_takes_is_foretold(
    changes: dict[str, Any], make_trial: MakeTrial, tiny_corpus: CorpusView, tmp_path: Path
) -> None:
    """Beside the images of the batches under way; on a real GPU the kernels' work space comes on top, which is not foretold."""
    gc.collect()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() / 2**20
    trained = Trainer(make_trial({**LARGER, **LATE, **changes}), tiny_corpus, tmp_path / "checkpoint.pt").run(Listener())
    assert trained is not None
    taken = trained.measured["memory/peak_mb"] - before
    assert 1.0 <= taken / trained.measured["memory/predicted_mb"] < (1.06 if STANDS_IN else 2.0)
