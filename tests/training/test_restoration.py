"""What a decoder should restore: the image that came in, the one before augmentation, or the glyph of its class."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ocr_sweep.config.model import UNetConfig
from ocr_sweep.errors import DataError
from ocr_sweep.store import CorpusView, Source, resized
from ocr_sweep.training.feed import Batch
from ocr_sweep.training.restoration import Restoration

CPU = torch.device("cpu")


def config(**changes: Any) -> UNetConfig:
    values = {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.0, "decoder": True, "reconstruction_weight": 2.0}
    return UNetConfig.model_validate({**values, **changes})


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    images, clean = torch.rand(2, 6, 1, 16, 16, generator=generator)
    return Batch(images, clean, torch.tensor([7, 0, 3, 3, 1, 6]))


def without_rendered(view: CorpusView, classes: list[int]) -> CorpusView:
    """The corpus as if the fonts lacked these classes."""
    rows = np.array(view.rows)
    rows["source"][(rows["source"] == Source.RENDERED) & np.isin(rows["class_id"], classes)] = Source.SCANNED
    return replace(view, rows=rows)


def cost(restored: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    ink = restored.double().sigmoid()
    return -(target * ink.log() + (1 - target) * (1 - ink).log()).mean(dim=(1, 2, 3))


@pytest.mark.parametrize("target", ["input", "clean"])
def test_an_image_is_the_target(target: str, batch: Batch, tiny_corpus: CorpusView) -> None:
    restoration = Restoration(config(reconstruction_target=target), tiny_corpus, CPU, image_size=16)
    restored = torch.randn(6, 1, 16, 16)
    expected = 2 * cost(restored, batch.images if target == "input" else batch.clean).mean()
    assert float(restoration(restored, batch, step=0, num_steps=10)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("size", [16, 24])
def test_the_canonical_glyph_is_the_first_rendered_image_of_the_class(size: int, batch: Batch, tiny_corpus: CorpusView) -> None:
    restoration = Restoration(config(reconstruction_target="canonical"), tiny_corpus, CPU, image_size=size)
    target, known = restoration.target(batch)
    train = [i for i in tiny_corpus.indices("train") if tiny_corpus.rows["source"][i] == Source.RENDERED]
    firsts = [next(i for i in train if tiny_corpus.class_ids[i] == label) for label in batch.labels.tolist()]
    expected = resized(tiny_corpus.images[firsts], size)
    assert known is not None and known.all() and target.shape == (6, 1, size, size)
    np.testing.assert_array_equal((target * 255).round().to(torch.uint8).squeeze(1).numpy(), expected)


def test_classes_without_a_glyph_restore_nothing(batch: Batch, tiny_corpus: CorpusView) -> None:
    view = without_rendered(tiny_corpus, [3, 6])
    restoration = Restoration(config(reconstruction_target="canonical"), view, CPU, image_size=16)
    target, known = restoration.target(batch)
    assert known is not None and known.tolist() == [True, True, False, False, True, False]
    restored = torch.randn(6, 1, 16, 16, requires_grad=True)
    loss = restoration(restored, batch, step=0, num_steps=10)
    assert float(loss.detach()) == pytest.approx(2 * float(cost(restored.detach(), target)[known].mean()), rel=1e-5)
    loss.backward()
    assert restored.grad is not None and (restored.grad.abs().sum(dim=(1, 2, 3)) > 0).tolist() == known.tolist()
    nobody = Batch(batch.images[2:4], batch.clean[2:4], batch.labels[2:4])
    assert float(restoration(restored.detach()[2:4], nobody, step=0, num_steps=10)) == 0.0


def test_a_corpus_without_glyphs_is_refused(tiny_corpus: CorpusView) -> None:
    view = without_rendered(tiny_corpus, list(range(8)))
    with pytest.raises(DataError, match=r"canonical` needs rendered training images, but no class .* or write `clean`$"):
        Restoration(config(reconstruction_target="canonical"), view, CPU, image_size=16)
    Restoration(config(reconstruction_target="canonical", decoder=False), view, CPU, image_size=16)


def test_the_weight_fades_as_long_as_asked(batch: Batch, tiny_corpus: CorpusView) -> None:
    restored = torch.zeros(6, 1, 16, 16)
    whole = 2 * float(np.log(2))
    for fade, step, share in ((0.5, 50, 1.0), (0.5, 75, 0.5), (1.0, 25, 0.75), (0.0, 99, 1.0), (0.2, 90, 0.5)):
        restoration = Restoration(config(reconstruction_fade=fade), tiny_corpus, CPU, image_size=16)
        assert float(restoration(restored, batch, step=step, num_steps=100)) == pytest.approx(share * whole), (fade, step)
