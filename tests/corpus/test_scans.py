"""What lies in a scanned folder, and what is said about folders that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocr_sweep.config.corpus import ScannedConfig
from ocr_sweep.corpus.charset import char_of_folder
from ocr_sweep.corpus.scans import ScannedSource, list_source
from ocr_sweep.errors import DataError, NotFoundError

Book = Callable[..., dict[str, Any]]


def listed(block: dict[str, Any], root: Path, chars: str = "天地玄日月") -> ScannedSource:
    return list_source(ScannedConfig.model_validate(block), chars, data_root=root, cache=root.parent / "cache")


@pytest.mark.parametrize(("name", "char"), [("一", "一"), ("U+4E00", "一"), ("u+2000b", "𠀋"), ("。", "。")])
def test_a_folder_names_a_character_or_its_code_point(name: str, char: str) -> None:
    assert char_of_folder(name) == char


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("天地", "one visible character"),
        ("U+110000", "one visible character"),
        ("U+0020", "one visible character"),
        ("U+D800", "one visible character"),
        ("\uf900", r"U\+F900 is a compatibility form of 豈 U\+8C48; rename the folder to U\+8C48"),
        ("U+F900", "compatibility form"),
        ("か\u3099", r"U\+304B U\+3099 is a decomposed form of が U\+304C"),
    ],
)
def test_other_folder_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        char_of_folder(name)


def test_pictures_come_by_code_point_and_both_spellings_of_a_folder_are_one_class(scans: Path, book: Book) -> None:
    (scans / "book" / "天").rename(scans / "book" / "U+5929")
    (scans / "book" / "天").mkdir()
    (scans / "book" / "U+5929" / "7.png").rename(scans / "book" / "天" / "seven.png")
    (scans / "book" / ".hidden").mkdir()
    source = listed(book(), scans)
    assert [scan.char for scan in source.scans] == [char for char in sorted("天地玄日月") for _ in range(8)]
    assert all(scan.file.startswith(f"U+{ord(scan.char):04X}/") for scan in source.scans)


def test_folders_that_name_no_character_are_listed(scans: Path, book: Book) -> None:
    for name in ("misc", "old"):
        (scans / "book" / name).mkdir()
    with pytest.raises(DataError, match=r"(?s)2 folders .*'misc'.*'old'"):
        listed(book(), scans)


def test_groups_come_from_meta_csv(scans: Path, book: Book) -> None:
    assert {scan.group for scan in listed(book(group="writer"), scans).scans} == {f"writer=w{i}" for i in range(4)}


def test_an_unknown_group_column_names_the_known_ones(scans: Path, book: Book) -> None:
    with pytest.raises(DataError, match=r"'page' \(`group`\), but has: file, writer"):
        listed(book(group="page"), scans)


def test_a_missing_meta_csv_is_said(scans: Path, book: Book) -> None:
    (scans / "book" / "meta.csv").unlink()
    with pytest.raises(DataError, match=r"does not exist; write `group: null`"):
        listed(book(group="writer"), scans)


def test_a_picture_without_a_row_is_named(scans: Path, book: Book, picture: Callable[..., Any]) -> None:
    picture("天", 99).save(scans / "book" / "天" / "new.png")
    with pytest.raises(DataError, match=r"1 have none, e.g. 天/new.png"):
        listed(book(group="writer"), scans)


def test_rows_to_keep_come_from_meta_csv(scans: Path, book: Book) -> None:
    meta = scans / "book" / "meta.csv"
    meta.write_text("file,crop_y0,crop_y1\n天/0.png,3,90\n天/1.png,,\n", encoding="utf-8")
    rows = {scan.path.name: scan.rows for scan in listed(book(), scans).scans if scan.char == "天"}
    assert rows["0.png"] == (3, 90) and rows["1.png"] is None
    meta.write_text("file,crop_y0,crop_y1\n天/0.png,top,90\n", encoding="utf-8")
    with pytest.raises(DataError, match="must be whole numbers"):
        listed(book(), scans)


def test_a_meta_csv_that_is_not_utf8_is_refused(scans: Path, book: Book) -> None:
    (scans / "book" / "meta.csv").write_bytes("file,書\n".encode("big5"))
    with pytest.raises(DataError, match="must be UTF-8"):
        listed(book(), scans)


def test_a_missing_folder_is_named(scans: Path, book: Book) -> None:
    with pytest.raises(NotFoundError, match=r"no folder 'absent' under the data root"):
        listed(book(path="absent"), scans)


def test_a_source_without_any_character_of_the_charset_is_refused(scans: Path, book: Book) -> None:
    with pytest.raises(DataError, match="must hold pictures of the charset's characters"):
        listed(book(), scans, chars="龍口")
