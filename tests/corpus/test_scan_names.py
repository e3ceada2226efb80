"""Names of files that are two things at once, or nothing that can be printed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocr_sweep.config.corpus import CorpusConfig, ScannedConfig
from ocr_sweep.corpus.scans import ScannedSource, list_source
from ocr_sweep.errors import DataError, NotFoundError
from ocr_sweep.store import CorpusView

Book = Callable[..., dict[str, Any]]


def listed(block: dict[str, Any], root: Path) -> ScannedSource:
    return list_source(ScannedConfig.model_validate(block), "天地玄日月", data_root=root, cache=root.parent / "cache")


def test_two_spellings_of_a_folder_with_the_same_file_are_refused(scans: Path, book: Book) -> None:
    (scans / "book" / "U+5929").mkdir()
    (scans / "book" / "U+5929" / "0.png").write_bytes((scans / "book" / "天" / "1.png").read_bytes())
    with pytest.raises(DataError, match=r"U\+5929/0.png and 天/0.png are both U\+5929/0.png; rename one"):
        listed(book(), scans)


def test_names_by_case_and_by_unicode_form_are_different_files(scans: Path, book: Book) -> None:
    folder = scans / "book" / "天"
    for name in ("A.png", "a.png", "é.png", "e\u0301.png", "-rf.png"):
        (folder / name).write_bytes((folder / "0.png").read_bytes())
    source = listed(book(), scans)
    assert len(source.scans) == 45 and len({scan.file for scan in source.scans}) == 45


def test_unprintable_names_are_escaped_wherever_they_are_told(
    scans: Path, book: Book, recipe: Callable[..., CorpusConfig], build: Callable[..., CorpusView]
) -> None:
    folder = os.fsencode(scans / "book" / "天")
    for name in (b"\xff\xfe.png", b"a\nb.png", b"\x1b[31m.png"):
        Path(os.fsdecode(folder + b"/" + name)).write_text("no picture")
    view = build(recipe(scanned=[book(max_bad=0.1)]), scans)
    names = [name for name, _ in view.manifest["left_out"]["scans/book"]["bad"]]
    assert sorted(names) == [r"U+5929/\udcff\udcfe.png", r"U+5929/\x1b[31m.png", r"U+5929/a\nb.png"]
    with pytest.raises(DataError, match="3 of 43 images") as caught:
        build(recipe(scanned=[book()]), scans)
    assert str(caught.value).isascii() and "\x1b" not in str(caught.value)


def test_too_long_a_path_is_just_not_there(scans: Path, book: Book) -> None:
    for path in ("國" * 86, "國" * 86 + ".zip", "a\0b"):
        with pytest.raises(NotFoundError, match="under the data root"):
            listed(book(path=path), scans)
