"""Distort a batch image by image: each by its source's policy, reproducibly whatever the batching."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.augment.build import Treatment
from ocr_sweep.augment.chance import Stream
from ocr_sweep.augment.geometry import warp_by_core, warp_cores
from ocr_sweep.augment.policy import Drawn
from ocr_sweep.errors import DataError
from ocr_sweep.store import Source


def augment_batch(
    images: NDArray[np.uint8],
    sources: NDArray[np.uint8],
    treatments: Mapping[Source, Treatment],
    *,
    seed: int,
    epoch: int,
    positions: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Distort each image by the policy of its source; at strength 0 it stays as it is, to the bit.

    Args:
        images: (B, S, S), 0 is paper, 255 is ink.
        sources: (B,) a `Source` per image.
        treatments: one for every source that occurs.
        seed: below 2**32.
        epoch: below 2**32.
        positions: (B,) places in the epoch's sequence. Each (seed, epoch, position) has chance of its own, so the
            result does not depend on how the sequence is cut into batches.

    Returns:
        (B, S, S), new memory.

    Raises:
        DataError: a source has no treatment.
    """
    result = np.array(images)
    stream = Stream(seed, epoch, positions)
    for places, drawn in draw_batch(sources, treatments, stream, images.shape[1]):
        apply_drawn(result, places, drawn)
    return result


def draw_batch(
    sources: NDArray[np.uint8], treatments: Mapping[Source, Treatment], stream: Stream, size: int
) -> Iterator[tuple[NDArray[np.int64], Drawn]]:
    """Draw what happens to the images of each source: their places in the batch, and the effects on them.

    Raises:
        DataError: a source has no treatment.
    """
    for number in np.unique(sources).tolist():
        source = Source(number)
        if source not in treatments:
            raise DataError(f"every source of the batch must have a treatment, but {source.name} has none; leave its images out")
        how = treatments[source]
        if how.strength > 0.0:
            places = np.flatnonzero(sources == number)
            yield places, how.policy.draw(how.strength, size, stream, places)


def apply_drawn(images: NDArray[np.uint8], places: NDArray[np.int64], drawn: Drawn) -> None:
    """Distort, in place, the images (B, S, S) at some places."""
    warps = drawn.warps
    cores = warp_cores(warps.matrices, warps.bends)
    for i in np.flatnonzero(warps.moved).tolist():
        images[places[i]] = warp_by_core(images[places[i]], warps.matrices[i], cores[i])
    for happening in drawn.tone:
        apply = happening.op.apply
        for place, entry in zip(places[happening.places].tolist(), happening.parameters, strict=True):
            images[place] = apply(images[place], entry)
