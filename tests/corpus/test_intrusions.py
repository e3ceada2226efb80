"""A neighbour's stroke that enters from the edge goes; a character's own stroke that touches it stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ocr_sweep.corpus.glyphs import PREPROCESSING, Gray
from ocr_sweep.corpus.intrusions import Window, content_window, remove_intrusions
from ocr_sweep.corpus.pictures import ink_of_gray, read_ink

SIDE = 200  # pixels
WHOLE = Window(0, 0, SIDE, SIDE)


def drawn(*boxes: tuple[int, int, int, int]) -> Gray:
    """Ink in the boxes (left, top, right, bottom), beside a character in the middle that keeps clear of the edges."""
    ink = np.zeros((SIDE, SIDE), np.uint8)
    for left, top, right, bottom in ((60, 60, 140, 76), (92, 60, 108, 140), (60, 124, 140, 140), *boxes):
        ink[top:bottom, left:right] = 255
    return ink


@pytest.mark.parametrize(
    "intruder", [(80, 0, 110, 12), (80, 188, 110, 200), (0, 80, 12, 110), (188, 80, 200, 110), (180, 0, 200, 14)]
)
def test_a_neighbours_stroke_is_erased_from_the_pixels(intruder: tuple[int, int, int, int]) -> None:
    assert np.array_equal(remove_intrusions(drawn(intruder), WHOLE), drawn())


def test_neighbours_on_two_sides_are_both_erased() -> None:
    assert np.array_equal(remove_intrusions(drawn((80, 0, 110, 12), (90, 190, 130, 200)), WHOLE), drawn())


def test_the_soft_seam_of_a_stroke_goes_with_it() -> None:
    ink = drawn((80, 0, 110, 12))
    ink[12, 80:110] = 40  # below the level that counts as ink
    assert np.array_equal(remove_intrusions(ink, WHOLE), drawn())


@pytest.mark.parametrize(
    ("stroke", "why"),
    [
        ((95, 0, 105, 60), "it is part of the body"),
        ((80, 0, 110, 54), "it is near the body"),
        ((0, 20, 200, 40), "it is as long as the picture and not small"),
        ((80, 3, 110, 15), "it does not reach the edge"),
    ],
)
def test_a_stroke_of_the_character_stays(stroke: tuple[int, int, int, int], why: str) -> None:
    ink = drawn(stroke)
    assert remove_intrusions(ink, WHOLE) is ink, why


def test_a_stroke_that_reaches_deep_stays() -> None:
    ink = drawn((10, 0, 18, 62))
    assert remove_intrusions(ink, WHOLE) is ink


def test_the_tip_of_a_slanting_dot_touches_and_is_not_cut() -> None:
    ink = drawn()
    for row in range(24):
        ink[row, 100 - row : 103 + row] = 255  # a tip of three pixels at the edge, 49 wide below
    ink[24:28, 77:126] = 255
    assert remove_intrusions(ink, WHOLE) is ink


@pytest.mark.parametrize("char", "六心穴小永")
def test_dots_of_a_tightly_cropped_character_stay(char: str, picture: Callable[..., Image.Image]) -> None:
    ink = ink_of_gray(np.asarray(picture(char, side=160), dtype=np.float32))
    rows, columns = np.flatnonzero(ink.max(axis=1) > 64), np.flatnonzero(ink.max(axis=0) > 64)
    tight = np.ascontiguousarray(ink[rows[0] + 1 : rows[-1], columns[0] + 1 : columns[-1]])
    assert remove_intrusions(tight, Window(0, 0, tight.shape[1], tight.shape[0])) is tight


def padded(picture: Callable[..., Image.Image], intruding: bool) -> Image.Image:
    """A rubbing of 160 pixels pasted on black."""
    gray = 255 - np.asarray(picture("永", side=160)).astype(int)
    gray = np.where(gray < 120, gray // 2 + 20, gray)  # grainy stone, white strokes
    if intruding:
        gray[60:90, 150:160] = 230
    canvas = np.full((220, 220), 3, np.uint8)
    canvas[30:190, 30:190] = gray
    return Image.fromarray(canvas)


def test_a_neighbour_is_cut_by_the_scans_edge_and_not_by_the_paddings(
    picture: Callable[..., Image.Image], tmp_path: Path
) -> None:
    padded(picture, intruding=False).save(tmp_path / "clean.png")
    padded(picture, intruding=True).save(tmp_path / "intruded.png")
    clean, intruded = read_ink(tmp_path / "clean.png"), read_ink(tmp_path / "intruded.png")
    assert intruded[90:120, 178:192].max() == 0
    assert np.abs(clean.astype(int) - intruded).mean() < 1.5


def test_padding_is_found_by_the_grain_of_the_paper(picture: Callable[..., Image.Image]) -> None:
    gray = np.asarray(padded(picture, intruding=False), dtype=np.float32)
    window = content_window(gray, ink_of_gray(gray))
    assert np.abs(np.array([window.left, window.top, 220 - window.right, 220 - window.bottom]) - 30).max() <= 1


def test_a_drawing_without_paper_has_no_padding() -> None:
    ink = drawn()
    assert content_window(255 - ink.astype(np.float32), ink) == WHOLE


def test_the_rule_is_written_down_with_its_constants() -> None:
    for name in ("intrusion_share", "intrusion_depth", "intrusion_cut", "intrusion_gap", "tight_gap"):
        assert name in PREPROCESSING and name in PREPROCESSING["intrusions"]


@pytest.mark.data
def test_of_real_tight_crops_none_changes_and_of_real_rubbings_some_do(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ocr_sweep.corpus import pictures

    def changed(collection: str, chars: str) -> int:
        count = 0

        def spy(ink: Gray, window: Window) -> Gray:
            nonlocal count
            cleared = remove_intrusions(ink, window)
            count += cleared is not ink
            return cleared

        monkeypatch.setattr(pictures, "remove_intrusions", spy)
        for path in sorted(path for char in chars for path in (real_data / collection / char).iterdir()):
            read_ink(path)
        return count

    assert changed("casia_hwdb96", "宁寸") == 0
    assert changed("hist_caoquanbei", "出氏不月官或") >= 5
