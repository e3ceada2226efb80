"""Which characters look alike: a few neighbours of each class, from rendered glyphs or from given pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ocr_sweep.losses.nearest import nearest
from ocr_sweep.pulse import beat
from ocr_sweep.store import CorpusView, Source

_SIDE = 16  # pixels of the images that are compared: neighbours are those of 32 pixels, at a quarter of the cost
_BLUR = 0.7  # standard deviation in pixels, so that a stroke may lie a little elsewhere in another face
_CHUNK = 4096  # images read at a time


class Neighbours(NamedTuple):
    """The neighbours of each class, most similar first; a class is never its own."""

    indices: NDArray[np.int64]  # (K, k); -1 for none, after those that are there
    similarity: NDArray[np.float32]  # (K, k); 0 for none


def rendered_neighbours(view: CorpusView, k: int, device: torch.device | None = None) -> Neighbours:
    """Return the k classes whose rendered training images look most like those of each class; the similarity is a cosine.

    The images of a class are averaged over the faces and blurred, and the average over all classes is taken away.
    A class without a rendered image has no neighbours and is nobody's.

    References:
        Yang et al., HomoglyphsCJK, arXiv:2305.14672 (look-alikes from rendered characters).
    """
    glyphs, counts = _mean_glyphs(view, device or torch.device("cpu"))
    drawn = (counts > 0).nonzero().squeeze(1)
    found = min(k, len(drawn) - 1)
    if found < 1:
        return no_neighbours(view.num_classes, k)
    blurred = _blurred(glyphs[drawn]).flatten(1)
    indices, similarity = nearest(functional.normalize(blurred - blurred.mean(dim=0), dim=1), found)
    table, known = no_neighbours(view.num_classes, k), drawn.cpu().numpy()
    table.indices[known, :found] = drawn[indices].cpu().numpy()
    table.similarity[known, :found] = similarity.cpu().numpy()
    return table


def no_neighbours(num_classes: int, k: int) -> Neighbours:
    """A table without a neighbour."""
    return Neighbours(np.full((num_classes, k), -1, np.int64), np.zeros((num_classes, k), np.float32))


def neighbours_of_pairs(
    first: NDArray[np.int64], second: NDArray[np.int64], similarity: NDArray[np.float64], num_classes: int, k: int
) -> Neighbours:
    """Return the k most similar of the classes `second` that are paired with each class `first`.

    Ties go to the lower class. Of a pair that comes twice the greater similarity counts; a class paired with itself does not.
    """
    order = np.lexsort((second, -similarity, first))
    first, second, similarity = first[order], second[order], similarity[order]
    _, once = np.unique(first * num_classes + second, return_index=True)  # the most similar of each pair comes first
    kept = np.sort(once)
    kept = kept[first[kept] != second[kept]]
    first, second, similarity = first[kept], second[kept], similarity[kept]
    rank = np.arange(len(first)) - np.searchsorted(first, first)
    table, near = no_neighbours(num_classes, k), rank < k
    table.indices[first[near], rank[near]] = second[near]
    table.similarity[first[near], rank[near]] = similarity[near]
    return table


def random_neighbours(neighbours: Neighbours, seed: int) -> Neighbours:
    """Put classes drawn by chance in the place of the neighbours: a placebo of as many, with the same similarities."""
    num_classes, k = neighbours.indices.shape
    rng = np.random.default_rng(seed)
    drawn = np.full((num_classes, k), -1, np.int64)
    for class_id, row in enumerate(neighbours.indices):
        count = int((row >= 0).sum())
        chosen = rng.choice(num_classes - 1, size=count, replace=False, shuffle=False) if count else row[:0]
        drawn[class_id, :count] = chosen + (chosen >= class_id)  # every class but its own
    return Neighbours(drawn, neighbours.similarity)


def _mean_glyphs(view: CorpusView, device: torch.device) -> tuple[Tensor, Tensor]:
    """(K, side, side) mean rendered training image of each class, and (K,) how many there were."""
    train = view.indices("train")
    rendered = train[view.rows["source"][train] == Source.RENDERED]
    side = min(_SIDE, view.images.shape[1])
    total = torch.zeros(view.num_classes, side * side, device=device)
    for start in range(0, len(rendered), _CHUNK):
        beat()
        chosen = rendered[start : start + _CHUNK]
        images = torch.from_numpy(view.images[chosen]).to(device).float()
        small = functional.adaptive_avg_pool2d(images[:, None], side)
        total.index_add_(0, torch.from_numpy(view.class_ids[chosen]).to(device), small.flatten(1))
    counts = torch.from_numpy(np.bincount(view.class_ids[rendered], minlength=view.num_classes)).to(device)
    return (total / counts.clamp(min=1)[:, None]).reshape(-1, side, side), counts


def _blurred(images: Tensor) -> Tensor:
    """(M, S, S) images under a Gaussian."""
    reach = round(3 * _BLUR)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / _BLUR) ** 2)
    kernel /= kernel.sum()
    upright = functional.conv2d(images[:, None], kernel.reshape(1, 1, -1, 1), padding=(reach, 0))
    return functional.conv2d(upright, kernel.reshape(1, 1, 1, -1), padding=(0, reach)).squeeze(1)
