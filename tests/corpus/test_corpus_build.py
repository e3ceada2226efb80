"""The store: the same bytes however it is built, nothing half-made, and everything that was left out is said."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus import jobs, pieces, plan_corpus
from ocr_sweep.errors import DataError, NotFoundError, StoreError
from ocr_sweep.store import CorpusView, Source, rows_of_fold

Recipe = Callable[..., CorpusConfig]
Build = Callable[..., CorpusView]
Book = Callable[..., dict[str, Any]]


def contents(view: CorpusView) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in view.path.iterdir()}


def test_a_simulated_corpus_has_every_class_in_every_set(recipe: Recipe, build: Build) -> None:
    view = build(recipe())
    assert view.set_names == ("train", "val/simulated", "test/simulated")
    assert [len(view.indices(name)) for name in view.set_names] == [12, 12, 24]
    assert view.images.shape == (48, 32, 32) and view.images.dtype == np.uint8
    assert view.manifest["simulated_font_shared"] is True and view.simulated
    assert (view.images.reshape(48, -1).max(axis=1) > 128).all()
    view.verify()


def test_one_worker_and_three_give_the_same_bytes(
    recipe: Recipe, book: Book, build: Build, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = recipe(scanned=[book()])
    one = contents(build(wanted, scans, into="one"))
    monkeypatch.setattr(jobs, "SMALL", 0)
    monkeypatch.setattr(jobs, "_CHUNK", 4)
    assert contents(build(wanted, scans, workers=3, into="three")) == one


def test_building_again_gives_the_same_bytes_in_another_folder(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    first = build(recipe(scanned=[book()]), scans, into="one")
    moved = scans.rename(scans.with_name("elsewhere"))
    again = build(recipe(scanned=[book()]), moved, into="two")
    assert contents(first) == contents(again)
    assert str(scans) not in (again.path / "manifest.json").read_text()


def test_a_finished_corpus_is_not_built_again(recipe: Recipe, build: Build) -> None:
    before = (build(recipe()).path / "images.npy").stat().st_mtime_ns
    assert (build(recipe()).path / "images.npy").stat().st_mtime_ns == before


def test_a_changed_picture_changes_the_fingerprint_and_names_its_source(
    recipe: Recipe, book: Book, scans: Path, tmp_path: Path
) -> None:
    wanted = recipe(scanned=[book()])
    before = plan_corpus(wanted, data_root=scans, cache=tmp_path / "cache")
    (scans / "book" / "天" / "0.png").write_bytes((scans / "book" / "天" / "1.png").read_bytes())
    after = plan_corpus(wanted, data_root=scans, cache=tmp_path / "cache")
    assert before.fingerprint != after.fingerprint
    assert {name for name in before.inputs if before.inputs[name] != after.inputs[name]} == {"scans/book"}
    assert set(before.inputs) == {"scans/book", "font/ipaexg.ttf#0", "renderer/probe"}


def test_a_changed_size_rule_changes_the_fingerprint(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_corpus(recipe(), data_root=tmp_path, cache=tmp_path)
    assert before.fingerprint == plan_corpus(recipe(), data_root=tmp_path, cache=tmp_path).fingerprint
    monkeypatch.setattr("ocr_sweep.corpus.glyphs.MARGIN", 1 / 8)
    after = plan_corpus(recipe(), data_root=tmp_path, cache=tmp_path)
    assert before.inputs["renderer/probe"] != after.inputs["renderer/probe"] and before.fingerprint != after.fingerprint


KILLED_BUILD = """
import os, signal, sys
from functools import partial
from pathlib import Path
from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus import build_corpus, jobs, pieces
pieces.PIECE, jobs._CHUNK, jobs.SMALL = 8, 4, 0
recipe, tmp, workers, stop = CorpusConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
def progress(what, done, total):
    if stop.startswith(what) and done >= int(stop.split()[-1]):
        os.kill(os.getpid(), signal.SIGKILL)
