"""A corpus on its way to a node: taken where the node has it, else sent once in pieces, and its bytes compared either way."""

from __future__ import annotations

import mmap
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.disk import file_lock, read_json, store_errors, write_json
from ocr_sweep.errors import IntegrityError
from ocr_sweep.store import verify_files
from ocr_sweep.sweep.cluster.scratch import Scratch

_PIECE = 64 * 2**20  # bytes that are in memory at a time

Fetch = Callable[[Any], NDArray[np.uint8]]


@dataclass(frozen=True)
class CorpusName:
    """What a corpus is, for those who may not have it."""

    path: Path  # on the driver
    manifest: dict[str, Any]

    @classmethod
    def of(cls, path: Path) -> CorpusName:
        """Read it from a store."""
        return cls(path, read_json(path / "manifest.json"))

    @property
    def fingerprint(self) -> str:
        """The name of the corpus."""
        return str(self.manifest["fingerprint"])

    @property
    def hashes(self) -> dict[str, str]:
        """The sha256 of each file beside the manifest."""
        return dict(self.manifest["sha256"])


def pieces(corpus: CorpusName) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Cut the files of a corpus into (name, bytes), in order."""
    for name in corpus.hashes:
        with (corpus.path / name).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for start in range(0, len(content), _PIECE):
                yield name, np.frombuffer(content[start : start + _PIECE], np.uint8)


def find(corpus: CorpusName, scratch: Scratch) -> Path | None:
    """The corpus on this node: in the driver's own store where the node sees it, or whole as it was sent before.

    Raises:
        IntegrityError: the driver's store has other bytes than its manifest says.
    """
    if _is(corpus, corpus.path):
        _verify(corpus.path, corpus)
        return corpus.path
    copy = scratch.corpora / corpus.fingerprint
    if not _is(corpus, copy):
        return None
    try:
        _verify(copy, corpus)
    except IntegrityError:
        return None
    (copy / "manifest.json").touch()  # when it was last used
    return copy


def receive(corpus: CorpusName, sent: Sequence[tuple[str, Any]], fetch: Fetch, scratch: Scratch) -> Path:
    """Write a corpus that was sent, unless another process of this node has done so meanwhile.

    Args:
        sent: names of files, and what `fetch` makes bytes of.

    Raises:
        IntegrityError: what was written is not what was sent.
        StoreError: the disk refuses.
    """
    final = scratch.corpora / corpus.fingerprint
    with file_lock(scratch.corpora / f".{final.name}.lock", wait=True), store_errors(f"writing corpus {final}"):
        found = find(corpus, scratch)
        if found is not None:
            return found
        scratch.forget()
        for left in (final, *scratch.corpora.glob(f".{final.name}.*.tmp")):
            shutil.rmtree(left, ignore_errors=True)
        aside = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
        aside.mkdir()
        try:
            _write(aside, sent, fetch)
            _verify(aside, corpus)
            write_json(aside / "manifest.json", corpus.manifest)
            aside.rename(final)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return final


def _is(corpus: CorpusName, path: Path) -> bool:
    manifest = path / "manifest.json"
    return manifest.is_file() and bool(read_json(manifest) == corpus.manifest)


def _write(folder: Path, sent: Sequence[tuple[str, Any]], fetch: Fetch) -> None:
    for name, piece in sent:
        with (folder / name).open("ab") as file:
            file.write(fetch(piece).data)


def _verify(path: Path, corpus: CorpusName) -> None:
    verify_files(path, corpus.hashes, f"remove {path}")
