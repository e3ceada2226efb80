"""Which faces are found, and that no face ever draws what it does not have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fontTools.ttLib import TTCollection, TTFont

from ocr_sweep.corpus import fonts
from ocr_sweep.corpus.coverage import examine
from ocr_sweep.corpus.fonts import find_faces, read_faces, system_fonts
from ocr_sweep.corpus.glyphs import load_face
from ocr_sweep.corpus.policy import files_take_turns
from ocr_sweep.corpus.splits import hold_out
from ocr_sweep.errors import DataError, NotFoundError, OcrSweepError

Subset = Callable[..., Path]


def find(patterns: list[str], chars: str, folder: Path) -> tuple[list[fonts.Face], list[fonts.Skipped]]:
    return find_faces(patterns, chars, data_root=folder, cache=folder / "cache", progress=lambda what, done, total: None)


def test_a_missing_glyph_is_never_covered(tmp_path: Path, subset: Subset) -> None:
    path = subset(tmp_path / "few.ttf", "天地")
    (face,) = read_faces(path, "天地玄黃", tmp_path)
    assert face.chars == {"天", "地"}


def test_tofu_behind_a_lying_cmap_is_found_on_the_bitmap(tmp_path: Path, subset: Subset) -> None:
    path = subset(tmp_path / "liar.ttf", "天地玄黃宇")
    font = TTFont(path)
    for table in font["cmap"].tables:
        if ord("地") in table.cmap:
            table.cmap[ord("地")] = ".notdef"
            table.cmap[ord("玄")] = table.cmap[ord("黃")] = table.cmap[ord("宇")]
    font.save(path)
    assert set(examine(path, 0, "天地玄黃宇").glyph_hashes) == {
        "天"
    }  # 地 is tofu; one bitmap for three characters is a placeholder


def test_blank_glyphs_are_not_covered(tmp_path: Path, ipaex: Path) -> None:
    assert set(examine(ipaex, 0, "天\u3000").glyph_hashes) == {"天"}


def test_every_face_of_a_collection_is_read(tmp_path: Path, subset: Subset) -> None:
    collection = TTCollection()
    parts = [subset(tmp_path / "one.ttf", "天地"), subset(tmp_path / "two.ttf", "玄黃", shift=5)]
    collection.fonts = [TTFont(part) for part in parts]
    collection.save(tmp_path / "both.ttc")
    faces = read_faces(tmp_path / "both.ttc", "天地玄黃", tmp_path)
    assert [(face.label, "".join(sorted(face.chars))) for face in faces] == [("both.ttc#0", "地天"), ("both.ttc#1", "玄黃")]


def test_coverage_is_remembered_and_a_damaged_cache_is_made_again(
    tmp_path: Path, ipaex: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_faces(ipaex, "天地", tmp_path)
    (remembered,) = (tmp_path / "coverage").iterdir()
    remembered.write_text("{")
    assert read_faces(ipaex, "天地", tmp_path) == first
    monkeypatch.setattr(fonts, "examine", None)
    assert read_faces(ipaex, "天地", tmp_path) == first


def test_a_copy_of_a_face_counts_once(tmp_path: Path, subset: Subset) -> None:
    subset(tmp_path / "a.ttf", "天地玄", family="A")
    subset(tmp_path / "b.ttf", "天地玄", family="B")  # other bytes, same bitmaps
    faces, skipped = find(["*.ttf"], "天地玄", tmp_path)
    assert [face.label for face in faces] == ["a.ttf#0"]
    assert [(skip.name, skip.reason) for skip in skipped] == [("b.ttf#0", "draws the same glyphs as a.ttf#0")]


def test_a_broken_font_that_was_named_is_refused_and_one_that_was_found_is_skipped(
    tmp_path: Path, ipaex: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(ipaex.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"font .*broken.ttf cannot be read"):
        find([str(broken)], "天", tmp_path)
    monkeypatch.setattr(fonts, "system_fonts", lambda: [broken, ipaex])
    faces, skipped = find(["system"], "天", tmp_path)
    assert [face.label for face in faces] == ["ipaexg.ttf#0"]
    assert skipped[0].name == "broken.ttf" and "cannot be read" in skipped[0].reason


def test_a_font_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nothing is at .*absent\.ttf"):
        find(["absent.ttf"], "天", tmp_path)


def test_other_font_formats_are_refused(tmp_path: Path) -> None:
    (tmp_path / "font.woff2").write_bytes(b"wOF2")
    with pytest.raises(DataError, match=r"must be a \.ttf, \.otf or \.ttc file"):
        find(["font.woff2"], "天", tmp_path)


def test_fonts_that_draw_nothing_of_the_charset_are_refused(tmp_path: Path, subset: Subset) -> None:
    subset(tmp_path / "a.ttf", "天")
    with pytest.raises(DataError, match="no font draws any of the 1 characters"):
        find(["a.ttf"], "地", tmp_path)


def test_the_bundled_font_is_found_with_and_without_fontconfig(monkeypatch: pytest.MonkeyPatch, ipaex: Path) -> None:
    assert ipaex in system_fonts()
    monkeypatch.setattr(fonts.shutil, "which", lambda name: None)
    assert ipaex in system_fonts()


def test_damaged_fonts_never_crash(tmp_path: Path, subset: Subset) -> None:
    whole = subset(tmp_path / "whole.ttf", "天地玄").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for number in range(120):
        bytes_ = bytearray(whole)
        for place in rng.integers(0, len(whole) if number % 2 else 1500, 12):
            bytes_[place] = rng.integers(256)
        path = tmp_path / f"mutant{number}.ttf"
        path.write_bytes(bytes_[: rng.integers(100, len(whole))] if number % 5 == 0 else bytes_)
        try:
            read_faces(path, "天地玄", tmp_path / "cache")
        except OcrSweepError:
            refused += 1
    assert refused > 10


def face(name: str, chars: str, family: str = "") -> fonts.Face:
    return fonts.Face(Path(f"{name}.ttf"), 0, name, family or name, name, {char: name + char for char in chars})


def test_the_held_out_face_shares_no_family_with_training() -> None:
    faces = [face("a", "天地玄", "A"), face("a-bold", "天地玄", "A"), face("b", "天地玄")]
    training, held, shared = hold_out(faces, 3, 4)
    assert (held.family, {one.family for one in training}, shared) == ("b", {"A"}, False)


def test_no_class_is_lost_to_the_held_out_face() -> None:
    faces = [face("wide", "天地玄黃"), face("narrow", "天地玄")]
    training, held, shared = hold_out(faces, 4, 4)
    assert ([one.label for one in training], held.label, shared) == (["wide.ttf#0"], "narrow.ttf#0", False)


def test_no_face_stays_open_after_it_was_looked_at(ipaex: Path, tmp_path: Path) -> None:
    assert read_faces(ipaex, "天地", tmp_path / "cache")
    assert load_face.cache_info().currsize == 0


def test_a_collection_does_not_take_every_place() -> None:
    regional = [replace(face("sans", "天地玄黃"), index=i) for i in range(4)]
    faces = [*regional, face("kai", "天地玄"), face("song", "天")]
    order = [one.label for one in files_take_turns(faces)]
    assert order == ["sans.ttf#0", "kai.ttf#0", "song.ttf#0", "sans.ttf#1", "sans.ttf#2", "sans.ttf#3"]


def test_a_single_face_serves_both() -> None:
    only = face("a", "天地")
    assert hold_out([only], 2, 4) == ([only], only, True)


def test_a_face_of_poor_coverage_is_not_held_out() -> None:
    faces = [face("wide", "天地玄黃"), face("poor", "天")]
    assert hold_out(faces, 4, 4)[1:] == (faces[0], True)
