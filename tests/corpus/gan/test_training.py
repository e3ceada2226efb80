"""The networks and their training: shapes, falling losses, and equal bits however often it is interrupted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ocr_sweep.corpus.gan.network import Critic, Generator, num_levels
from ocr_sweep.corpus.gan.stepping import run_steps
from ocr_sweep.corpus.gan.training import GanSettings, GanTraining, Pairs
from ocr_sweep.errors import StoppedError

SIZE = 32


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Bars; the first style is the bar itself, the second one is twice as thick."""
    source = np.zeros((24, SIZE, SIZE), np.uint8)
    for i in range(24):
        source[i, 6 + i % 12 : 10 + i % 12, 6:26] = 255
    thick = np.maximum(source, np.roll(source, 4, axis=1))
    target = np.where((np.arange(24) % 2 == 0)[:, None, None], source, thick)
    return Pairs(source, target, np.arange(24, dtype=np.int64) % 2)


def training(pairs: Pairs, steps: int = 6, seed: int = 0) -> GanTraining:
    return GanTraining(pairs, 2, GanSettings(SIZE, 4, steps, 8, 2e-3, seed))


@pytest.mark.parametrize(("size", "levels"), [(32, 5), (48, 4), (64, 6), (80, 4), (256, 7)])
def test_a_side_is_halved_as_often_as_it_can_be(size: int, levels: int) -> None:
    assert num_levels(size) == levels


@pytest.mark.parametrize("size", [32, 48, 64])
def test_shapes(size: int) -> None:
    glyphs, styles = torch.randn(3, 1, size, size), torch.tensor([0, 1, 0])
    drawings, content = Generator(2, size=size, base_channels=4)(glyphs, styles)
    assert drawings.shape == glyphs.shape and drawings.abs().max() <= 1 and len(content) == 3
    truth, style = Critic(2, base_channels=4)(glyphs, drawings)
    assert truth.shape == (3, 1, size // 8, size // 8) and style.shape == (3, 2)


def test_the_style_decides_the_drawing(pairs: Pairs) -> None:
    gan = training(pairs, steps=100)
    curve = [gan.step(number) for number in range(100)]
    assert np.mean([losses["l1"] for losses in curve[-10:]]) < 0.5 * np.mean([losses["l1"] for losses in curve[:10]])
    assert curve[0]["critic"] == 0.0 and curve[-1]["critic"] > 0.0
    thin, thick = (gan.draw(pairs.source, style).astype(float).mean() for style in (0, 1))
    assert thick > 1.02 * thin


def test_a_drawing_depends_on_its_own_glyph_alone(pairs: Pairs) -> None:
    gan = training(pairs)
    for number in range(3):
        gan.step(number)
    together = gan.draw(pairs.source, 0)
    alone = np.concatenate([gan.draw(pairs.source[i : i + 1], 0) for i in range(len(pairs.source))])
    assert np.abs(together.astype(int) - alone).max() <= 1
    assert gan.draw(pairs.source[:0], 0).shape == (0, SIZE, SIZE)


def test_a_stopped_training_goes_on_to_equal_bits(pairs: Pairs, tmp_path: Path) -> None:
    whole = training(pairs)
    curve = run_steps(whole, 6, tmp_path / "whole", what="w", progress=lambda *_: None, note=lambda _: None)

    def stop_at_4(what: str, done: int, total: int) -> None:
        if done == 4:
            raise StoppedError("stopped by SIGINT")

    with pytest.raises(StoppedError):
        run_steps(training(pairs), 6, tmp_path / "cut", what="w", progress=stop_at_4, note=lambda _: None)
    rest: list[int] = []
    resumed = training(pairs, seed=0)
    again = run_steps(resumed, 6, tmp_path / "cut", what="w", progress=lambda w, done, t: rest.append(done), note=lambda _: None)
    assert rest == [4, 5, 6] and again == curve
    for name, tensor in whole.generator.state_dict().items():
        assert torch.equal(tensor, resumed.generator.state_dict()[name]), name
    assert np.array_equal(whole.draw(pairs.source, 1), resumed.draw(pairs.source, 1))


def test_a_finished_training_is_not_repeated(pairs: Pairs, tmp_path: Path) -> None:
    first = training(pairs)
    run_steps(first, 6, tmp_path / "c", what="w", progress=lambda *_: None, note=lambda _: None)
    seen: list[int] = []
    again = training(pairs)
    run_steps(again, 6, tmp_path / "c", what="w", progress=lambda w, done, t: seen.append(done), note=lambda _: None)
    assert seen == [6]
    assert np.array_equal(first.draw(pairs.source, 0), again.draw(pairs.source, 0))


def test_another_seed_gives_another_generator(pairs: Pairs) -> None:
    one, other = training(pairs, seed=1), training(pairs, seed=2)
    assert not np.array_equal(one.draw(pairs.source, 0), other.draw(pairs.source, 0))
