"""The most similar rows of a matrix, without the table of all pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from ocr_sweep.pulse import beat

_ELEMENTS = 2**24  # of a piece of the table; 64 MiB


@torch.no_grad()
def nearest(vectors: Tensor, k: int, *, sizes: Tensor | None = None, rows: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the k other rows with the greatest inner product, most similar first, and that product: (M, k) each.

    Args:
        vectors: (M, F), on the device that does the work.
        k: at most M - 1.
        sizes: (M,) the product of two rows is divided by the greater of their sizes.
        rows: of the table that are looked at at a time; by default as many as fit into 64 MiB.
    """
    num_rows = len(vectors)
    assert 0 < k < num_rows, f"k must be at least 1 and below the {num_rows} rows, but is {k}"
    rows = rows or max(1, min(1024, _ELEMENTS // num_rows))
    indices, values = [], []
    for first in range(0, num_rows, rows):
        beat()
        last = min(first + rows, num_rows)
        table = vectors[first:last] @ vectors.T  # (rows, M)
        if sizes is not None:
            table /= torch.maximum(sizes[first:last, None], sizes)
        table[torch.arange(last - first), torch.arange(first, last)] = -torch.inf  # nobody is its own neighbour
        best = table.topk(k, dim=1)
        indices.append(best.indices)
        values.append(best.values)
    return torch.cat(indices), torch.cat(values)
