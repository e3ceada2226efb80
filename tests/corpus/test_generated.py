"""Generated images: they only ever train, are counted and flagged, and never put out a scan."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus import plan_corpus
from ocr_sweep.corpus.generated import choose_per_class
from ocr_sweep.corpus.scans import Scan
from ocr_sweep.errors import DataError, NotFoundError
from ocr_sweep.store import CorpusView, Source

Recipe = Callable[..., CorpusConfig]
Build = Callable[..., CorpusView]
Block = Callable[..., dict[str, Any]]
MISSING = "永龍"


@pytest.fixture
def drawn() -> Block:
    def make(**changes: Any) -> dict[str, Any]:
        return {"name": "gan", "path": "gan", "per_class": 2, "fill": "missing", "max_bad": 0.0} | changes

    return make


@pytest.fixture
def data(tmp_path: Path, picture: Callable[..., Image.Image]) -> Path:
    """A data root with generated images, three each, of two characters that the font below lacks and one that it draws."""
    for char in MISSING + "天":
        folder = tmp_path / "data" / "gan" / f"U+{ord(char):04X}"
        folder.mkdir(parents=True)
        for number in range(3):
            picture(char, number).save(folder / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def gap(recipe: Recipe, subset: Callable[..., Path], tmp_path: Path, drawn: Block) -> Recipe:
    """A recipe whose font draws all but `MISSING`."""
    font = subset(tmp_path / "gap.ttf", "天地玄日月一口國書。")

    def make(**changes: Any) -> CorpusConfig:
        return recipe(**({"rendered": {"fonts": [str(font)], "max_faces": 1}, "generated": [drawn()]} | changes))

    return make


def train_chars(view: CorpusView, source: Source) -> list[str]:
    return [view.chars[row["class_id"]] for row in view.rows[view.indices("train")] if row["source"] == source]


def test_they_fill_what_no_font_draws_and_never_judge(gap: Recipe, build: Build, data: Path) -> None:
    view = build(gap(), data)
    assert sorted(train_chars(view, Source.GENERATED)) == sorted(MISSING * 2)
    assert not set(MISSING) & set(train_chars(view, Source.RENDERED))
    for split in ("val", "test"):
        assert Source.GENERATED not in view.rows["source"][view.indices(split)]
    assert view.manifest["counts"]["train"] == {"images": 14, "classes": 12, "rendered": 10, "generated": 4}
    assert view.manifest["generated_only"] == MISSING
    assert view.real_counts.sum() == 0
    assert set(MISSING) <= set(view.manifest["classes_without"]["real_train"])
    assert view.manifest["left_out"]["generated/gan"] == {"drawn_by_a_font": 3, "over_per_class": 2}


def test_without_them_the_class_has_no_image(gap: Recipe, data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no font draws and no scan shows 2 of 12"):
        plan_corpus(gap(generated=[]), data_root=data, cache=tmp_path / "cache")


def test_fill_all_takes_drawn_characters_too(gap: Recipe, build: Build, data: Path, drawn: Block) -> None:
    view = build(gap(generated=[drawn(fill="all", per_class=3)]), data)
    assert sorted(train_chars(view, Source.GENERATED)) == sorted((MISSING + "天") * 3)
    assert view.manifest["generated_only"] == MISSING
    assert "generated/gan" not in view.manifest["left_out"]


def test_the_fingerprint_follows_the_images_and_not_their_place(gap: Recipe, data: Path, tmp_path: Path, drawn: Block) -> None:
    def name(**changes: Any) -> str:
        return plan_corpus(gap(generated=[drawn(**changes)]), data_root=data, cache=tmp_path / "cache").fingerprint

    first = name()
    shutil.copytree(data / "gan", data / "copy")
    assert name(path="copy") == first
    assert name(per_class=1) != first
    (data / "gan" / f"U+{ord('永'):04X}" / "0.png").unlink()
    assert name() != first


def test_the_choice_is_the_seeds_and_not_the_orders() -> None:
    scans = [Scan(Path(f"{n}.png"), f"U+4E00/{n}.png", "一", f"{n}", None) for n in range(20)]
    chosen = {scan.file for scan in choose_per_class(scans, 5, seed=1)}
    assert len(chosen) == 5
    assert {scan.file for scan in choose_per_class(scans[::-1], 5, seed=1)} == chosen
    assert {scan.file for scan in choose_per_class(scans, 5, seed=2)} != chosen


def test_a_generated_copy_never_puts_out_a_scan(gap: Recipe, build: Build, scans: Path, book: Block, drawn: Block) -> None:
    """The picture stands in the scans as 地 and among the generated ones as 永: the scan stays."""
    for char in MISSING:
        (scans / "gan" / char).mkdir(parents=True)
    shutil.copy(scans / "book" / "地" / "0.png", scans / "gan" / "永" / "0.png")
    shutil.copy(scans / "book" / "地" / "1.png", scans / "gan" / "龍" / "0.png")
    split = {"train": 1.0, "val": 0.0, "test": 0.0}
    view = build(gap(scanned=[book(split=split)], generated=[drawn()]), scans)
    assert train_chars(view, Source.SCANNED).count("地") == 8
    assert "conflicting_labels" not in view.manifest["left_out"].get("scans/book", {})


def test_an_unreadable_image_is_refused_by_name(gap: Recipe, build: Build, data: Path, drawn: Block) -> None:
    for number in range(3):
        (data / "gan" / f"U+{ord('永'):04X}" / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"2 of 4 images of generated source 'gan' cannot be used"):
        build(gap(), data)
    with pytest.raises(DataError, match="every class needs a training image"):
        build(gap(generated=[drawn(max_bad=0.5)]), data)


def test_a_missing_folder_is_named(gap: Recipe, build: Build, data: Path, drawn: Block) -> None:
    with pytest.raises(NotFoundError, match="generated source 'gan': there is no folder 'elsewhere'"):
        build(gap(generated=[drawn(path="elsewhere")]), data)


def test_a_recipe_without_the_block_means_what_it_meant(recipe: Recipe) -> None:
    assert recipe().generated == []


def test_two_sources_of_one_name_are_refused(recipe: Recipe, book: Block, drawn: Block) -> None:
    with pytest.raises(ValidationError, match="got twice: book"):
        recipe(scanned=[book()], generated=[drawn(name="book")])
