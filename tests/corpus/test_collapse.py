"""A class whose scans look like copies of one picture is named, and a switch lets prints of one type be different scans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus.audit import audit_store
from ocr_sweep.corpus.cleaning import find_suspects
from ocr_sweep.corpus.collapse import collapse_warnings, collapsed
from ocr_sweep.store import CorpusView

PRINTS = 12


@pytest.fixture
def printed(scans: Path, picture: Callable[..., Image.Image]) -> Path:
    """The source `book`, and a source `type` in which 天 was printed twelve times with one type."""
    (scans / "type" / "天").mkdir(parents=True)
    for number in range(PRINTS):
        rng = np.random.default_rng(number)
        levels = np.asarray(picture("天", 30)).astype(np.int16) + rng.integers(-9, 10, (96, 96))
        Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).save(scans / "type" / "天" / f"{number}.png")
    for seed in range(40, 44):
        (scans / "type" / "地").mkdir(exist_ok=True)
        picture("地", seed).save(scans / "type" / "地" / f"{seed}.png")
    return scans


def sets_of(view: CorpusView, char: str) -> set[str]:
    rows = zip(view.names, view.rows["set_id"].tolist(), strict=True)
    return {view.set_names[i] for name, i in rows if name.startswith(f"type/U+{ord(char):04X}/")}


@pytest.mark.parametrize("switch", [True, False])
def test_prints_of_one_type_collapse_unless_the_recipe_says_so(
    switch: bool,
    recipe: Callable[..., CorpusConfig],
    book: Callable[..., dict[str, Any]],
    build: Callable[..., CorpusView],
    printed: Path,
) -> None:
    wanted = recipe(scanned=[book(), book(name="type", path="type", near_duplicates=switch)], simulated=[])
    view = build(wanted, printed)
    assert view.manifest["collapsed"] == ({"type": {"天": [PRINTS, PRINTS]}} if switch else {})
    assert (len(sets_of(view, "天")) == 1) is switch
    assert audit_store(view) == []
    copies = find_suspects(view, recipe=wanted, data_root=printed).copies
    assert ([len(group) for group in copies] == [PRINTS]) is switch


def test_equal_pixels_stay_together_whatever_the_switch(
    recipe: Callable[..., CorpusConfig],
    book: Callable[..., dict[str, Any]],
    build: Callable[..., CorpusView],
    printed: Path,
) -> None:
    for file in sorted((printed / "type").glob("*/*.png")):
        file.with_name(f"again-{file.name}").write_bytes(file.read_bytes())
    wanted = recipe(scanned=[book(name="type", path="type", near_duplicates=False)], simulated=[])
    view = build(wanted, printed)
    homes: dict[str, set[int]] = {}
    for name, row in zip(view.names, view.rows, strict=True):
        if name.startswith("type/"):
            homes.setdefault(name.replace("again-", ""), set()).add(int(row["set_id"]))
    assert len(homes) == PRINTS + 4 and {len(sets) for sets in homes.values()} == {1}
    assert len(find_suspects(view, recipe=wanted, data_root=printed).copies) == PRINTS + 4


def test_a_class_collapses_when_most_of_its_scans_show_one_picture() -> None:
    scans = [("a", "天", "x")] * 4 + [("a", "天", "y")] * 3
    assert collapsed(scans) == {"a": {"天": [4, 7]}}
    assert collapsed([*scans, ("a", "天", "z")]) == {}, "half is not most"
    assert collapsed([("a", "天", "x")] * 3) == {}, "three may well be copies"
    assert collapsed([("a", "天", "x")] * 2 + [("b", "天", "x")] * 2) == {}


def test_the_warning_names_classes_and_says_what_to_write() -> None:
    (warning,) = collapse_warnings({"collapsed": {"book": {"地": [4, 5], "天": [11, 12]}}})
    for part in ("'book'", "2 classes", "天 U+5929, 地 U+5730", "of 天 11 of 12", "`near_duplicates: false`"):
        assert part in warning
    assert list(collapse_warnings({"collapsed": {}})) == list(collapse_warnings({})) == []
