"""The certificate of parity: whether the exported file says what the network said, on every image and however it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.errors import EvidenceError
from ocr_sweep.export.preparation.check import Preparation, check_preparation
from ocr_sweep.export.scorer import Scorer

TOLERANCE = 1e-4  # largest difference of a logit, relative to the largest logit
_BATCHES = (1, 2, 7)  # the whole set goes through in large batches besides
_PROBE = 32
_NOISE = 4
_SHOWN = 20  # images read as another character that a record names

Squares = NDArray[np.uint8]  # (N, S, S) ink of the network's size
Logits = NDArray[np.float32]  # (N, K)


@dataclass(frozen=True)
class Check:
    """One way in which the file was asked, and how far its answers were from PyTorch's."""

    images: str  # validation, blank or noise
    num_images: int
    batch_size: int
    optimised: bool  # whether onnxruntime might rewrite the graph
    difference: float  # relative to the largest logit


@dataclass(frozen=True)
class Flip:
    """An image whose first class differs although the network's margin exceeds the tolerance."""

    image: int  # its place in the set
    char: str  # what PyTorch reads
    came: str  # what the file reads


@dataclass(frozen=True)
class Parity:
    """A certificate: how far onnxruntime's logits are from PyTorch's on the same images."""

    num_images: int
    max_difference: float  # the largest of all checks
    flips: int
    batch_sizes: tuple[int, ...]
    checks: tuple[Check, ...] = ()
    flipped: tuple[Flip, ...] = ()  # the first of them
    preparation: Preparation | None = None  # None: only squares were tried

    @property
    def holds(self) -> bool:
        """Whether the two agree."""
        prepares = self.preparation is None or self.preparation.holds
        return self.flips == 0 and self.max_difference <= TOLERANCE and prepares

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a record."""
        return {**asdict(self), "tolerance": TOLERANCE, "holds": self.holds}


def certify(
    scorer: Scorer,
    network: Callable[[Squares], Logits],
    answered: Iterable[tuple[Squares, Logits]],
    probe: Squares,
    charset: Sequence[str],
) -> Parity:
    """Compare a file with its network on a whole set, a blank image, noise, and pictures that the file prepares itself.

    Small batches are tried, because exporters have failed by batch size, and so is the graph as it is written, because
    optimisers have failed by graph.

    Args:
        network: PyTorch's logits.
        answered: the set, some thousand squares at a time, with the file's logits in its own batches.
        probe: some squares from all over the set, for small batches and for pictures.
        charset: names the classes of images that are read otherwise.
    """
    probes = {"validation": probe[:_PROBE], "blank": _blank(scorer), "noise": _noise(scorer)}
    asked = [(name, squares, network(squares)) for name, squares in probes.items()]
    parity = _compared(scorer, ((network(squares), came) for squares, came in answered), asked, charset)
    return replace(parity, preparation=check_preparation(scorer, probe))


def require_parity(parity: Parity) -> None:
    """Refuse a file that disagrees.

    Raises:
        EvidenceError: with the numbers.
    """
    if not parity.holds:
        raise EvidenceError(
            f"the ONNX file must agree with PyTorch within {TOLERANCE:g} of the largest logit, but {disagreement(parity)}"
        )


def disagreement(parity: Parity) -> str:
    """What a certificate that does not hold says, in words."""
    named = ", ".join(f"{flip.char} as {flip.came}" for flip in parity.flipped[:5])
    words = f"differs by {parity.max_difference:.3g}, with {parity.flips} of {parity.num_images} images read as another character"
    prepared = parity.preparation
    if prepared is not None and not prepared.holds:
        words += (
            f", and prepares {prepared.pictures - prepared.agreeing} of {prepared.pictures} pictures otherwise than the corpus"
        )
    return f"{words} ({named})" if named else words


def _compared(
    scorer: Scorer,
    pairs: Iterable[tuple[Logits, Logits]],
    probes: Sequence[tuple[str, Squares, Logits]],
    charset: Sequence[str],
) -> Parity:
    tally = _Tally(charset)
    for reference, came in pairs:
        tally.add(reference, came)
    whole = Check("validation", tally.count, tally.count, True, tally.difference)
    small = [*_probed(scorer, True, probes, tally.scale), *_probed(scorer.unoptimised(), False, probes, tally.scale)]
    largest = max(check.difference for check in (whole, *small))
    flips = list(tally.flips())
    return Parity(
        tally.count, largest, len(flips), (*_BATCHES, tally.count), checks=(whole, *small), flipped=tuple(flips[:_SHOWN])
    )


def _probed(scorer: Scorer, optimised: bool, probes: Sequence[tuple[str, Squares, Logits]], scale: float) -> Iterator[Check]:
    for name, squares, reference in probes:
        for size in _BATCHES:
            difference = _difference(scorer.logits(squares, batch_size=size), reference, max(scale, _scale(reference)))
            yield Check(name, len(squares), size, optimised, difference)


class _Tally:
    """Adds up a set that comes in parts; the largest logit is known at its end."""

    def __init__(self, charset: Sequence[str]) -> None:
        self._charset = charset
        self._candidates: list[tuple[float, Flip]] = []  # with their margins
        self._largest = 0.0
        self.count = 0
        self.scale = 1e-12

    def add(self, reference: Logits, came: Logits) -> None:
        self._largest = max(self._largest, _difference(came, reference, 1.0))
        self.scale = max(self.scale, _scale(reference))
        self._candidates += self._differing(reference, came)
        self.count += len(reference)

    @property
    def difference(self) -> float:
        return self._largest / self.scale

    def flips(self) -> Iterator[Flip]:
        return (flip for margin, flip in self._candidates if margin > TOLERANCE * self.scale)

    def _differing(self, reference: Logits, came: Logits) -> Iterator[tuple[float, Flip]]:
        if not len(reference):
            return
        best = np.sort(reference, axis=1)[:, -2:]
        for row in np.flatnonzero(came.argmax(axis=1) != reference.argmax(axis=1)).tolist():
            names = [self._name(int(logits[row].argmax())) for logits in (reference, came)]
            yield float(best[row, -1] - best[row, 0]), Flip(self.count + row, *names)

    def _name(self, class_id: int) -> str:
        return self._charset[class_id] if class_id < len(self._charset) else str(class_id)


def _difference(came: Logits, reference: Logits, scale: float) -> float:
    if not len(reference):
        return 0.0
    if not (np.isfinite(came).all() and np.isfinite(reference).all()):
        return float("inf")
    return float(np.abs(came.astype(np.float64) - reference).max()) / scale


def _scale(reference: Logits) -> float:
    return float(np.abs(reference[np.isfinite(reference)]).max(initial=1e-12))


def _blank(scorer: Scorer) -> Squares:
    return np.zeros((1, scorer.image_size, scorer.image_size), np.uint8)


def _noise(scorer: Scorer) -> Squares:
    return np.random.default_rng(0).integers(0, 256, (_NOISE, scorer.image_size, scorer.image_size), np.uint8)
