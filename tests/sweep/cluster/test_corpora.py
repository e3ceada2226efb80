"""A corpus arrives at a node whole, once, and is believed on no one's word."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ocr_sweep.errors import IntegrityError
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.cluster import corpora
from ocr_sweep.sweep.cluster.corpora import CorpusName, find, pieces, receive
from ocr_sweep.sweep.cluster.scratch import Scratch


@pytest.fixture
def elsewhere(tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CorpusName:
    """The tiny corpus of a driver whose disk this node does not see."""
    monkeypatch.setattr(corpora, "_PIECE", 1000)
    return CorpusName(tmp_path / "not here", CorpusName.of(tiny_store).manifest)


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    found = Scratch(tmp_path / "scratch")
    found.made(found.corpora)
    return found


@pytest.fixture
def take(elsewhere: CorpusName, scratch: Scratch, tiny_store: Path) -> Callable[[], Path]:
    """Send the corpus to the node."""
    sent = list(pieces(CorpusName.of(tiny_store)))
    assert len(sent) > 10, "it goes in pieces"
    return lambda: receive(elsewhere, sent, lambda piece: piece, scratch)


def test_a_node_that_sees_the_drivers_store_uses_it(tiny_store: Path, scratch: Scratch) -> None:
    assert find(CorpusName.of(tiny_store), scratch) == tiny_store


def test_a_corpus_that_was_sent_is_the_same_and_is_found_the_next_time(
    elsewhere: CorpusName, scratch: Scratch, tiny_store: Path, take: Callable[[], Path]
) -> None:
    assert find(elsewhere, scratch) is None
    path = take()
    assert find(elsewhere, scratch) == path == scratch.corpora / elsewhere.fingerprint
    view, was = CorpusView.open(path), CorpusView.open(tiny_store)
    view.verify()
    assert (view.images == was.images).all() and view.names == was.names and view.manifest == was.manifest
    written = (path / "images.npy").stat().st_mtime_ns
    assert take() == path and (path / "images.npy").stat().st_mtime_ns == written, "it is written once"


def test_a_damaged_copy_is_not_used_but_sent_again(elsewhere: CorpusName, scratch: Scratch, take: Callable[[], Path]) -> None:
    images = take() / "images.npy"
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    assert find(elsewhere, scratch) is None
    CorpusView.open(take()).verify()


def test_what_arrives_damaged_leaves_nothing(elsewhere: CorpusName, scratch: Scratch, tiny_store: Path) -> None:
    sent = list(pieces(CorpusName.of(tiny_store)))[:-1]
    with pytest.raises(IntegrityError, match="must have sha256"):
        receive(elsewhere, sent, lambda piece: piece, scratch)
    assert not [path for path in scratch.corpora.iterdir() if path.is_dir()]


def test_a_drivers_store_with_other_bytes_is_refused(tiny_store: Path, tmp_path: Path, scratch: Scratch) -> None:
    shutil.copytree(tiny_store, tmp_path / "damaged")
    with (tmp_path / "damaged" / "images.npy").open("ab") as file:
        file.write(b"!")
    with pytest.raises(IntegrityError, match=r"images\.npy"):
        find(CorpusName.of(tmp_path / "damaged"), scratch)
