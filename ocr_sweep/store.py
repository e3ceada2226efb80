"""The corpus store as it lies on disk, and the read-only view through which everybody sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.disk import read_json
from ocr_sweep.errors import DataError, IntegrityError, StoreError

Split = Literal["train", "val", "test"]


class Source(IntEnum):
    """Where an image comes from."""

    RENDERED = 0
    SCANNED = 1
    SIMULATED = 2
    GENERATED = 3


ROW_DTYPE = np.dtype(
    [
        ("class_id", "<i4"),
        ("source", "u1"),
        ("set_id", "<i2"),
        ("group", "<i8"),
        ("fold", "i1"),
        ("place", "<i4"),
        ("own_val", "<i2"),
    ]
)
"""One row per image: its class, source, named set, and the group that may not be torn over splits.

Scans of training also have their place in the order in which a cap takes them. Where training and validation take turns
they have a fold, and the set that they validate in when it is theirs; -1 elsewhere.
"""

INDEX = "index.parquet"
IMAGES = "images.npy"


def verify_files(store: Path, hashes: Mapping[str, str], remedy: str) -> None:
    """Compare the files of a corpus with what its manifest says of them.

    Raises:
        IntegrityError: one is missing or differs; the message ends with the remedy.
    """
    for name, expected in hashes.items():
        came = file_sha256(store / name) if (store / name).is_file() else "no file"
        if came != expected:
            raise IntegrityError(f"corpus file {store / name} must have sha256 {expected}, but has {came}; {remedy}")


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
    def open(cls, path: Path, fold: int = 0) -> CorpusView:
        """Map a finished store.

        Args:
            fold: the one that validates, where the recipe has folds.

        Raises:
            StoreError: there is no finished store at `path`.
            IntegrityError: there is one, and it cannot be read.
        """
        if not (path / "manifest.json").is_file():
            raise StoreError(f"no finished corpus at {path}; run `ocr-sweep corpus build` to make it")
        try:
            images = np.load(path / IMAGES, mmap_mode="r", allow_pickle=False)
            manifest = read_json(path / "manifest.json")
            rows = read_rows(path / INDEX, manifest["sets"])
        except (FileNotFoundError, EOFError, ValueError, KeyError) as error:
            raise IntegrityError(f"the corpus at {path} is damaged: {error}; remove it and build it again") from error
        if fold:
            rows = rows_of_fold(rows, fold, cap=manifest["recipe"]["scanned_per_class"], sets=manifest["sets"])
        rows.setflags(write=False)
        return cls(path, manifest, images, rows)

    def verify(self) -> None:
        """Compare the bytes on disk with the manifest.

        Raises:
            IntegrityError: a file differs from its recorded hash.
        """
        verify_files(self.path, self.manifest["sha256"], f"remove {self.path} and build it again")

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

    @cached_property
    def names(self) -> list[str]:
        """N names: of a scan "<source>/U+XXXX/<file>", the same on every machine; of a glyph its character and face."""
        return [str(name) for name in pq.read_table(self.path / INDEX, columns=["name"])["name"].to_pylist()]

    @property
    def set_names(self) -> tuple[str, ...]:
        """Names by set_id: "train", perhaps "overflow" (scans over the cap), then "val/<name>" and "test/<name>"."""
        return tuple(self.manifest["sets"])

    @property
    def simulated(self) -> bool:
        """Whether any number from val or test is measured on simulated scans."""
        return any("/simulated" in name for name in self.set_names)

    def named_sets(self, split: Split) -> tuple[str, ...]:
        """The named sets of a split, e.g. ("val/casia",)."""
        return tuple(self.set_names[i] for i in self.set_ids(split))

    def indices(self, name: str) -> NDArray[np.int64]:
        """Image numbers, ascending, of a named set or of a whole split."""
        return np.flatnonzero(np.isin(self.rows["set_id"], self.set_ids(name))).astype(np.int64)

    def set_ids(self, name: str) -> list[int]:
        """The set_id of a named set, or those of a whole split."""
        return [i for i, known in enumerate(self.set_names) if known == name or known.startswith(f"{name}/")]

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


def write_index(path: Path, rows: NDArray[np.void], names: Sequence[str], sets: Sequence[str], chars: str) -> None:
    """Write the rows as a Parquet table for people and programs: what is a number here has its word there, too.

    Args:
        names: (N,) the stable name of each image.
        sets: names by set_id.
    """
    words = {
        "char": [chars[i] for i in rows["class_id"].tolist()],
        "source": [Source(i).name.lower() for i in rows["source"].tolist()],
        "set": [sets[i] for i in rows["set_id"].tolist()],
        "own_val": [sets[i] if i >= 0 else None for i in rows["own_val"].tolist()],
    }
    columns = {"class_id": rows["class_id"], **{name: pa.array(column, pa.string()) for name, column in words.items()}}
    columns |= {name: rows[name] for name in ("group", "fold", "place")} | {"name": list(names)}
    pq.write_table(pa.table(columns), path)


def read_rows(path: Path, sets: Sequence[str]) -> NDArray[np.void]:
    """Read (N,) of ROW_DTYPE from what `write_index` wrote.

    Raises:
        ValueError, KeyError: the file is damaged.
        FileNotFoundError: there is none.
    """
    try:
        table = pq.read_table(path, columns=["class_id", "source", "set", "own_val", "group", "fold", "place"])
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(str(error)) from error  # how pyarrow speaks of torn bytes
    rows = np.empty(table.num_rows, ROW_DTYPE)
    for name in ("class_id", "group", "fold", "place"):
        rows[name] = table[name].to_numpy()
    numbers = {name: i for i, name in enumerate(sets)}
    rows["source"] = _numbers(table["source"], {source.name.lower(): int(source) for source in Source})
    rows["set_id"], rows["own_val"] = _numbers(table["set"], numbers), _numbers(table["own_val"], numbers)
    return rows


def _numbers(column: Any, known: Mapping[str, int]) -> NDArray[np.int64]:
    """(N,) the number of each word, -1 where there is none."""
    coded = column.combine_chunks().dictionary_encode()
    table = np.array([*(known[word] for word in coded.dictionary.to_pylist()), -1], dtype=np.int64)
    return np.asarray(table[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)])


def rows_of_fold(rows: NDArray[np.void], fold: int, *, cap: int, sets: Sequence[str]) -> NDArray[np.void]:
    """Let another fold validate: its scans go to their own validation sets, those of the others train up to the cap.

    Args:
        cap: at most so many scans of a class train; the rest overflows.
        sets: names by set_id.

    Raises:
        DataError: the corpus has no such fold.
    """
    known = int(rows["fold"].max(initial=-1)) + 1
    if not 0 <= fold < max(known, 1):
        raise DataError(f"`training.fold` must be below the {known} folds of the corpus, but got {fold}")
    changed = np.array(rows)
    validates = rows["fold"] == fold
    learns = (rows["place"] >= 0) & ~validates
    changed["set_id"][validates] = rows["own_val"][validates]
    over = np.zeros(len(rows), dtype=bool)
    over[learns] = ~first_of_each_class(rows["class_id"][learns], rows["place"][learns], cap)
    changed["set_id"][learns] = sets.index("train")
    if over.any():
        changed["set_id"][over] = sets.index("overflow")
    return changed


def first_of_each_class(class_ids: NDArray[Any], places: NDArray[Any], cap: int) -> NDArray[np.bool_]:
    """(N,) whether an image is among the first `cap` of its class, by place."""
    order = np.lexsort((places, class_ids))
    _, starts, counts = np.unique(class_ids[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(starts, counts)
    first = np.zeros(len(order), dtype=bool)
    first[order] = rank < cap
    return first


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
