"""An exported file, checked before anything is run: whole, self-contained, and in agreement with itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr_sweep.delivery.anatomy import Anatomy, dissect
from ocr_sweep.delivery.operators import OPERATORS, OPSETS
from ocr_sweep.errors import IntegrityError, NotFoundError

PREFIX = "ocr_sweep."
FORMAT = 2
"""Version of the contract between a file and its readers; files of version 1 take prepared squares and carry less."""

IMAGES = "images"  # (batch, height, width, channels) uint8: gray, gray and alpha, RGB, or RGB and alpha; of either polarity
PREPARED = "prepared"  # () bool, false when left out: the images are squares of ink already, with one channel
LOGITS = "logits"  # (batch, K) float32
INK = "ink"  # (batch, S, S) uint8: what the network read; 0 is paper, 255 is full ink
DIGEST = f"{PREFIX}digest"
NO_DIGEST = "0" * 64

_MOST_BYTES = 2**31 - 1  # of a protocol buffer


@dataclass(frozen=True)
class ModelFile:
    """The bytes of an exported file and what its metadata say."""

    path: Path
    content: bytes
    metadata: Mapping[str, Any]  # by key, without the prefix
    sha256: str

    @classmethod
    def read(cls, path: Path, sha256: str | None = None) -> ModelFile:
        """Read a file of the present version and check all that can be checked without running it.

        Args:
            sha256: what its bytes must have; None: only its own digest is compared.

        Raises:
            NotFoundError: there is no such file.
            IntegrityError: it is damaged, was swapped, is not self-contained, or was not exported by ocr_sweep.
        """
        file = cls.read_any(path, sha256)
        if file.former:
            raise IntegrityError(
                f"{path} must be of format {FORMAT}, but is of a former one: it was exported by an earlier version of ocr_sweep "
                "and does not prepare pictures itself; train it again (`ocr-sweep runs reproduce RUN`)"
            )
        return file

    @classmethod
    def read_any(cls, path: Path, sha256: str | None = None) -> ModelFile:
        """`read` that takes files of former versions, too, which have no digest and less to check."""
        content = read_content(path)
        came = hashlib.sha256(content).hexdigest()
        if sha256 is not None and came != sha256:
            raise IntegrityError(
                f"{path} must have sha256 {sha256}, as its record says, but has {came}: it was changed or swapped"
            )
        anatomy = _dissected(path, content)
        file = cls(path, content, read_metadata(path, anatomy), came)
        check_contained(path, anatomy)
        if not file.former:
            check_digest(path, content, anatomy)
            check_agreement(path, anatomy, file.metadata)
        return file

    @property
    def former(self) -> bool:
        """Whether the file was exported by an earlier version and takes prepared squares alone."""
        return self.metadata.get("format") != FORMAT

    @property
    def charset(self) -> list[str]:
        """The character of each class."""
        return list(self.metadata["charset"])

    @property
    def image_size(self) -> int:
        """S, side in pixels of what the network sees."""
        return int(self.metadata["preprocessing"]["image_size"])

    @property
    def stored_size(self) -> int:
        """Side in pixels of the corpus's squares, from which the network's are resized."""
        return int(self.metadata["preprocessing"]["stored_size"])


def read_content(path: Path) -> bytes:
    """Read a file's bytes.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is too large for an ONNX file.
    """
    if not path.is_file():
        raise NotFoundError(f"no such ONNX file: {path}")
    if path.stat().st_size > _MOST_BYTES:
        raise IntegrityError(f"{path} must have less than 2 GiB, as every ONNX file does, but has {path.stat().st_size} bytes")
    return path.read_bytes()


def _dissected(path: Path, content: bytes) -> Anatomy:
    try:
        return dissect(content)
    except ValueError as error:  # of text that is no UTF-8, too
        raise IntegrityError(f"{path} cannot be read as an ONNX file: {error}") from error


def read_metadata(path: Path, anatomy: Anatomy | None = None) -> dict[str, Any]:
    """Return what an ONNX file says of itself, in this version or a former one: at least `charset` and `preprocessing`.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is no ONNX file of ours.
    """
    anatomy = anatomy or _dissected(path, read_content(path))
    try:
        found = {key.removeprefix(PREFIX): json.loads(text) for key, text in anatomy.metadata.items() if _is_data(key)}
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} cannot be read as an ONNX file of ocr_sweep: its metadata are no JSON: {error}") from error
    missing = {"charset", "preprocessing"} - set(found)
    if missing:
        raise IntegrityError(f"{path} must hold {', '.join(sorted(missing))} in its metadata; it was not exported by ocr_sweep")
    return found


def _is_data(key: str) -> bool:
    return key.startswith(PREFIX) and key != DIGEST


def digest_of(content: bytes, place: tuple[int, int]) -> str:
    """The hash of a file's bytes with its digest, which stands at `place`, set to zeros."""
    start, end = place
    hashed = hashlib.sha256(memoryview(content)[:start])
    hashed.update(NO_DIGEST.encode())
    hashed.update(memoryview(content)[end:])
    return hashed.hexdigest()


