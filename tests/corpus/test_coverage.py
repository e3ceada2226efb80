"""Every state of a character in a face, on a font whose gaps are known, and glyphs that stand for two characters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fontTools.ttLib import TTFont

from ocr_sweep.corpus.coverage import State, examine, find_conflicts
from ocr_sweep.corpus.coverage_picture import COLOURS, NOWHERE, coverage_picture
from ocr_sweep.corpus.fonts import Face, read_faces
from ocr_sweep.corpus.policy import check_faces_per_class, choose_glyphs
from ocr_sweep.errors import DataError

Subset = Callable[..., Path]
CHARS = "天地玄黃宇宙洪荒日月盈昃"


@pytest.fixture
def gaps(tmp_path: Path, subset: Subset) -> Path:
    """A font that draws 天 and 月 and fails on every other character in a known way."""
    path = subset(tmp_path / "gaps.ttf", "天地玄黃宇宙洪荒日月盈")  # 昃 is not in it
    font = TTFont(path)
    cmap = font.getBestCmap()
    names = {char: cmap[ord(char)] for char in "天地玄黃宇宙洪荒日月盈"}
    for table in font["cmap"].tables:
        table.cmap[ord("黃")] = table.cmap[ord("宇")] = names["玄"]  # one glyph for three
        table.cmap[ord("洪")] = names["宙"]  # one glyph for two
    glyphs = font["glyf"]
    glyphs[names["地"]] = glyphs[".notdef"]  # tofu under a name of its own
    font["hmtx"][names["地"]] = font["hmtx"][".notdef"]
    glyphs[names["荒"]].numberOfContours = 0
    glyphs[names["日"]].coordinates.scale((3, 3))
    glyphs[names["日"]].recalcBounds(glyphs)
    glyphs[names["盈"]].coordinates.scale((0.001, 0.001))  # an outline that leaves no mark
    glyphs[names["盈"]].recalcBounds(glyphs)
    font.save(path)
    return path


def test_the_matrix_of_a_font_with_known_gaps_is_exactly_right(gaps: Path, tmp_path: Path) -> None:
    wanted = {
        "地": State.NOTDEF, "玄": State.PLACEHOLDER, "黃": State.PLACEHOLDER, "宇": State.PLACEHOLDER,
        "荒": State.EMPTY_OUTLINE, "日": State.CLIPPED, "盈": State.BLANK, "昃": State.NOT_IN_CMAP,
    }  # fmt: skip
    (face,) = read_faces(gaps, CHARS, tmp_path / "cache")
    assert face.lost == wanted and face.chars == set("天宙洪月")
    assert read_faces(gaps, CHARS, tmp_path / "cache") == [face]  # as it is remembered


def test_equal_bitmaps_of_one_face_are_a_conflict(gaps: Path, tmp_path: Path) -> None:
    (conflict,) = find_conflicts(read_faces(gaps, CHARS, tmp_path / "cache"))
    assert (conflict.chars, conflict.within_a_face) == ("宙洪", True)


def test_a_mark_above_and_a_mark_below_are_no_placeholder(ipaex: Path) -> None:
    found = examine(ipaex, 0, "・.。")
    assert set(found.glyph_hashes) == set("・.。")


def face(name: str, hashes: dict[str, str], family: str = "") -> Face:
    return Face(Path(f"{name}.ttf"), 0, name, family or name, name, hashes)


def chosen(faces: list[Face], chars: str, most: int | None = None, seed: int = 0) -> dict[str, str]:
    return {one.path.stem: held for one, held in choose_glyphs(faces, chars, faces_per_class=most, seed=seed).by_face}


def test_a_glyph_of_two_characters_is_left_out_where_another_face_tells_them_apart() -> None:
    faces = [face("unified", {"戸": "x", "户": "x", "天": "t"}), face("apart", {"戸": "y", "户": "z"})]
    assert chosen(faces, "天戸户") == {"unified": "天", "apart": "户戸"}
    choice = choose_glyphs(faces, "天戸户", faces_per_class=None, seed=0)
    assert choice.left_out == (("unified.ttf#0", "户戸"),) and choice.only_ambiguous == ""


def test_characters_that_no_face_tells_apart_keep_their_image_and_are_named() -> None:
    choice = choose_glyphs([face("only", {"へ": "x", "ヘ": "x"})], "へヘ", faces_per_class=None, seed=0)
    assert choice.only_ambiguous == "へヘ" and choice.left_out == () and choice.by_face[0][1] == "へヘ"


def test_a_glyph_that_another_face_gives_to_another_character_is_a_conflict_too() -> None:
    faces = [face("a", {"戸": "x", "户": "y"}), face("b", {"戸": "z", "户": "x"})]
    choice = choose_glyphs(faces, "戸户", faces_per_class=None, seed=0)
    assert choice.conflicts[0].within_a_face is False
    assert {one.path.stem: held for one, held in choice.by_face} == {"a": "户", "b": "戸"}


def test_faces_per_class_takes_one_of_each_family_first_and_varies_with_the_character() -> None:
    faces = [face(name, {char: name + char for char in CHARS}, name[0]) for name in ("a1", "a2", "a3", "b1")]
    held = chosen(faces, CHARS, most=2)
    assert held["b1"] == "".join(sorted(CHARS))  # the other family is always among two
    assert sum(map(len, held.values())) == 2 * len(CHARS) and len(held) > 2
    assert chosen(faces, CHARS, most=2) == held != chosen(faces, CHARS, most=2, seed=1)


def test_a_rare_character_uses_what_there_is() -> None:
    faces = [face("a", {"天": "1"}), face("b", {"天": "2", "龘": "3"})]
    check_faces_per_class(faces, 2)
    assert chosen(faces, "天龘", most=2) == {"a": "天", "b": "天龘"}
    with pytest.raises(DataError, match="write `faces_per_class: 2`"):
        check_faces_per_class(faces, 3)


def test_the_picture_has_a_cell_for_every_face_and_character_in_the_colour_of_its_state() -> None:
    lost = {"地": State.NOT_IN_CMAP, "玄": State.NOTDEF}
    faces = [
        Face(Path("a.ttf"), 0, "a", "A", "a", {"天": "1"}, {}, lost),
        Face(Path("b.ttf"), 0, "b", "B", "b", {"天": "1"}, {}, lost),
    ]
    picture = np.asarray(coverage_picture(faces, "天地玄"))
    matrix = picture[60:, 262:]  # beside the names of the faces
    legend = {state: np.all(picture[:60] == COLOURS[state], axis=2).sum() for state in State}
    assert min(legend.values()) == 144  # a square of 12 pixels each
    cells = {state: np.all(matrix == COLOURS[state], axis=2).sum() for state in State}
    assert cells[State.DRAWN] == 3 * 12 * 11  # two faces, and the row of all faces
    assert cells[State.NOT_IN_CMAP] == cells[State.NOTDEF] == 2 * 12 * 11
    assert np.all(matrix == NOWHERE, axis=2).sum() == 2 * 12 * 11


def test_the_picture_of_a_large_charset_is_cut_into_blocks() -> None:
    chars = "".join(chr(point) for point in range(0x4E00, 0x4E00 + 17380))
    faces = [Face(Path("a.ttf"), 0, "a", "A", "a", dict.fromkeys(chars, "1"), {}, {chars[0]: State.BLANK})]
    picture = coverage_picture(faces, chars)
    assert picture.width < 2000 and picture.height < 2000
    cells = np.all(np.asarray(picture)[60:] == COLOURS[State.DRAWN], axis=2).sum()
    assert cells == 2 * 17379 * 12 * 2  # the face and all faces, 12 x 2 pixels each
