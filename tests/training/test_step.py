"""One update: parts of a batch add up to it, low precision trains, and a compiler that is missing ends the trial."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.models import Output
from ocr_sweep.optim import Course
from ocr_sweep.store import CorpusView
from ocr_sweep.training.classification import Classification
from ocr_sweep.training.feed import Batch
from ocr_sweep.training.restoration import Restoration
from ocr_sweep.training.step import Step, compile_errors

MakeTrial = Callable[..., TrialConfig]
CPU = torch.device("cpu")


class Small(nn.Module):
    """Eight classes and a restored image from 16 x 16 pixels, with batch norm or without."""

    def __init__(self, batch_norm: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4) if batch_norm else nn.Identity()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4 * 256, 8)
        self.restore = nn.Conv2d(4, 1, 1)

    def forward(self, images: Tensor) -> Output:
        x = torch.relu(self.norm(self.conv(images)))
        return Output(self.head(x.flatten(1)), self.restore(x))


@pytest.fixture
def one_step(tiny_corpus: CorpusView, make_trial: MakeTrial) -> Iterator[Callable[..., tuple[nn.Module, float]]]:
    """Do one update of a network on 10 images; the network with its gradients, and the loss."""

    def do(model: nn.Module, **training: Any) -> tuple[nn.Module, float]:
        config = make_trial({f"training.{key}": value for key, value in training.items()})
        model = copy.deepcopy(model)
        course = Course(config.optim, model, num_steps=15)
        losses = Classification(config.loss, tiny_corpus, CPU), Restoration(config.model, tiny_corpus, CPU, image_size=16)
        step = Step(config.training, model, *losses, device=CPU, num_steps=15)
        generator = torch.Generator().manual_seed(1)
        images = torch.rand(10, 1, 16, 16, generator=generator, dtype=next(model.parameters()).dtype)
        return model, float(step(Batch(images, images, torch.arange(10) % 8), course, 0))

    torch.manual_seed(0)
    yield do
    torch._dynamo.reset()


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("parts", [2, 4, 5])  # of 10 images: equal parts, and parts of 3, 3, 2 and 2
def test_parts_of_a_batch_have_its_gradient_and_its_loss(parts: int, one_step: Callable[..., Any], make_trial: MakeTrial) -> None:
    model = Small(batch_norm=False)
    whole, parted = one_step(model), one_step(model, accumulate=parts)
    assert len(gradients(whole[0])) == 6
    assert parted[1] == pytest.approx(whole[1], rel=1e-6)
    for mine, theirs in zip(gradients(parted[0]), gradients(whole[0]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)


def test_batch_norm_sees_the_parts(one_step: Callable[..., Any]) -> None:
    model = Small(batch_norm=True)
    whole, parted = one_step(model)[0], one_step(model, accumulate=2)[0]
    assert not torch.allclose(gradients(parted)[0], gradients(whole)[0], rtol=1e-3)
    assert (int(whole.norm.num_batches_tracked), int(parted.norm.num_batches_tracked)) == (1, 2)


@pytest.mark.parametrize(("images", "count", "sizes"), [(10, 4, [3, 3, 2, 2]), (5, 4, [3, 2]), (3, 4, [3]), (2, 1, [2])])
def test_no_part_is_a_single_image(images: int, count: int, sizes: list[int]) -> None:
    batch = Batch(torch.rand(images, 1, 4, 4), torch.rand(images, 1, 4, 4), torch.arange(images))
    parts = batch.parts(count)
    assert [len(part.labels) for part in parts] == sizes
    assert torch.equal(torch.cat([part.images for part in parts]), batch.images)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_is_near_and_keeps_loss_and_weights_whole(precision: str, one_step: Callable[..., Any]) -> None:
    model = Small(batch_norm=True)
    (exact, exact_loss), (rough, rough_loss) = one_step(model), one_step(model, precision=precision)
    assert rough_loss == pytest.approx(exact_loss, rel=0.02) and rough_loss != exact_loss
    assert {gradient.dtype for gradient in gradients(rough)} == {torch.float32}
    mine, theirs = (torch.cat([gradient.flatten() for gradient in gradients(model)]) for model in (rough, exact))
    assert float((mine - theirs).norm() / theirs.norm()) < 0.02


@pytest.mark.slow
@pytest.mark.skipif(
    not any(shutil.which(name) for name in ("g++", "c++", "clang++")), reason="torch.compile needs a C++ compiler"
)
def test_a_compiled_network_makes_the_same_step(one_step: Callable[..., Any]) -> None:
    model = Small(batch_norm=True)
    (plain, plain_loss), (fast, fast_loss) = one_step(model), one_step(model, compile=True)
    assert fast_loss == pytest.approx(plain_loss, rel=1e-5)
    for mine, theirs in zip(gradients(fast), gradients(plain), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def test_a_compiler_that_fails_ends_the_trial(one_step: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise OSError("no compiler here")

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **how: compile_(model, backend=broken, **how))
    with pytest.raises(
        TrialFailedError, match=r"^compile: torch.compile cannot .*no compiler here.*; write training.compile: false"
    ):
        one_step(Small(batch_norm=False), compile=True)


def test_other_errors_are_not_the_compilers() -> None:
    with pytest.raises(ZeroDivisionError), compile_errors(enabled=True):
        _ = 1 / 0
