"""A charset by rule: order, counts, and each step that leaves characters out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from ocr_sweep.config.charset_file import read_charset_file
from ocr_sweep.corpus.charset_rule import Charset, charset_text, drawn_by, first_of, told_apart, union, with_scans
from ocr_sweep.corpus.encodings import published
from ocr_sweep.corpus.fonts import Face, read_faces
from ocr_sweep.errors import DataError

Subset = Callable[..., Path]


def only(chars: str) -> Charset:
    return Charset(chars, ())


def test_sets_are_taken_in_order_and_each_character_once() -> None:
    found = union(["gb2312", "big5", "jisx0208"], ["ideographs"])
    gb2312 = [char for char in published("gb2312") if "\u4e00" <= char <= "\u9fff"]
    assert found.chars.startswith("".join(gb2312)) and len(set(found.chars)) == len(found.chars) == 16_289
    assert found.remarks == (
        "gb2312: 6,763 taken of 6,763",
        "big5: 8,678 taken of 13,061, 2 folded to NFC",
        "jisx0208: 848 taken of 6,356",
    )


def test_compatibility_forms_are_folded_and_counted() -> None:
    found = union(["big5-2"], [])
    assert "\ufa0c" not in found.chars and found.chars.count("兀") == 1
    assert found.remarks == ("big5-2: 7,651 taken of 7,651, 2 folded to NFC",)


def test_by_hand() -> None:
    found = union(["hiragana"], ["kana"], add="々〇々", without="ぁぃ犬")
    assert found.chars.endswith("ゟ々〇") and "ぁ" not in found.chars
    assert found.remarks == ("hiragana: 89 taken of 89", "added: 々〇", "left out by hand: ぁぃ")


def test_a_charset_file_loses_nothing(tmp_path: Path) -> None:
    """Private characters, and those younger than this Python, are of no kind but classes of somebody."""
    path = tmp_path / "lab.txt"
    path.write_text("天\ue000\U000323af。")
    assert union([str(path)], []).chars == "天\ue000\U000323af。"
    assert union([str(path), "jisx0208"], ["punctuation"]).chars.startswith("。、")


def test_only_what_has_scans() -> None:
    found = with_scans(only("天地玄黃"), {"地": 3, "天": 2, "玄": 3}, 3, "book")
    assert (found.chars, found.remarks) == ("地玄", ("scans: 2 have at least 3 pictures in book",))


def test_only_what_a_font_draws(tmp_path: Path, subset: Subset) -> None:
    files = [subset(tmp_path / f"{chars}.ttf", chars) for chars in ("天地", "玄")]
    faces = [face for file in files for face in read_faces(file, "黃玄地天", tmp_path)]
    found = drawn_by(only("黃玄地天"), faces)
    assert found.chars == "玄地天" and found.remarks[0].endswith("left out 1: U+9EC3")


def test_what_looks_alike_when_centred_is_one_class(tmp_path: Path, ipaex: Path, subset: Subset) -> None:
    chars = "天ー一口日二"
    (face,) = read_faces(ipaex, chars, tmp_path)
    found = told_apart(only(chars), [face])
    assert found.chars == "天ー口日二" and found.remarks == ("distinct: 1 look like an earlier one: 一 as ー",)
    assert told_apart(only(chars[::-1]), [face]).chars == "二日口一天"
    assert told_apart(only(chars), [face, _other(tmp_path, subset)]).chars == chars  # one face tells them apart


def _other(folder: Path, subset: Subset) -> Face:
    """A face in which 一 is drawn as 二."""
    path = subset(folder / "other.ttf", "一二ー")
    font = TTFont(path)
    for table in font["cmap"].tables:
        table.cmap[ord("一")] = table.cmap[ord("二")]
    font.save(path)
    (face,) = read_faces(path, "一ー", folder)
    return face


def test_a_size_that_is_too_large_is_refused() -> None:
    assert first_of(only("天地玄"), 2).chars == "天地"
    with pytest.raises(DataError, match="--size 4 asks for more than the 3 characters"):
        first_of(only("天地玄"), 4)


def test_nothing_left_is_refused() -> None:
    with pytest.raises(DataError, match=r"at least 2 characters, but 0 of 3 are left: scans: 0 have"):
        with_scans(only("天地玄"), {}, 1, "book")


def test_the_written_file_reads_back_and_names_its_rule(tmp_path: Path, ipaex: Path) -> None:
    faces = read_faces(ipaex, "天地玄", tmp_path)
    charset = drawn_by(union(["fullwidth-forms"], [], add="天地玄"), read_faces(ipaex, "天地玄＃！", tmp_path))
    text = charset_text(charset, ["ideographs"], faces, "ocr-sweep corpus charset 'two\nlines'")
    path = tmp_path / "chars.txt"
    path.write_text(text)
    assert read_charset_file(path) == charset.chars and "＃" in charset.chars
    assert f"# font ipaexg.ttf, sha256 {faces[0].sha256}\n" in text
    assert all(line.startswith("# ") for line in text.splitlines()[:-1])
