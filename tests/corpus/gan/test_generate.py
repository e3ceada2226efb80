"""From fonts to a folder: split, drawn, accepted, written whole or not at all; and every wrong order in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus.gan import GanOrder, GanPlan, GanSettings, generate, plan_gan
from ocr_sweep.corpus.gan import generate as generate_function
from ocr_sweep.corpus.gan import plan as plan_module
from ocr_sweep.corpus.glyphs import draw_glyph, ink_box, normalise_ink
from ocr_sweep.corpus.pictures import read_ink
from ocr_sweep.errors import ConflictError, DataError, NotFoundError, OcrSweepError, StoppedError

DRAWN = "天地玄日月口國書人大小山川水火木金土田目耳手足"
NEW = "永龍"

Plan = Callable[..., GanPlan]


def silent(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def styled(subset: Callable[..., Path], tmp_path: Path) -> Path:
    """A second style: IPAex a third narrower, without `NEW`."""
    font = subset(tmp_path / "narrow.ttf", DRAWN, family="Narrow", shift=-30)
    from fontTools.ttLib import TTFont

    opened = TTFont(font)
    for record in opened["name"].names:
        if record.nameID == 6:
            record.string = "Narrow-Regular"
    opened.save(font)
    return font


@pytest.fixture
def plan(recipe: Callable[..., CorpusConfig], ipaex: Path, styled: Path, tmp_path: Path) -> Plan:
    """Plan the tiny GAN; keywords change the order, `recipe_fonts` the recipe."""

    def make(recipe_fonts: list[Path] | None = None, seed: int = 0, **changes: Any) -> GanPlan:
        rendered = {"fonts": [str(font) for font in recipe_fonts or [styled]], "max_faces": 2}
        config = recipe(charset={"chars": DRAWN + NEW}, rendered=rendered)
        order = GanOrder(str(ipaex), (str(styled),), (), "", 15, 6, 0.0)
        settings = GanSettings(32, 4, 4, 4, 1e-3, seed)
        places = {"data_root": tmp_path, "cache": tmp_path / "cache"}
        return plan_gan(config, replace(order, **changes), settings, **places, progress=silent)

    return make


def run(plan: GanPlan, folder: Path, progress: Callable[[str, int, int], None] = silent) -> dict[str, Any]:
    return generate(plan, folder, cache=folder.parent / "cache", threads=1, progress=progress, note=lambda text: None)


def test_what_is_learnt_measured_and_drawn_are_apart(plan: Plan) -> None:
    made = plan()
    assert made.new == {"Narrow-Regular": NEW}
    assert not set(made.learn) & set(made.held_back) and len(made.held_back) == 6
    assert set(made.learn + made.held_back) <= set(DRAWN)
    assert [face.label for face in made.judges] == ["ipaexg.ttf#0"]
    assert plan().identity == made.identity != plan(seed=1).identity
    assert plan(seed=1).held_back != made.held_back


def test_asked_characters_are_drawn_and_never_learnt(plan: Plan) -> None:
    made = plan(chars="天地")
    assert made.new == {"Narrow-Regular": "天地"}
    assert not set("天地") & set(made.learn + made.held_back)


def test_no_target_teaches_the_recogniser(plan: Plan, ipaex: Path, styled: Path) -> None:
    assert [face.label for face in plan(recipe_fonts=[styled, ipaex], chars=NEW).judges] == ["ipaexg.ttf#0"]


def test_a_folder_is_written_whole_and_only_accepted_drawings(plan: Plan, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(generate_module(), "recogniser_steps", lambda classes: 3)
    monkeypatch.setattr(generate_module(), "judge", one_in_two)
    report = run(plan(), tmp_path / "out")
    images = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*"))
    assert images == ["U+6C38", "U+6C38/Narrow-Regular.png", "report.json", "sheet.png"]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert report["accepted"] == {"Narrow-Regular": 1}
    assert [verdict["char"] for verdict in report["dropped"]["Narrow-Regular"]] == ["龍"]
    assert report["held_back"]["Narrow-Regular"]["characters"] == 6
    assert str(tmp_path) not in (tmp_path / "out" / "report.json").read_text()
    assert not list(tmp_path.glob(".out*"))
    assert run(plan(), tmp_path / "out", progress=never) == report  # finished: nothing is trained again
    with pytest.raises(ConflictError, match="holds something else"):
        run(plan(seed=1), tmp_path / "out")


def test_a_mark_is_as_small_in_a_corpus_as_a_font_draws_it(ipaex: Path, tmp_path: Path) -> None:
    marks = ["。", "、", "·", "一", "口", "國"]
    for char in marks:
        glyph = draw_glyph(ipaex, 0, char, 64)
        generate_module()._in_its_em(glyph).save(tmp_path / "drawn.png")
        again = normalise_ink(read_ink(tmp_path / "drawn.png"), 64)
        boxes = [ink_box(image) for image in (glyph, again)]
        assert boxes[0] is not None and boxes[1] is not None
        assert max(abs(a - b) for a, b in zip(*boxes, strict=True)) <= 1, char
        assert np.abs(glyph.astype(float) - again).mean() < 8, char


def test_a_stop_leaves_no_folder_and_the_same_bytes_come_later(plan: Plan, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(generate_module(), "recogniser_steps", lambda classes: 3)
    monkeypatch.setattr(generate_module(), "judge", one_in_two)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for stop in (("training the generator", 2), ("training the recogniser", 1)):

        def stopping(what: str, done: int, total: int, stop: tuple[str, int] = stop) -> None:
            if (what, done) == stop:
                raise StoppedError("stopped by SIGINT")

        with pytest.raises(StoppedError):
            run(plan(), tmp_path / "a" / "out", progress=stopping)
        assert not (tmp_path / "a" / "out").exists()
    run(plan(), tmp_path / "a" / "out")
    run(plan(), tmp_path / "b" / "out")
    for path in (tmp_path / "b" / "out").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "a" / "out" / path.relative_to(tmp_path / "b" / "out")).read_bytes(), path.name


def test_a_failure_while_writing_leaves_nothing(plan: Plan, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(generate_module(), "recogniser_steps", lambda classes: 3)
    monkeypatch.setattr(generate_module(), "judge", one_in_two)

    def full(path: Path, value: Any) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(generate_module(), "write_json", full)
    with pytest.raises(OcrSweepError, match="No space left"):
        run(plan(), tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_when_nothing_is_accepted_there_is_no_folder(plan: Plan, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(generate_module(), "recogniser_steps", lambda classes: 3)
    with pytest.raises(DataError, match="none of the 2 drawings was accepted"):
        run(plan(threshold=1.0), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_orders(plan: Plan, ipaex: Path, styled: Path, subset: Callable[..., Path], tmp_path: Path) -> None:
    latin, few = subset(tmp_path / "latin.ttf", "abc"), subset(tmp_path / "few.ttf", "天地玄", shift=-30)
    with pytest.raises(NotFoundError, match="no such font file: nowhere"):
        plan(source_font="nowhere.ttf")
    with pytest.raises(DataError, match="draws none of the"):
        plan(target_fonts=(str(latin),))
    with pytest.raises(DataError, match="must draw different glyphs"):
        plan(target_fonts=(str(ipaex),))
    with pytest.raises(DataError, match="at least 16 common characters to learn from, but share"):
        plan(target_fonts=(str(few),))
    with pytest.raises(DataError, match="nothing is missing"):
        plan(recipe_fonts=[ipaex])
    with pytest.raises(DataError, match="lacks all of it"):
        plan(source_font=str(styled), target_fonts=(str(ipaex),), chars=NEW)
    with pytest.raises(DataError, match="draw the 2 missing characters themselves"):
        plan(source_font=str(subset(tmp_path / "wide.ttf", DRAWN + NEW, shift=40)), target_fonts=(str(ipaex),))
    with pytest.raises(DataError, match="must name one visible character"):
        plan(chars="天 地")


def test_a_face_of_a_collection_is_named_by_its_number(ipaex: Path, tmp_path: Path) -> None:
    assert plan_module.named_face(f"{ipaex}#0", "天", tmp_path, tmp_path / "cache").index == 0
    with pytest.raises(DataError, match="face 3 of font"):
        plan_module.named_face(f"{ipaex}#3", "天", tmp_path, tmp_path / "cache")


def generate_module() -> Any:
    import sys

    return sys.modules[generate_function.__module__]


def one_in_two(probabilities: np.ndarray[Any, Any], classes: str, chars: str, threshold: float) -> list[Any]:
    from ocr_sweep.corpus.gan.acceptance import Verdict

    return [Verdict(char, classes[0], 0.5, number % 2 == 0) for number, char in enumerate(chars)]


def never(what: str, done: int, total: int) -> None:
    raise AssertionError("nothing should be done")
