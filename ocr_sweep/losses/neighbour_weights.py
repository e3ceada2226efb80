"""From similarities to the weights of neighbours: as soft as they are asked to be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.losses.neighbours import Neighbours

_TEMPERATURES = (1e-6, 1e6)
_HALVINGS = 60
_LEAST = 1e-300  # so that nothing divided by nothing is nothing


def neighbour_weights(neighbours: Neighbours, perplexity: float | None) -> NDArray[np.float64]:
    """(K, k) weights of each class's neighbours, which sum to 1, or to 0 where there are none.

    With a perplexity they are softmax(similarity / T), with the T of each class that gives it; all weigh the same where there
    are no more neighbours than that. Without one they are in proportion to the similarity, and negative ones count as 0.

    References:
        van der Maaten & Hinton, Visualizing data using t-SNE, JMLR 2008 (the temperature that gives a perplexity).
    """
    given = neighbours.indices >= 0
    similarity = neighbours.similarity.astype(np.float64)
    if perplexity is None:
        weights = np.where(given, similarity.clip(min=0), 0.0)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True).clip(min=_LEAST))
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    low, high = (np.full((len(given), 1), np.log(end)) for end in _TEMPERATURES)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_soft = _perplexity(_softmax(similarity, given, np.exp(middle))) > perplexity
        low, high = np.where(too_soft, low, middle), np.where(too_soft, middle, high)
    return _softmax(similarity, given, np.exp(high))


def _softmax(similarity: NDArray[np.float64], given: NDArray[np.bool_], temperature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over the neighbours that are there; the greatest similarity of a row stands first."""
    weights = np.where(given, np.exp((similarity - similarity[:, :1]).clip(max=0) / temperature), 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True).clip(min=_LEAST))


def _perplexity(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 1) exp of the entropy of each row."""
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(weights > 0, weights * np.log(weights), 0.0).sum(axis=1, keepdims=True)
    return np.asarray(np.exp(entropy))
