from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ocr_sweep.errors import IntegrityError, StoreError
from ocr_sweep.store import CorpusView, Source, class_group, resized


@pytest.fixture
def copied(tiny_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_store, tmp_path / "copy"))


def test_named_sets_and_splits(tiny_corpus: CorpusView) -> None:
    view = tiny_corpus
    assert view.set_names == ("train", "val/book", "val/simulated", "test/book")
    assert view.named_sets("val") == ("val/book", "val/simulated") and view.named_sets("train") == ("train",)
    assert [len(view.indices(name)) for name in ("train", "val", "val/book", "val/simulated", "test")] == [84, 48, 32, 16, 32]
    assert sorted(np.concatenate([view.indices(s) for s in ("train", "val", "test")]).tolist()) == list(range(len(view.images)))
    assert view.simulated
    assert view.indices("val/boo").size == 0 and view.indices("va").size == 0  # a name is not a prefix


def test_a_view_cannot_be_written_to(tiny_corpus: CorpusView) -> None:
    with pytest.raises(ValueError, match="read-only"):
        tiny_corpus.images[0, 0, 0] = 1


def test_real_counts_are_scanned_training_images_only(tiny_corpus: CorpusView) -> None:
    assert tiny_corpus.real_counts.tolist() == [6] * 6 + [0, 0]


def test_the_picture_of_a_class_is_its_first_rendered_training_image(tiny_corpus: CorpusView) -> None:
    rows = tiny_corpus.rows[tiny_corpus.glyph_indices]
    assert rows["class_id"].tolist() == list(range(8))
    assert set(rows["source"].tolist()) == {Source.RENDERED} and set(rows["set_id"].tolist()) == {0}
    assert tiny_corpus.glyph_indices.tolist() == [6 * k for k in range(8)]


def test_a_rendered_picture_comes_before_an_earlier_scanned_one_and_a_class_without_images_has_none(
    tiny_corpus: CorpusView,
) -> None:
    rows = np.array(tiny_corpus.rows)
    rows["source"][:2] = Source.SCANNED
    rows["set_id"][rows["class_id"] == 7] = 3
    assert replace(tiny_corpus, rows=rows).glyph_indices.tolist() == [2, 6, 12, 18, 24, 30, 36, -1]


def test_class_groups_at_their_borders() -> None:
    counts = {0: "unseen", 1: "few", 19: "few", 20: "medium", 100: "medium", 101: "many"}
    assert {n: class_group(n) for n in counts} == counts


def test_verify_finds_one_flipped_bit(copied: Path) -> None:
    CorpusView.open(copied).verify()
    content = bytearray((copied / "images.npy").read_bytes())
    content[-1] ^= 1
    (copied / "images.npy").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"images\.npy must have sha256 .* remove .* and build it again"):
        CorpusView.open(copied).verify()


def test_a_file_that_vanished_under_an_open_view_is_found(copied: Path) -> None:
    view = CorpusView.open(copied)
    (copied / "index.parquet").unlink()
    with pytest.raises(IntegrityError, match=r"index\.parquet must have sha256 .*, but has no file"):
        view.verify()


def test_without_a_manifest_there_is_no_corpus(copied: Path) -> None:
    (copied / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"no finished corpus at .*ocr-sweep corpus build"):
        CorpusView.open(copied)


@pytest.mark.parametrize("name", ["images.npy", "index.parquet", "manifest.json"])
@pytest.mark.parametrize("keep", [0, 10, 150])
def test_a_torn_file_is_an_integrity_error(copied: Path, name: str, keep: int) -> None:
    (copied / name).write_bytes((copied / name).read_bytes()[:keep])
    with pytest.raises(IntegrityError, match=r"is damaged: .*; remove it and build it again"):
        CorpusView.open(copied)


def test_resized_images(tiny_corpus: CorpusView) -> None:
    images = np.asarray(tiny_corpus.images[:3])
    np.testing.assert_array_equal(resized(images, 16), images)
    np.testing.assert_array_equal(resized(images, 8)[1], cv2.resize(images[1], (8, 8), interpolation=cv2.INTER_AREA))
    np.testing.assert_array_equal(resized(images, 8)[0], images[0].reshape(8, 2, 8, 2).mean(axis=(1, 3)).round())
    assert resized(images, 32).shape == (3, 32, 32) and resized(images, 32).dtype == np.uint8
