"""The corpus store as it lies on disk, and the read-only view through which everybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.disk import read_json
from ocr_sweep.errors import IntegrityError, StoreError

Split = Literal["train", "val", "test"]


class Source(IntEnum):
    """Where an image comes from."""

    RENDERED = 0
    SCANNED = 1
    SIMULATED = 2


ROW_DTYPE = np.dtype([("class_id", "<i4"), ("source", "u1"), ("set_id", "<i2"), ("group", "<i8")])
"""One row per image: its class, source, named set, and the group that may not be torn over splits."""


@dataclass(frozen=True)
class CorpusView:
    """A built corpus, memory-mapped and read-only.

    N images of S x S pixels, uint8: 0 is paper, 255 is full ink. K classes in the order of `chars`.
    """

    path: Path
    manifest: dict[str, Any]
    images: NDArray[np.uint8]  # (N, S, S)
    rows: NDArray[np.void]  # (N,) of ROW_DTYPE

    @classmethod
    def open(cls, path: Path) -> CorpusView:
        """Map a finished store.

        Raises:
            StoreError: there is no finished store at `path`.
            IntegrityError: there is one, and it cannot be read.
        """
        if not (path / "manifest.json").is_file():
            raise StoreError(f"no finished corpus at {path}; run `ocr-sweep corpus build` to make it")
        try:
            images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
            rows = np.load(path / "rows.npy", mmap_mode="r", allow_pickle=False)
            return cls(path, read_json(path / "manifest.json"), images, rows)
        except (FileNotFoundError, EOFError, ValueError) as error:
            raise IntegrityError(f"the corpus at {path} is damaged: {error}; remove it and build it again") from error

    def verify(self) -> None:
        """Compare the bytes on disk with the manifest.

        Raises:
            IntegrityError: a file differs from its recorded hash.
        """
        for name, expected in self.manifest["sha256"].items():
            came = file_sha256(self.path / name) if (self.path / name).is_file() else "no file"
            if came != expected:
                raise IntegrityError(
                    f"corpus file {self.path / name} must have sha256 {expected}, but has {came}; "
                    f"remove {self.path} and build it again"
                )

    @property
    def fingerprint(self) -> str:
        """The name of the corpus: the hash of everything that it was made from."""
        return str(self.manifest["fingerprint"])

    @property
    def chars(self) -> str:
        """The charset, in class order."""
        return str(self.manifest["recipe"]["charset"]["chars"])

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.chars)

    @property
    def set_names(self) -> tuple[str, ...]:
        """Names by set_id: "train", then "val/<name>" and "test/<name>"."""
        return tuple(self.manifest["sets"])

    @property
    def simulated(self) -> bool:
        """Whether any number from val or test is measured on simulated scans."""
        return any("/simulated" in name for name in self.set_names)

    def named_sets(self, split: Split) -> tuple[str, ...]:
        """The named sets of a split, e.g. ("val/casia",)."""
        return tuple(name for name in self.set_names if name == split or name.startswith(f"{split}/"))

    def indices(self, name: str) -> NDArray[np.int64]:
        """Image numbers, ascending, of a named set or of a whole split."""
        ids = [i for i, known in enumerate(self.set_names) if known == name or known.startswith(f"{name}/")]
        return np.flatnonzero(np.isin(self.rows["set_id"], ids)).astype(np.int64)

    @cached_property
    def class_ids(self) -> NDArray[np.int64]:
        """(N,) class of each image."""
        return np.asarray(self.rows["class_id"], dtype=np.int64)

    @cached_property
    def real_counts(self) -> NDArray[np.int64]:
        """(K,) scanned training images per class, which decides the class groups."""
        train = self.rows[self.indices("train")]
        return np.bincount(train["class_id"][train["source"] == Source.SCANNED], minlength=self.num_classes).astype(np.int64)

    @cached_property
    def glyph_indices(self) -> NDArray[np.int64]:
        """(K,) one training image per class to show a reader what the class looks like; rendered where there is one."""
        train = self.indices("train")
        rows = self.rows[train]
        order = np.lexsort((train, rows["source"], rows["class_id"]))
        classes, first = np.unique(rows["class_id"][order], return_index=True)
        found = np.full(self.num_classes, -1, dtype=np.int64)
        found[classes] = train[order][first]
        return found


def class_group(real_count: int) -> str:
    """The group of a class by its number of REAL training images: unseen 0, few 1-19, medium 20-100, many >100."""
    if real_count == 0:
        return "unseen"
    if real_count < 20:
        return "few"
    return "medium" if real_count <= 100 else "many"


CLASS_GROUPS = ("unseen", "few", "medium", "many")


def resized(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(B, S, S) ink images as (B, size, size)."""
    if images.shape[1] == size:
        return np.ascontiguousarray(images)
    how = cv2.INTER_AREA if size < images.shape[1] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(image, (size, size), interpolation=how) for image in images]).astype(np.uint8, copy=False)
