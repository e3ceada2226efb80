"""The certificate: the exported file says what the network said, and a planted difference is seen."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from ocr_sweep.errors import EvidenceError, IntegrityError, NotFoundError
from ocr_sweep.export.parity import TOLERANCE, Parity, certify, require_parity
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.store import CorpusView, resized
from ocr_sweep.training.predict import square_logits

Export = Callable[..., Path]
Networks = dict[str, nn.Module]
Images = NDArray[np.uint8]
CHARS = "一二三十口日田木"


def certified(scorer: Scorer, network: Callable[[Images], NDArray[np.float32]], images: Images, chars: str) -> Parity:
    return certify(scorer, network, [(images, scorer.logits(images))], images, chars)


@pytest.mark.parametrize("name", ["decoder", "timm"])
def test_an_exported_file_agrees(name: str, networks: Networks, export: Export, images: Images) -> None:
    parity = certified(Scorer(export(networks[name]), threads=1), partial(square_logits, networks[name]), images, CHARS)
    assert parity.holds and parity.max_difference < 1e-5 and parity.flips == 0
    assert (parity.num_images, parity.batch_sizes) == (48, (1, 2, 7, 48))
    assert parity.as_dict()["holds"] is True and parity.as_dict()["tolerance"] == TOLERANCE
    require_parity(parity)


def test_a_batch_of_any_size_gives_the_same_logits(networks: Networks, export: Export, images: Images) -> None:
    scorer = Scorer(export(networks["decoder"]), threads=1)
    whole = scorer.logits(images)
    assert whole.shape == (48, 8) and whole.dtype == np.float32
    for size in (1, 2, 7, 48, 1000):
        np.testing.assert_allclose(scorer.logits(images, batch_size=size), whole, rtol=1e-5, atol=1e-5)
    assert scorer.logits(images[:0]).shape == (0, 8)
    assert (scorer.image_size, scorer.num_classes) == (16, 8)
    assert 0 < scorer.latency_ms() < 1000
    picture = scorer.picture_latency_ms(np.full((128, 128), 255, np.uint8))
    assert picture is not None and 0 < picture < 1000


def _batch_norm(network: nn.Module) -> None:
    module = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert module.running_mean is not None
    module.running_mean += 0.05


def _head_bias(network: nn.Module) -> None:
    with torch.no_grad():
        network.head.bias[0] += 0.05  # type: ignore[index, union-attr]


def _class_order(network: nn.Module) -> None:
    with torch.no_grad():
        network.head.weight[:] = network.head.weight.flip(0)  # type: ignore[index, union-attr]


def _not_a_number(network: nn.Module) -> None:
    with torch.no_grad():
        network.head.bias[3] = float("nan")  # type: ignore[index, union-attr]


@pytest.mark.parametrize("fault", [_batch_norm, _head_bias, _class_order, _not_a_number])
def test_a_planted_fault_is_refused(
    fault: Callable[[nn.Module], None], networks: Networks, export: Export, images: Images
) -> None:
    faulty = copy.deepcopy(networks["decoder"])
    fault(faulty)
    sound = partial(square_logits, networks["decoder"])
    parity = certified(Scorer(export(faulty), threads=1), sound, images, CHARS)
    assert not parity.holds and parity.max_difference > TOLERANCE
    with pytest.raises(EvidenceError, match=r"must agree with PyTorch within 0\.0001 of the largest logit, but differs by"):
        require_parity(parity)


class Liar:
    """A scorer that answers as it is told, and differently in small batches if asked to."""

    def __init__(self, answer: NDArray[np.float32], small: NDArray[np.float32] | None = None) -> None:
        self.answer, self.small = answer, answer if small is None else small
        self.image_size, self.pictures = 16, None

    def unoptimised(self) -> Liar:
        return self

    def logits(self, images: Images, batch_size: int = 256) -> NDArray[np.float32]:
        return (self.answer if batch_size == 256 else self.small)[: len(images)]


def check(answer: NDArray[np.float32], truth: NDArray[np.float32], small: NDArray[np.float32] | None = None) -> Parity:
    squares = np.zeros((len(truth), 16, 16), np.uint8)
    return certified(Liar(answer, small), lambda images: truth[: len(images)], squares, "")  # type: ignore[arg-type]


@pytest.fixture
def truth() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 5, (10, 4)).astype(np.float32)


def test_the_difference_is_relative_to_the_largest_logit(truth: NDArray[np.float32]) -> None:
    largest = np.abs(truth).max()
    answer = truth.copy()
    answer[3, 1] += 0.002 * largest
    assert check(answer, truth).max_difference == pytest.approx(0.002, rel=1e-3)
    assert check(1000 * answer, 1000 * truth).max_difference == pytest.approx(0.002, rel=1e-3)


def test_a_difference_in_small_batches_alone_is_seen(truth: NDArray[np.float32]) -> None:
    assert check(truth, truth).holds
    assert not check(truth, truth, small=truth + 0.1).holds


def test_only_a_flip_with_a_clear_margin_counts() -> None:
    truth = np.array([[1.0, 0.9, 0.0], [1.0, 0.99995, 0.0], [0.0, 0.0, 1.0]], np.float32)
    assert check(truth[:, [1, 0, 2]], truth).flips == 1  # the second is too close to call


def test_a_reference_that_is_not_finite_never_agrees(truth: NDArray[np.float32]) -> None:
    broken = truth.copy()
    broken[0, 0] = np.nan
    assert not check(truth, broken).holds and not check(broken, truth).holds and not check(broken, broken).holds


def test_no_images_are_no_difference(truth: NDArray[np.float32]) -> None:
    assert check(truth[:0], truth[:0]).max_difference == 0.0


def test_the_scorer_resizes_corpus_images(networks: Networks, tiny_corpus: CorpusView, tmp_path: Path) -> None:
    from ocr_sweep.export.onnx_file import export_onnx

    export_onnx(networks["decoder"], tmp_path / "model.onnx", chars=tiny_corpus.chars, image_size=24)
    scorer = Scorer(tmp_path / "model.onnx", threads=1)
    val = tiny_corpus.indices("val")
    expected = scorer.logits(resized(tiny_corpus.images[val], 24))
    np.testing.assert_array_equal(scorer.corpus_logits(tiny_corpus, val), expected)
    assert scorer.corpus_logits(tiny_corpus, val[:0]).shape == (0, 8)


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_what_cannot_be_loaded_is_an_integrity_error(content: bytes | None, networks: Networks, export: Export) -> None:
    path = export(networks["decoder"])
    path.write_bytes(path.read_bytes()[:-500] if content is None else content)
    with pytest.raises(IntegrityError, match=r"model\.onnx cannot be read as an ONNX file: "):
        Scorer(path, threads=1)
    path.unlink()
    with pytest.raises(NotFoundError, match="no such ONNX file"):
        Scorer(path, threads=1)
