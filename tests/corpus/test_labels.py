"""Label CSVs: the same scans as from folders, and every mistake of the table in one error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ocr_sweep.config.corpus import CorpusConfig, ScannedConfig
from ocr_sweep.corpus.scans import ScannedSource, list_source
from ocr_sweep.errors import DataError
from ocr_sweep.store import CorpusView, Source

Book = Callable[..., dict[str, Any]]
Recipe = Callable[..., CorpusConfig]
Build = Callable[..., CorpusView]
CHARS = "天地玄日月"
ROWS = [f"{char}/{number}.png,{char}" for char in CHARS for number in range(8)]


def listed(block: dict[str, Any], root: Path, chars: str = CHARS) -> ScannedSource:
    return list_source(ScannedConfig.model_validate(block), chars, data_root=root, cache=root.parent / "cache")


def write(scans: Path, header: str, rows: list[str], name: str = "labels.csv") -> None:
    (scans / "book" / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def refused(scans: Path, block: dict[str, Any]) -> str:
    with pytest.raises(DataError) as caught:
        listed(block, scans)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_labels_give_the_pictures_that_the_folders_give(scans: Path, book: Book) -> None:
    write(scans, "file,label", ROWS)
    labelled, folders = listed(book(labels="labels.csv"), scans).scans, listed(book(), scans).scans
    assert [(scan.path, scan.char, scan.group) for scan in labelled] == [(scan.path, scan.char, scan.group) for scan in folders]


def test_the_order_of_the_rows_changes_nothing(scans: Path, book: Book) -> None:
    write(scans, "file,label", ROWS)
    before = listed(book(labels="labels.csv"), scans)
    write(scans, "label,file", [",".join(reversed(row.split(","))) for row in reversed(ROWS)], "turned.csv")
    assert listed(book(labels="turned.csv"), scans) == before


def test_a_label_may_be_a_code_point_and_files_may_lie_anywhere_inside(scans: Path, book: Book) -> None:
    deep = scans / "book" / "batch 1" / "a"
    deep.mkdir(parents=True)
    (scans / "book" / "天" / "0.png").rename(deep / "0.png")
    write(scans, "file,label", ["batch 1/a/0.png,U+5929", "天/1.png,u+5929", "./天/2.png,天"])
    assert [scan.file for scan in listed(book(labels="labels.csv"), scans).scans] == [
        "U+5929/batch 1/a/0.png",
        "U+5929/天/1.png",
        "U+5929/天/2.png",
    ]


def test_characters_outside_the_charset_are_counted(scans: Path, book: Book) -> None:
    write(scans, "file,label", ROWS)
    assert listed(book(labels="labels.csv"), scans, chars="天地").outside == {"玄": 8, "日": 8, "月": 8}


def test_groups_and_rows_to_keep_come_from_the_labels(scans: Path, book: Book) -> None:
    write(scans, "file,label,writer,crop_y0,crop_y1", ["天/0.png,天,w1,3,90", "天/1.png,天,w2,,"])
    scan, other = listed(book(labels="labels.csv", group="writer"), scans).scans
    assert (scan.group, scan.rows) == ("writer=w1", (3, 90)) and (other.group, other.rows) == ("writer=w2", None)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("file", "line 1: the column 'label' is missing; the header has: file"),
        ("file,lable", "unknown column 'lable'; did you mean 'label'?"),
        ("file,label,width", "unknown column 'width'; known ones: file, label, split, crop_y0, crop_y1"),
        ("file,label,label", "the column 'label' is there 2 times"),
        ("", "the column 'file' is missing; the header has: nothing"),
    ],
)
def test_columns_that_are_not_as_they_must_be_are_refused(header: str, problem: str, scans: Path, book: Book) -> None:
    write(scans, header, [])
    assert problem in refused(scans, book(labels="labels.csv"))


def test_the_group_is_a_column_that_must_be_there(scans: Path, book: Book) -> None:
    write(scans, "file,label", ROWS)
    assert "the column 'writer' is missing" in refused(scans, book(labels="labels.csv", group="writer"))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("天/99.png,天,train", "line 3: there is no file '天/99.png'"),
        ("天\\1.png,天,train", "write / between folder and file"),
        ("../book/天/1.png,天,train", "must be a name inside the folder"),
        ("/etc/passwd,天,train", "must be a name inside the folder"),
        (f"{'國' * 86}.png,天,train", "there is no file"),
        (",天,train", "the file's name is empty"),
        ("天/1.png,天地,train", r"label '\u5929\u5730' must name one visible character"),
        ("天/1.png,,train", "label '' must name one visible character"),
        ("天/1.png, ,train", "label ' ' must name one visible character"),
        ("天/1.png,U+D800,train", "must name one visible character"),
        ("天/1.png,\uf900,train", "U+F900 is a compatibility form of 豈 U+8C48; write U+8C48"),
        ("天/1.png,か\u3099,train", "is a decomposed form of が U+304C; write U+304C"),
        ("天/1.png,天,dev", "`split` must be train, val or test, but is 'dev'"),
        ("天/1.png,天,", "`split` must be train, val or test, but is ''"),
        ("天/0.png,天,train", "line 3: '天/0.png' is named again; the first time is line 2"),
        ("天/0.png,地,train", "'天/0.png' is named again as 地 and there as 天"),
        ("./天/0.png,地,train", "'天/0.png' is named again as 地 and there as 天"),
        ("天/1.png,天", "must have 3 fields as the header has, but has 2"),
    ],
)
def test_rows_that_cannot_be_used_are_named_with_their_line(row: str, problem: str, scans: Path, book: Book) -> None:
    write(scans, "file,label,split", ["天/0.png,天,test", row])
    message = refused(scans, book(labels="labels.csv"))
    assert problem in message and "\n" not in message


def test_ten_problems_are_listed_and_the_others_counted(scans: Path, book: Book) -> None:
    write(scans, "file,label,writer", [f"天/{number}.jpg,天,w" for number in range(14)] + ["天/0.png,天,"])
    message = refused(scans, book(labels="labels.csv", group="writer"))
    assert "because of 15 problems" in message and "... and 5 more" in message and message.count("\n") == 11
    assert "line 2: " in message and "line 11: " in message and "line 12: " not in message


def test_what_is_no_table_is_refused(scans: Path, book: Book) -> None:
    assert "must name a file relative to the source's folder" in refused(scans, book(labels="absent.csv"))
    assert "must name a file relative to the source's folder" in refused(scans, book(labels="../book/meta.csv"))
    (scans / "book" / "labels.csv").write_bytes("file,label\n書,書\n".encode("big5"))
    assert "must be UTF-8" in refused(scans, book(labels="labels.csv"))
    (scans / "book" / "labels.csv").write_text('file,label\n"天/0.png,天\n', encoding="utf-8")
    assert "must be UTF-8 text with commas" in refused(scans, book(labels="labels.csv"))


def test_given_splits_win_over_the_shares(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    given = {0: "test", 1: "test", 2: "val"}
    write(scans, "file,label,split", [f"{row},{given.get(i % 8, 'train')}" for i, row in enumerate(ROWS)])
    shares = {"train": 0.0, "val": 0.5, "test": 0.5}
    view = build(recipe(scanned=[book(labels="labels.csv", split=shares)], simulated=[]), scans)
    scanned = {name: view.rows[view.indices(name)]["source"] == Source.SCANNED for name in view.set_names}
    assert {name: int(found.sum()) for name, found in scanned.items()} == {"train": 25, "val/book": 5, "test/book": 10}


def test_given_splits_that_tear_a_group_are_a_leak(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    splits = ["train", "val", "test", "train"]
    write(scans, "file,label,split,writer", [f"{row},{splits[i % 4]},w{i % 8}" for i, row in enumerate(ROWS)])
    source = book(labels="labels.csv", group="writer")
    assert build(recipe(scanned=[source], simulated=[]), scans).set_names == ("train", "val/book", "test/book")
    write(scans, "file,label,split,writer", [f"{row},{splits[i % 4]},w{i % 3}" for i, row in enumerate(ROWS)])
    with pytest.raises(DataError, match="leaks between train, val and test"):
        build(recipe(scanned=[source], simulated=[]), scans)


def test_train_only_thins_train_and_leaves_val_and_test(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    write(scans, "file,label", ["天/0.png,天", "天/1.png,U+5929", "地/2.png,地"], "few.csv")
    whole = build(recipe(scanned=[book(group="writer")], simulated=[]), scans)
    thin = build(recipe(scanned=[book(group="writer", train_only="few.csv")], simulated=[]), scans)
    assert whole.fingerprint != thin.fingerprint
    for name in ("val/book", "test/book"):
        assert np.array_equal(whole.images[whole.indices(name)], thin.images[thin.indices(name)])
    training = whole.real_counts.sum()
    assert thin.manifest["left_out"]["scans/book"]["not_in_train_only"] == training - thin.real_counts.sum()
    assert 0 < thin.real_counts.sum() <= 3 and set(np.flatnonzero(thin.real_counts)) <= {0, 1}


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["天/99.png,天"], "line 2: '天/99.png' is no picture of source 'book'"),
        (["天/0.png,地"], "line 2: '天/0.png' shows 天 in source 'book', but is labelled 地"),
        (["天/0.png,天地"], "must name one visible character"),
        (["天/0.png,天", "天/0.png,天"], "line 3: '天/0.png' is named again; the first time is line 2"),
    ],
)
def test_a_wrong_train_only_is_refused(rows: list[str], problem: str, scans: Path, book: Book) -> None:
    write(scans, "file,label", rows, "few.csv")
    assert problem in refused(scans, book(train_only="few.csv"))


def test_a_source_is_read_in_one_way(book: Book) -> None:
    for more in ({"labels": "a.csv", "boxes": "b.csv"}, {"boxes": "b.csv", "train_only": "c.csv"}):
        with pytest.raises(ValueError, match=r"`labels` or through `boxes`|`train_only` names image files"):
            ScannedConfig.model_validate(book(**more))


@pytest.mark.data
def test_the_real_long_tail_trains_and_its_writers_stay_apart(recipe: Recipe, book: Book, build: Build, real_data: Path) -> None:
    chars = "宁它宄宅守"
    source = book(name="casia", path="casia_hwdb96", group="source_no", train_only="longtail_train.csv")
    thin, whole = (
        build(recipe(charset={"chars": chars}, scanned=[block], simulated=[]), real_data)
        for block in (source, source | {"train_only": None})
    )
    assert np.array_equal(whole.images[whole.indices("val")], thin.images[thin.indices("val")])
    assert (thin.real_counts <= whole.real_counts).all() and thin.real_counts.sum() < whole.real_counts.sum()
