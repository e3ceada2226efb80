"""Pictures of single characters in; characters with a confidence that can be believed, or "unknown", out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.delivery.model_file import ModelFile
from ocr_sweep.delivery.pictures import as_pixels, read_picture
from ocr_sweep.delivery.session import Network
from ocr_sweep.errors import IntegrityError

_BATCH = 64
_BATCH_BYTES = 16_000_000  # of pictures that are read at once
_TOP = 5


@dataclass(frozen=True)
class Reading:
    """What was read in one picture."""

    char: str | None  # None: unknown, because the confidence is below the threshold or there is no ink
    confidence: float  # of the most probable character, calibrated on validation
    top: tuple[tuple[str, float], ...]  # up to five characters with their confidence, most probable first; none without ink


class Recogniser:
    """An exported model at work.

    Attributes:
        charset: the character of each class.
        threshold: the confidence below which a picture counts as unknown; chosen on validation when the model was made.
        card: what the model is, in Markdown.
    """

    def __init__(self, file: ModelFile, *, threads: int = 1) -> None:
        described = {"temperature", "threshold", "card"} - set(file.metadata)
        if described:
            raise IntegrityError(f"{file.path} must hold {', '.join(sorted(described))} in its metadata: it is not finished")
        self.charset = file.charset
        self.threshold = _number(file, "threshold", file.metadata["threshold"].get("value"), above=0.0)
        self.card = str(file.metadata["card"])
        self.sha256 = file.sha256
        self._temperature = _number(file, "temperature", file.metadata["temperature"], above=1e-6)
        self._network = Network(file, threads=threads)

    @classmethod
    def open(cls, path: Path | str, *, sha256: str | None = None, threads: int = 1) -> Recogniser:
        """Check a file and load it.

        Args:
            sha256: what its bytes must have, where a registry has recorded it.
            threads: processor threads of one call; 0: as many as there are cores.

        Raises:
            NotFoundError: there is no such file.
            IntegrityError: it is damaged, was swapped, or is no file of this version of ocr_sweep.
        """
        return cls(ModelFile.read(Path(path), sha256), threads=threads)

    def read(self, images: Sequence[NDArray[np.uint8] | Path | str]) -> list[Reading]:
        """Read pictures of one character each, of any size and either polarity, in their order.

        Args:
            images: files (PNG, JPEG, WebP, BMP), or arrays of bytes: (H, W) gray, or (H, W, C) gray, gray and alpha, RGB, or
                RGB and alpha.

        Raises:
            DataError: a picture cannot be read, or is no such array.
        """
        pixels = [read_picture(Path(image)) if isinstance(image, str | Path) else as_pixels(image) for image in images]
        readings: dict[int, Reading] = {}
        for numbers in _batches(pixels):
            logits, ink = self._network.of_pictures(np.stack([pixels[number] for number in numbers]))
            readings |= zip(numbers, self._readings(logits, ink), strict=True)
        return [readings[number] for number in range(len(pixels))]

    def _readings(self, logits: NDArray[np.float32], ink: NDArray[np.uint8]) -> Iterator[Reading]:
        if not np.isfinite(logits).all():
            raise IntegrityError("the model must give finite logits, but gave others: its file is damaged")
        probability = calibrated(logits, self._temperature)
        order = np.argsort(-logits, axis=1, kind="stable")[:, :_TOP]
        for row, best, square in zip(probability, order, ink, strict=True):
            if not square.any():
                yield Reading(None, 0.0, ())
                continue
            top = tuple((self.charset[k], float(row[k])) for k in best)
            yield Reading(top[0][0] if top[0][1] >= self.threshold else None, top[0][1], top)


def calibrated(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return softmax(z / T) of (B, K) logits (Guo et al., arXiv:1706.04599)."""
    z = (logits.astype(np.float64) - logits.max(axis=1, keepdims=True)) / temperature
    exponent = np.exp(z)
    result: NDArray[np.float64] = exponent / exponent.sum(axis=1, keepdims=True)
    return result


def _batches(pixels: Sequence[NDArray[np.uint8]]) -> Iterator[list[int]]:
    """Numbers of pictures of one shape, some together."""
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, picture in enumerate(pixels):
        by_shape[picture.shape].append(number)
    for numbers in by_shape.values():
        size = max(1, min(_BATCH, _BATCH_BYTES // pixels[numbers[0]].size))
        yield from (numbers[first : first + size] for first in range(0, len(numbers), size))


def _number(file: ModelFile, name: str, value: object, above: float) -> float:
    if not isinstance(value, int | float) or not np.isfinite(value) or value < above:
        raise IntegrityError(f"the {name} of {file.path} must be a number of at least {above:g}, but is {value!r:.40}")
    return float(value)
