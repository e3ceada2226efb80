"""Distort a batch: each image by its source's policy, reproducibly whatever the batching."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.augment.policy import POLICIES
from ocr_sweep.errors import DataError
from ocr_sweep.store import Source


def augment_batch(
    images: NDArray[np.uint8],
    sources: NDArray[np.uint8],
    strengths: Mapping[Source, float],
    *,
    seed: int,
    epoch: int,
    positions: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Distort each image by the policy of its source; at strength 0 it stays as it is, to the bit.

    Args:
        images: (B, S, S), 0 is paper, 255 is ink.
        sources: (B,) a `Source` per image.
        strengths: 0 to 1 for every source that occurs.
        seed: below 2**32.
        epoch: below 2**32.
        positions: (B,) places in the epoch's sequence. Each (seed, epoch, position) has chance of its own, so the
            result does not depend on how the sequence is cut into batches.

    Returns:
        (B, S, S), new memory.

    Raises:
        DataError: a source has no strength, its strength is not within 0 to 1, or it has no policy.
    """
    distorting = _distorting(sources, strengths)
    result = np.array(images)
    for i, source in enumerate(sources.tolist()):
        if source in distorting:
            rng = np.random.Generator(np.random.Philox(key=_key(seed, epoch, int(positions[i]))))
            result[i] = POLICIES[source].apply(images[i], distorting[source], rng)
    return result


def _distorting(sources: NDArray[np.uint8], strengths: Mapping[Source, float]) -> dict[Source, float]:
    """The sources of the batch that have a strength above 0."""
    present = [Source(source) for source in np.unique(sources).tolist()]
    for source in present:
        if source not in strengths:
            raise DataError(f"strengths must name every source of the batch, but {source.name} is missing; give it 0 to keep it")
        if not 0.0 <= strengths[source] <= 1.0:
            raise DataError(f"0 <= strength <= 1 must hold, but got {strengths[source]} for {source.name}")
        if strengths[source] > 0.0 and source not in POLICIES:
            raise DataError(f"{source.name} images have no policy, but got strength {strengths[source]}; give it 0 to keep them")
    return {source: strengths[source] for source in present if strengths[source] > 0.0}


def _key(seed: int, epoch: int, position: int) -> NDArray[np.uint64]:
    """Philox's 128-bit key; different (seed, epoch, position) never share one."""
    return np.array([(seed << 32) | epoch, position], dtype=np.uint64)
