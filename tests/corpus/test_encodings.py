"""Published sets of characters, by the counts that their standards state."""

from __future__ import annotations

import bz2
import unicodedata
from pathlib import Path

import pytest

from ocr_sweep.corpus.encodings import BLOCKS, ENCODINGS, kind_of, published
from ocr_sweep.errors import DataError, NotFoundError


def ideographs(name: str) -> list[str]:
    return [char for char in published(name) if kind_of(char) == "ideographs"]


@pytest.mark.parametrize(
    ("name", "codes", "distinct"),
    [
        ("gb2312", 6763, 6763),
        ("gb2312-1", 3755, 3755),
        ("gb2312-2", 3008, 3008),
        ("big5-1", 5401, 5401),
        ("big5-2", 7652, 7651),  # 嗀 stands there twice
        ("jisx0208-1", 2965, 2965),
        ("jisx0208-2", 3390, 3390),
        ("jisx0208", 6356, 6356),  # 6,355 kanji, and 仝 among the signs
        ("jisx0212", 5801, 5801),
        ("jisx0213", 10_040 + 1, None),  # the kanji of its year 2000, and 仝
        ("ksx1001", 4888, 4622),  # 268 stand there again, for another reading; two of these fold to a form that it lacks
    ],
)
def test_a_set_has_as_many_ideographs_as_its_standard_says(name: str, codes: int, distinct: int | None) -> None:
    found = ideographs(name)
    assert len(found) == codes
    if distinct is not None:
        assert len({unicodedata.normalize("NFC", char) for char in found}) == distinct


def test_big5_has_13053_hanzi_of_which_two_are_duplicates() -> None:
    both = ideographs("big5-1") + ideographs("big5-2")
    assert len(both) == 13_053
    folded = [unicodedata.normalize("NFC", char) for char in both]
    assert sorted(char for char in set(folded) if folded.count(char) > 1) == ["兀", "嗀"]


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("gb2312-1", "啊阿埃挨"), ("big5-1", "一乙丁七"), ("jisx0208-1", "亜唖娃阿"), ("hiragana", "\u3040ぁあぃ")],
)
def test_a_set_is_in_the_order_of_its_codes(name: str, beginning: str) -> None:
    assert published(name).startswith(beginning)


@pytest.mark.parametrize("name", [*ENCODINGS, *BLOCKS])
def test_every_set_has_characters_each_once_and_of_known_kinds(name: str) -> None:
    chars = published(name)
    assert len(set(chars)) == len(chars) > 10
    assert any(kind_of(char) for char in chars) or name == "cjk-ext-h"  # younger than this Python's Unicode


@pytest.mark.parametrize(
    ("char", "kind"),
    [("天", "ideographs"), ("\U00020000", "ideographs"), ("あ", "kana"), ("ー", "kana"), ("・", "punctuation"),
     ("。", "punctuation"), ("々", "letters"), ("〇", "numbers"), ("＋", "symbols"), ("ㄅ", "bopomofo"), ("ｱ", "letters"),
     ("\u3000", None), ("\u3099", None), ("\u0378", None)],
)  # fmt: skip
def test_kinds(char: str, kind: str | None) -> None:
    assert kind_of(char) == kind


def test_a_field_of_unihan(tmp_path: Path) -> None:
    lines = "# head\n\nU+20001\tkVietnamese\tx\nU+4E00\tkIRG_VSource\tV1-1\nU+4E01\tkVietnamese\ty\nU+4E01\tkVietnamese\tz\n"
    (tmp_path / "Unihan_Readings.txt").write_text(lines)
    (tmp_path / "Unihan_Readings.txt.bz2").write_bytes(bz2.compress(lines.encode()))
    for name in ("Unihan_Readings.txt", "Unihan_Readings.txt.bz2"):
        assert published(f"{tmp_path / name}:kVietnamese") == "丁\U00020001"
    with pytest.raises(DataError, match=r"no character of .* has the field 'kMissing'"):
        published(f"{tmp_path / 'Unihan_Readings.txt'}:kMissing")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"U+XYZ\tkV\t1\n", b"U+FFFFFFF\tkV\t1\n", b"U+" + b"9" * 5000 + b"\tkV\t1\n"])
@pytest.mark.parametrize("name", ["u.txt", "u.txt.bz2"])
def test_a_damaged_file_of_unihan_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="a file of Unihan must hold lines"):
        published(f"{tmp_path / name}:kV")


def test_a_charset_file_is_a_set(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('["地", "天"]')
    assert published(str(tmp_path / "mine.json")) == "地天"
    (tmp_path / "twice.txt").write_text("天地天")
    with pytest.raises(DataError, match=r"twice\.txt: a charset must name each character once"):
        published(str(tmp_path / "twice.txt"))


@pytest.mark.parametrize("name", ["klingon", "gb-2312", "", ":", "a:b c", "none.txt", "none.txt:kV"])
def test_an_unknown_set_is_named(name: str) -> None:
    with pytest.raises(NotFoundError, match=r"^no (set of characters|such)"):
        published(name)