make = partial(jobs.make_batches, workers=workers)
build_corpus(recipe, data_root=tmp / "data", corpora=tmp / "corpora", cache=tmp / "cache", make=make, progress=progress)
"""


def killed_build(recipe: CorpusConfig, folder: Path, workers: int, stop: str) -> int:
    command = [sys.executable, "-c", KILLED_BUILD, recipe.model_dump_json(), str(folder), str(workers), stop]
    return subprocess.run(command, check=False).returncode


def folders(corpora: Path) -> list[Path]:
    return [path for path in corpora.iterdir() if path.is_dir()]


def test_a_killed_build_leaves_nothing_under_its_name_and_goes_on_to_the_same_bytes(
    recipe: Recipe, book: Book, build: Build, scans: Path, tmp_path: Path
) -> None:
    wanted = recipe(scanned=[book()])
    undisturbed = contents(build(wanted, scans, into="undisturbed"))
    stops = [("reading scans 20", 1), ("writing images 12", 2), ("writing images 40", 1)]
    for stop, workers in stops:
        assert killed_build(wanted, tmp_path, workers, stop) == -signal.SIGKILL, stop
        assert [path.suffix for path in folders(tmp_path / "corpora")] == [".tmp"]
    assert killed_build(wanted, tmp_path, 1, "never") == 0
    (finished,) = folders(tmp_path / "corpora")
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == undisturbed


def test_finished_pieces_are_not_drawn_again_and_damaged_ones_are(
    recipe: Recipe, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = contents(build(recipe(), into="undisturbed"))
    assert killed_build(recipe(), tmp_path, 1, "writing images 44") == -signal.SIGKILL  # 40 of 48 images are finished
    drawn: list[int] = []
    make_batch = jobs.make_batch
    monkeypatch.setattr(jobs, "make_batch", lambda chunk, size: drawn.append(len(chunk)) or make_batch(chunk, size))
    monkeypatch.setattr(pieces, "PIECE", 8)
    (aside,) = folders(tmp_path / "corpora")
    with (aside / "images.npy").open("r+b") as file:  # of the last finished piece one byte changes
        file.seek(-8 * 32 * 32 + 5, 2)
        file.write(b"\x7f")
    assert contents(build(recipe())) == undisturbed
    assert sum(drawn) in (16, 20)  # the damaged piece, the rest, and what a kill left behind the last finished piece


def test_leftovers_of_other_builds_go_after_a_week(recipe: Recipe, build: Build, tmp_path: Path) -> None:
    assert killed_build(recipe(), tmp_path, 1, "writing images 12") == -signal.SIGKILL
    (left,) = folders(tmp_path / "corpora")
    fresh = build(recipe(seed=8))
    assert sorted(folders(tmp_path / "corpora")) == sorted([left, fresh.path])
    for path in left.iterdir():
        os.utime(path, (0, 0))
    other = build(recipe(seed=9))
    assert sorted(folders(tmp_path / "corpora")) == sorted([fresh.path, other.path])


def test_a_mistake_in_the_data_leaves_nothing(recipe: Recipe, book: Book, build: Build, scans: Path, tmp_path: Path) -> None:
    (scans / "book" / "天" / "0.png").write_text("no picture")
    with pytest.raises(DataError):
        build(recipe(scanned=[book()]), scans)
    assert not folders(tmp_path / "corpora")


def test_weights_of_a_glyph_are_one_group_and_the_manifest_counts_them(recipe: Recipe, build: Build, ipaex: Path) -> None:
    view = build(recipe(rendered={"fonts": [str(ipaex)], "max_faces": 1, "weights": [0.0, 0.02, -0.03]}))
    train = view.rows[view.indices("train")]
    assert len(train) == 36 and len(set(train["group"])) == 12
    counted = view.manifest["weights"]
    assert [(row["weight"], row["images"]) for row in counted] == [(0.0, 12), (0.02, 12), (-0.03, 12)]
    assert counted[0]["held_back"] == 0
    ink = view.images[view.indices("train")].reshape(12, 3, -1).mean(axis=(0, 2))
    assert ink[2] < ink[0] < ink[1]


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [0.2]])
def test_weights_must_differ_and_be_small(recipe: Recipe, ipaex: Path, weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        recipe(rendered={"fonts": [str(ipaex)], "max_faces": 1, "weights": weights})


def test_more_faces_than_there_are_is_refused(recipe: Recipe, build: Build, ipaex: Path) -> None:
    with pytest.raises(DataError, match=r"faces_per_class: 5` asks for more images than the fonts can give: .*at most 1"):
        build(recipe(rendered={"fonts": [str(ipaex)], "max_faces": 4, "faces_per_class": 5}))


def test_a_full_disk_is_a_store_error(recipe: Recipe, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ocr_sweep.corpus.pieces.sync", full)
    with pytest.raises(StoreError, match="building corpus tiny failed"):
        build(recipe())
    assert not [path for path in (tmp_path / "corpora").iterdir() if path.is_dir()]


def test_scans_fill_their_own_sets_and_the_cap_holds(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    view = build(recipe(scanned=[book()], simulated=[], scanned_per_class=3), scans)
    assert view.set_names == ("train", "overflow", "val/book", "test/book")
    assert view.real_counts.tolist() == [3] * 5 + [0] * 7
    assert view.manifest["counts"]["overflow"] == {"images": 5, "classes": 5, "scanned": 5}
    assert view.manifest["counts"]["val/book"] == {"images": 10, "classes": 5, "scanned": 10}
    assert view.manifest["classes_without"]["val"] == "一口國書。永龍"
    train = view.rows[view.indices("train")]
    assert train["source"].tolist() == [Source.RENDERED] * 12 + [Source.SCANNED] * 15


def test_each_fold_validates_once_and_the_cap_holds_in_all(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    source = book(split={"train": 0.5, "val": 0.25, "test": 0.25})
    base = build(recipe(scanned=[source], simulated=[], scanned_per_class=3, folds=3), scans)
    views = [CorpusView.open(base.path, fold) for fold in range(3)]
    np.testing.assert_array_equal(views[0].rows, rows_of_fold(base.rows, 0, cap=3, sets=list(base.set_names)))
    assert views[0].set_names == ("train", "overflow", "val/book", "test/book")
    turns = np.concatenate([view.indices("val") for view in views])
    assert len(set(turns.tolist())) == len(turns) == 30, "what is not tested validates once"
    for view in views:
        np.testing.assert_array_equal(view.indices("test"), base.indices("test"))
        assert view.real_counts.max() == 3
        scanned = [len(view.indices(name)) for name in ("val", "overflow")] + [int(view.real_counts.sum())]
        assert sum(scanned) == 30
        groups = [set(view.rows["group"][view.indices(split)].tolist()) for split in ("train", "val", "test")]
        assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    with pytest.raises(DataError, match="must be below the 3 folds"):
        CorpusView.open(base.path, 3)


def test_the_pseudo_tail_teaches_nothing_and_judges_in_sets_of_its_own(
    recipe: Recipe, book: Book, build: Build, scans: Path
) -> None:
    view = build(recipe(scanned=[book()], simulated=[], pseudo_tail=2), scans)
    assert view.set_names == ("train", "val/book", "val/pseudo_tail", "test/book", "test/pseudo_tail")
    hidden = {split: set(view.class_ids[view.indices(f"{split}/pseudo_tail")].tolist()) for split in ("val", "test")}
    assert len(hidden["val"]) == len(hidden["test"]) == 1 and hidden["val"] != hidden["test"]
    both = hidden["val"] | hidden["test"]
    assert view.real_counts[list(both)].tolist() == [0, 0] and (view.real_counts[:5] > 0).sum() == 3
    assert [len(view.indices(f"{split}/pseudo_tail")) for split in ("val", "test")] == [8, 8], "all of their scans judge"
    assert not both & set(view.class_ids[np.r_[view.indices("val/book"), view.indices("test/book")]].tolist())


def test_a_writer_of_others_too_keeps_the_split_of_the_others(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    view = build(recipe(scanned=[book(group="writer")], simulated=[], pseudo_tail=2), scans)
    scanned = view.rows[view.rows["source"] == Source.SCANNED]
    splits = [name.split("/")[0] for name in view.set_names]
    assert len({(row["group"], splits[row["set_id"]]) for row in scanned}) == 4, "no writer is torn"
    assert view.manifest["left_out"]["scans/book"]["pseudo_tail"] > 0, "what would have trained is left out and counted"


def test_test_sets_hold_so_many_of_each_class(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    only_test = book(split={"train": 0.0, "val": 0.0, "test": 1.0})
    view = build(recipe(scanned=[only_test], test_per_class=3), scans)
    assert np.bincount(view.class_ids[view.indices("test/book")]).tolist() == [3] * 5
    assert view.manifest["left_out"]["scans/book"] == {"over_test_per_class": 25}


def test_the_index_is_a_table_for_everybody(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    view = build(recipe(scanned=[book()]), scans)
    table = pq.read_table(view.path / "index.parquet").to_pylist()
    assert len(table) == len(view.images) and [row["name"] for row in table] == view.names
    first = next(row for row in table if row["source"] == "scanned" and row["set"] == "val/book")
    assert first["char"] in "天地玄日月" and first["name"].startswith(f"book/U+{ord(first['char']):04X}/")


def test_no_writer_is_torn(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    view = build(recipe(scanned=[book(group="writer")], simulated=[]), scans)
    splits = [name.split("/")[0] for name in view.set_names]
    scanned = view.rows[view.rows["source"] == Source.SCANNED]
    assert len(set(scanned["group"])) == 4 and len(scanned) == 40
    assert len({(row["group"], splits[row["set_id"]]) for row in scanned}) == 4


def test_pictures_with_two_labels_are_left_out_and_said(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    (scans / "book" / "地" / "copy.png").write_bytes((scans / "book" / "天" / "0.png").read_bytes())
    left_out = build(recipe(scanned=[book()]), scans).manifest["left_out"]["scans/book"]
    assert left_out == {"conflicting_labels": ["U+5730/copy.png", "U+5929/0.png"]}


def test_the_second_source_loses_its_copies_of_the_first(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    (scans / "other" / "天").mkdir(parents=True)
    (scans / "other" / "天" / "a.png").write_bytes((scans / "book" / "天" / "0.png").read_bytes())
    both = [book(), book(name="other", path="other", split={"train": 0.0, "val": 0.0, "test": 1.0})]
    view = build(recipe(scanned=both), scans)
    assert view.manifest["left_out"]["scans/other"] == {"copies_of_another_source": ["U+5929/a.png"]}
    assert "test/other" not in view.set_names


def test_characters_outside_the_charset_are_counted(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    (scans / "book" / "月").rename(scans / "book" / "U+5B57")
    assert build(recipe(scanned=[book()]), scans).manifest["left_out"]["scans/book"] == {"outside_charset": {"字": 8}}


def test_unreadable_pictures_are_refused_and_the_error_says_what_to_write(
    recipe: Recipe, book: Book, build: Build, scans: Path
) -> None:
    (scans / "book" / "天" / "0.png").write_text("no picture")
    with pytest.raises(DataError, match=r"(?s)1 of 40 images .* `max_bad: 0.025` .*not a PNG"):
        build(recipe(scanned=[book()]), scans)
    view = build(recipe(scanned=[book(max_bad=0.025)]), scans)
    assert view.manifest["left_out"]["scans/book"]["bad"] == [["U+5929/0.png", "not a PNG, JPEG, BMP or WebP picture"]]


def test_a_character_that_no_source_has_is_named(
    recipe: Recipe, build: Build, tmp_path: Path, subset: Callable[..., Path]
) -> None:
    font = subset(tmp_path / "x.ttf", "天")
    with pytest.raises(DataError, match=r"no scan shows 1 of 2: 𠀋 U\+2000B"):
        build(recipe(charset={"chars": "天𠀋"}, rendered={"fonts": [str(font)], "max_faces": 1}))


def test_an_empty_class_folder_is_said(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    (scans / "book" / "𠀋").mkdir()
    with pytest.raises(DataError, match=r"folders of these hold no picture: 𠀋 U\+2000B"):
        build(recipe(charset={"chars": "天地玄日月𠀋"}, rendered=None, scanned=[book()], simulated=[]), scans)


def test_a_class_without_training_images_is_named(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    wanted = recipe(charset={"chars": "天地玄日月"}, rendered=None, scanned=[book()], simulated=[], scanned_per_class=0)
    with pytest.raises(DataError, match=r"5 of 5 .* 天 U\+5929"):
        build(wanted, scans)


def test_a_missing_data_root_says_which_variable_to_set(recipe: Recipe, book: Book, build: Build, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"data root .* does not exist; set OCR_SWEEP_DATA"):
        build(recipe(scanned=[book()]), tmp_path / "absent")


def test_the_room_loads_without_heavy_libraries() -> None:
    code = "import sys, ocr_sweep.corpus; print([n for n in ('torch', 'mlflow', 'optuna', 'matplotlib') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.data
def test_real_handwriting_comes_out_flat_and_inked(recipe: Recipe, book: Book, build: Build, real_data: Path) -> None:
    source = book(name="casia", path="casia_hwdb96")
    view = build(recipe(charset={"chars": "宁它宄"}, rendered=None, scanned=[source], simulated=[]), real_data)
    images = view.images.astype(float)
    assert view.manifest["counts"]["train"]["classes"] == 3 and "bad" not in view.manifest["left_out"]["scans/casia"]
    assert np.median(images) == 0 and 0.05 < (images > 128).mean() < 0.4
    assert json.loads((view.path / "manifest.json").read_text())["left_out"]["scans/casia"]["outside_charset"]