def check_digest(path: Path, content: bytes, anatomy: Anatomy) -> None:
    """Compare a file's bytes with the digest that it carries.

    Raises:
        IntegrityError: they differ.
    """
    recorded = anatomy.metadata.get(DIGEST, "")
    came = digest_of(content, anatomy.places[DIGEST]) if len(recorded) == 64 else "none"
    if came != recorded:
        raise IntegrityError(
            f"{path} must have the digest {recorded or 'that it lacks'}, but has {came}: it was changed or damaged"
        )


def check_contained(path: Path, anatomy: Anatomy) -> None:
    """Refuse what reaches outside the file or outside ONNX's own arithmetic.

    Raises:
        IntegrityError: with what is not allowed.
    """
    if anatomy.external:
        raise IntegrityError(f"{path} must hold all its tensors, but some lie in another file (external data)")
    foreign = sorted({domain for domain in anatomy.opsets if domain not in ("", "ai.onnx")} | anatomy.foreign)
    if foreign:
        raise IntegrityError(f"{path} must use ONNX's own operators alone, but asks for {', '.join(foreign)}")
    unknown = sorted(anatomy.operators - OPERATORS)
    if unknown:
        raise IntegrityError(f"{path} must use allowed operators alone, but uses {', '.join(unknown[:5])}")
    version = anatomy.opsets.get("", anatomy.opsets.get("ai.onnx", 0))
    if version not in OPSETS:
        raise IntegrityError(
            f"{path} must use version {OPSETS[0]} to {OPSETS[-1]} of ONNX's operators, but uses version {version}"
        )


def check_agreement(path: Path, anatomy: Anatomy, metadata: Mapping[str, Any]) -> None:
    """Refuse metadata that contradict themselves or the graph.

    Raises:
        IntegrityError: with the contradiction.
    """
    for what, came, expected in (("inputs", anatomy.inputs, [IMAGES, PREPARED]), ("outputs", anatomy.outputs, [LOGITS, INK])):
        if came != expected:
            raise IntegrityError(f"{path} must have the {what} {', '.join(expected)}, but has {', '.join(came) or 'none'}")
    charset = metadata["charset"]
    if not (isinstance(charset, list) and charset and all(isinstance(char, str) for char in charset)):
        raise IntegrityError(f"{path} must hold a list of characters as its charset")
    if metadata.get("charset_sha256") != charset_sha256(charset):
        raise IntegrityError(
            f"the charset of {path} must have the recorded hash, but has another: its order or content was changed"
        )
    if metadata.get("labels") != [code_points(char) for char in charset]:
        raise IntegrityError(f"the label map of {path} must name the charset's characters in their order, but names others")
    sides = metadata["preprocessing"] if isinstance(metadata["preprocessing"], dict) else {}
    if not all(isinstance(sides.get(name), int) for name in ("image_size", "stored_size")):
        raise IntegrityError(f"{path} must say the sides of the squares that it makes and that its network reads")


def charset_sha256(charset: list[str]) -> str:
    """The hash of a charset in its order."""
    return hashlib.sha256("\n".join(charset).encode()).hexdigest()


def code_points(char: str) -> str:
    """A character by its numbers: U+4E00."""
    return " ".join(f"U+{ord(part):04X}" for part in char)
