"""Neighbours from rendered glyphs: who is found, what is compared, and how much memory that takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from store_files import save_store
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ocr_sweep.corpus.fonts import system_fonts
from ocr_sweep.losses import Neighbours, neighbour_weights, random_neighbours, rendered_neighbours
from ocr_sweep.losses.nearest import nearest
from ocr_sweep.losses.neighbours import neighbours_of_pairs
from ocr_sweep.store import CorpusView, Source

MakeView = Callable[..., CorpusView]


@pytest.fixture
def make_view(tmp_path: Path) -> MakeView:
    """A corpus of these images; rows are (class_id, source) in training."""

    def make(images: NDArray[np.uint8], rows: list[tuple[int, int]], num_classes: int) -> CorpusView:
        chars = "".join(chr(0x4E00 + i) for i in range(num_classes))
        recipe = {"charset": {"chars": chars}, "scanned_per_class": 50}
        whole = [(class_id, source, 0, i) for i, (class_id, source) in enumerate(rows)]
        save_store(tmp_path, images, whole, sets=["train", "val/book"], recipe=recipe, name="x")
        return CorpusView.open(tmp_path)

    return make


def drawn(num_images: int, side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (num_images, side, side)).astype(np.uint8)


def test_known_look_alikes_find_each_other(make_view: MakeView) -> None:
    chars = "未末人入己已土士天夭折析鳥烏兔免国語東京海"
    face = ImageFont.truetype(str(next(path for path in system_fonts() if path.name == "ipaexg.ttf")), 32)
    images = []
    for char in chars:
        canvas = Image.new("L", (40, 40))
        ImageDraw.Draw(canvas).text((20, 20), char, fill=255, font=face, anchor="mm")
        images.append(np.asarray(canvas))
    found = rendered_neighbours(make_view(np.stack(images), [(i, 0) for i in range(len(chars))], len(chars)), 3)
    first = [chars[row[0]] for row in found.indices]
    assert "".join(first[:16]) == "末未入人已己士土夭天析折烏鳥免兔"


@pytest.mark.parametrize("side", [16, 24])
def test_similarity_is_the_cosine_of_centred_blurred_means(side: int, make_view: MakeView) -> None:
    images = drawn(12, side)
    found = rendered_neighbours(make_view(images, [(i % 4, Source.RENDERED) for i in range(12)], 4), 3)
    small = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(images).double()[:, None], 16)[:, 0].numpy()
    means = np.stack([small[i::4].mean(axis=0) for i in range(4)])
    kernel = np.exp(-0.5 * (np.arange(-2, 3) / 0.7) ** 2)
    kernel /= kernel.sum()
    blurred = np.stack([cv2.sepFilter2D(mean, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT) for mean in means])
    rows = (blurred - blurred.mean(axis=0)).reshape(4, -1)
    cosine = rows @ rows.T / np.outer(*[np.linalg.norm(rows, axis=1)] * 2)
    for own, near in enumerate(found.indices):
        assert sorted(near.tolist()) == [i for i in range(4) if i != own]
        assert found.similarity[own] == pytest.approx(np.sort(np.delete(cosine[own], own))[::-1], abs=1e-5)
        assert found.similarity[own] == pytest.approx(cosine[own, near], abs=1e-5)


def test_similarity_is_symmetric(make_view: MakeView) -> None:
    found = rendered_neighbours(make_view(drawn(30, 16), [(i, Source.RENDERED) for i in range(30)], 30), 29)
    table = np.zeros((30, 30))
    np.put_along_axis(table, found.indices, found.similarity.astype(float), axis=1)
    assert table == pytest.approx(table.T, abs=1e-6)


def test_only_classes_with_rendered_images_have_neighbours_or_are_any(make_view: MakeView) -> None:
    rows = [(0, Source.RENDERED), (1, Source.SCANNED), (2, Source.RENDERED), (3, Source.RENDERED), (4, Source.GENERATED)]
    found = rendered_neighbours(make_view(drawn(5, 16), [(a, int(b)) for a, b in rows], 6), 4)
    assert [sorted(row) for row in found.indices.tolist()] == [
        [-1, -1, 2, 3],
        [-1] * 4,
        [-1, -1, 0, 3],
        [-1, -1, 0, 2],
        [-1] * 4,
        [-1] * 4,
    ]
    assert (found.indices[:, 2:] == -1).all() and (found.similarity[found.indices < 0] == 0).all()


def test_a_corpus_without_rendered_images_has_no_neighbours(make_view: MakeView) -> None:
    found = rendered_neighbours(make_view(drawn(3, 16), [(i, int(Source.SCANNED)) for i in range(3)], 3), 2)
    assert (found.indices == -1).all() and not neighbour_weights(found, 2.0).any()


@pytest.mark.parametrize("rows", [1, 7, 40, 1000])
def test_pieces_of_the_table_give_what_the_whole_table_gives(rows: int) -> None:
    vectors, sizes = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), torch.arange(1.0, 41.0)
    table = vectors @ vectors.T / torch.maximum(sizes[:, None], sizes)
    table.fill_diagonal_(-math.inf)
    indices, values = nearest(vectors, 5, sizes=sizes, rows=rows)
    torch.testing.assert_close(values, table.topk(5).values)
    torch.testing.assert_close(table.gather(1, indices), values)


class Largest(TorchDispatchMode):
    """Remembers the greatest number of elements of any tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        tensors = [t for t in (made if isinstance(made, tuple | list) else [made]) if isinstance(t, Tensor)]
        self.elements = max([self.elements, *(tensor.untyped_storage().nbytes() // 4 for tensor in tensors)])
        return made


def test_the_table_of_all_pairs_never_exists() -> None:
    vectors = torch.randn(5000, 8)
    with Largest() as largest:
        nearest(vectors, 10)
    assert largest.elements < 5000 * 5000 / 4


@pytest.mark.parametrize("perplexity", [1.0, 1.5, 3.0, 4.5])
def test_weights_are_a_softmax_of_the_perplexity_that_was_asked_for(perplexity: float) -> None:
    similarity = np.sort(np.random.default_rng(0).uniform(0.3, 1.0, (20, 6)).astype("f4"))[:, ::-1]
    weights = neighbour_weights(Neighbours(np.arange(120).reshape(20, 6), similarity), perplexity)
    assert weights.sum(axis=1) == pytest.approx(np.ones(20))
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nansum(weights * np.log(weights), axis=1)
    assert np.exp(entropy) == pytest.approx(np.full(20, perplexity), rel=1e-3)
    if perplexity > 1:
        ratio = np.log(weights[:, :1] / weights) * np.ptp(similarity, axis=1, keepdims=True)
        inverse = (similarity[:, :1] - similarity) * np.log(weights[:, :1] / weights[:, -1:])
        assert ratio == pytest.approx(inverse, abs=1e-4)  # log weights are linear in similarity: one temperature a class


def test_few_neighbours_weigh_the_same_and_missing_ones_nothing() -> None:
    found = Neighbours(np.array([[1, 2, -1], [0, -1, -1], [-1, -1, -1]]), np.array([[0.9, 0.3, 0], [0.5, 0, 0], [0, 0, 0]], "f4"))
    assert neighbour_weights(found, 3.0) == pytest.approx(np.array([[0.5, 0.5, 0], [1, 0, 0], [0, 0, 0]]), abs=1e-5)
    assert neighbour_weights(found, None) == pytest.approx(np.array([[0.75, 0.25, 0], [1, 0, 0], [0, 0, 0]]))


def test_the_placebo_has_as_many_neighbours_and_no_class_is_its_own() -> None:
    rng = np.random.default_rng(0)
    indices = np.stack([np.delete(np.arange(40), i)[rng.permutation(39)[:5]] for i in range(40)])
    indices[:10, 2:] = -1
    found = Neighbours(indices, rng.random((40, 5)).astype("f4"))
    placebo = random_neighbours(found, seed=1)
    assert ((placebo.indices >= 0) == (indices >= 0)).all() and placebo.similarity is found.similarity
    assert (placebo.indices != np.arange(40)[:, None]).all()
    assert all(len(set(row[row >= 0].tolist())) == (row >= 0).sum() for row in placebo.indices)
    assert (random_neighbours(found, seed=1).indices == placebo.indices).all()
    assert (random_neighbours(found, seed=2).indices != placebo.indices).any()


def test_pairs_become_the_most_similar_of_each_class() -> None:
    first = np.array([0, 0, 0, 0, 2, 2, 3])
    second = np.array([3, 1, 2, 1, 0, 3, 3])
    found = neighbours_of_pairs(first, second, np.array([0.2, 0.1, 0.5, 0.9, 0.4, 0.4, 1.0]), 4, 2)
    assert found.indices.tolist() == [[1, 2], [-1, -1], [0, 3], [-1, -1]]
    assert found.similarity.tolist() == pytest.approx(np.array([[0.9, 0.5], [0, 0], [0.4, 0.4], [0, 0]], "f4"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_the_neighbours_that_the_cpu_finds(make_view: MakeView) -> None:
    view = make_view(drawn(60, 24), [(i % 30, Source.RENDERED) for i in range(60)], 30)
    here, there = rendered_neighbours(view, 5), rendered_neighbours(view, 5, torch.device("cuda"))
    np.testing.assert_array_equal(there.indices, here.indices)
    np.testing.assert_allclose(there.similarity, here.similarity, atol=1e-5)
