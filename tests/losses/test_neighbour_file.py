"""Neighbours from a user's file: three formats told by their content, and what cannot be read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ocr_sweep.errors import DataError
from ocr_sweep.losses import Neighbours, neighbours_of_file
from ocr_sweep.losses.edit_distance import edit_distances
from ocr_sweep.losses.ids import expand

Read = Callable[..., dict[str, str]]

IDS = """\
;; made for this test
U+8000\t耀\t⿰光翟
U+6C5F\t江\t⿰氵工
U+6C60\t池\t⿰氵也[GTJ]\t⿰水也[K]
U+5730\t地\t⿰土也
U+5DE5\t工\t工
U+4E5F\t也\t也
U+6C5E\t汞\t⿱工水
U+9D3B\t鴻\t⿰江鳥
U+9CE5\t鳥\t鳥
U+3400\t㐀\t⿱&CDP-8958;一
U+3401\t㐁\t⿱&CDP-8959;一
U+5FAA\t循\t循
"""
UNIHAN = """\
# made for this test
U+4E8C\tkDefinition\tnot a field of variants
U+4E94\tkSemanticVariant\tU+3405<kLau,kMatthews U+4F0D<kMatthews:T
U+570B\tkSimplifiedVariant\tU+56FD
U+56FD\tkZVariant\tU+570B
U+672A\tkSpoofingVariant\tU+672B
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The neighbours of each character of a charset as text, from a file with this content."""

    def read(content: str | bytes, chars: str, k: int = 3) -> dict[str, str]:
        path = tmp_path / "similar.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = neighbours_of_file(path, chars, k)
        return {char: "".join(chars[i] for i in row if i >= 0) for char, row in zip(chars, found.indices, strict=True)}

    return read


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str, str], Neighbours]:
    def table(content: str, chars: str) -> Neighbours:
        (tmp_path / "similar.txt").write_text(content, encoding="utf-8")
        return neighbours_of_file(tmp_path / "similar.txt", chars, 3)

    return table


def test_ids_pair_what_is_composed_alike(read: Read) -> None:
    came = read(IDS, "江池地汞鴻工也㐀㐁未循")
    assert came == {
        "江": "池鴻", "池": "江地", "地": "池", "汞": "", "鴻": "江", "工": "", "也": "", "㐀": "㐁", "㐁": "㐀",
        "未": "", "循": "",
    }  # fmt: skip


def test_similarity_of_ids_is_one_minus_the_share_of_edits(table: Callable[[str, str], Neighbours]) -> None:
    """江 ⿰氵工 and 鴻 ⿰⿰氵工鳥 differ by two of five tokens, 江 and 池 by one of three."""
    found = table(IDS, "江鴻池")
    assert found.indices[0].tolist() == [2, 1, -1]
    assert found.similarity[0].tolist() == pytest.approx([2 / 3, 3 / 5, 0])


def test_ids_expand_until_parts_have_no_parts_even_where_they_name_each_other() -> None:
    sequences = {"江": ("⿰", "氵", "工"), "鴻": ("⿰", "江", "鳥"), "甲": ("⿰", "乙", "一"), "乙": ("⿰", "甲", "一")}
    assert expand("鴻", sequences) == ("⿰", "⿰", "氵", "工", "鳥")
    assert expand("甲", sequences) == ("⿰", "⿰", "甲", "一", "一")


def test_edit_distances_are_those_of_the_recursion() -> None:
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 4, rng.integers(1, 9)).astype(np.int32) for _ in range(40)]
    first, second = rng.integers(0, 40, (2, 300))

    @functools.cache
    def reference(a: tuple[int, ...], b: tuple[int, ...]) -> int:
        if not a or not b:
            return len(a) + len(b)
        return min(reference(a[1:], b) + 1, reference(a, b[1:]) + 1, reference(a[1:], b[1:]) + (a[0] != b[0]))

    expected = [reference(tuple(sequences[i].tolist()), tuple(sequences[j].tolist())) for i, j in zip(first, second, strict=True)]
    assert edit_distances(sequences, first, second).tolist() == expected


def test_variants_go_both_ways_and_other_fields_do_not_count(read: Read) -> None:
    came = read(UNIHAN, "五㐅伍㐀國国未末二")
    assert came == {
        "五": "㐅伍", "㐅": "五", "伍": "五", "㐀": "", "國": "国", "国": "國", "未": "末", "末": "未", "二": ""
    }  # fmt: skip


def test_a_table_is_taken_as_it_stands(table: Callable[[str, str], Neighbours]) -> None:
    found = table("# out of fold\n未\t末\t0.5\n未\t朱\t2\n\n末\t未\t1e-3\n#\t未\t1\n", "未末朱#")
    assert found.indices.tolist() == [[2, 1, -1], [0, -1, -1], [-1, -1, -1], [0, -1, -1]]
    assert found.similarity[0].tolist() == [2, 0.5, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must be ids.txt of cjkvi-ids, Unihan_Variants.txt, or a table char<TAB>char<TAB>weight, but has no line"),
        ("未 末 1\n", "but line 1 is '未 末 1'"),
        ("未\t末\t1\n".encode("utf-16"), "must be UTF-8, but byte 0 is not; save it as UTF-8"),
        ("未\t龍\t1\n鬼\t末\t1\n", r"of the charset only, but these are not in it: 龍 U\+9F8D, 鬼 U\+9B3C; take them out"),
        ("未\t末\t1\n末\t未\tmuch\n", "the weight on line 2 must be a number above 0, but is 'much'"),
        ("未\t末\t-1\n", "the weight on line 1 must be a number above 0, but is '-1'"),
        ("未\t末\tinf\n", "must be a number above 0, but is 'inf'"),
        ("未\t末\tnan\n", "must be a number above 0, but is 'nan'"),
        ("未\t末\t1\n未末\t朱\t1\n", "line 2 must be two different characters and a weight, with tabs between, but is"),
        ("未\t未\t1\n", "line 1 must be two different characters and a weight"),
        ("未\t末\t1\n\n未\t末\t2\n", "must name each pair once, but 未 末 stands on lines 1 and 3"),
        ("U+672A\tkSemanticVariant\tU+672B\nU+672A kZVariant\n", "line 2 must be code point, field and values, but is"),
        ("U+672A\tkSemanticVariant\t末\n", r"line 1 must hold code points such as U\+4E94, but has '末'"),
        ("U+672A\tkDefinition\tU+672B\n", "must have one of the fields kSemanticVariant, kSimplifiedVariant"),
        ("U+672A\t未\t⿻木一\nU+672B\t未\t⿻木一\n", "line 2 must be a code point, its character and its sequence"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(content: str | bytes, message: str, read: Read) -> None:
    with pytest.raises(DataError, match=message):
        read(content, "未末朱")
