"""A tiny world for the corpus room: one font, a few characters, and scans drawn on the spot."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus import build_corpus
from ocr_sweep.corpus.jobs import make_batches
from ocr_sweep.store import CorpusView

CHARS = "天地玄日月一口國書。永龍"


@pytest.fixture(scope="session")
def ipaex() -> Path:
    spec = importlib.util.find_spec("matplotlib_fontja")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "fonts" / "ipaexg.ttf"


@pytest.fixture(scope="session")
def subset(ipaex: Path) -> Callable[..., Path]:
    """Write a font that draws only `chars`, under another family name; `shift` widens its outlines by so many percent."""

    def write(path: Path, chars: str, family: str = "", shift: int = 0) -> Path:
        font = TTFont(ipaex)
        cutter = Subsetter(Options(notdef_outline=True, layout_features=[]))
        cutter.populate(text=chars)
        cutter.subset(font)
        for record in font["name"].names:
            if record.nameID in (1, 4, 6, 16):
                record.string = family or path.stem
        for name in font.getGlyphOrder():
            glyph = font["glyf"][name]
            if shift and name != ".notdef" and glyph.numberOfContours > 0:
                glyph.coordinates.scale((1 + shift / 100, 1))
                glyph.recalcBounds(font["glyf"])
        font.save(path)
        return path

    return write


@pytest.fixture(scope="session")
def picture(ipaex: Path) -> Callable[..., Image.Image]:
    """Draw a character, dark on gray paper: seed 0 as the font has it, every other seed as another writer would."""

    def draw(char: str, seed: int = 0, side: int = 96) -> Image.Image:
        rng = np.random.default_rng([seed, ord(char)])
        image = Image.new("L", (side, side), 225)
        place = tuple(int(v) for v in side / 2 + rng.integers(-4, 5, 2))
        font = ImageFont.truetype(str(ipaex), int(rng.integers(side * 2 // 3, side * 3 // 4)))
        ImageDraw.Draw(image).text(place, char, fill=int(rng.integers(20, 60)), font=font, anchor="mm")
        noise = rng.integers(-6, 7, (side, side))
        return Image.fromarray(np.clip((_bent(np.asarray(image), rng) if seed else image) + noise, 0, 255).astype(np.uint8))

    return draw


def _bent(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.int16]:
    """Move every point by a smooth field of up to a tenth of the side."""
    side = image.shape[0]
    field = cv2.GaussianBlur(rng.normal(size=(side, side, 2)).astype(np.float32), (0, 0), side / 8)
    field *= side / 14 / np.abs(field).max()
    y, x = np.mgrid[:side, :side].astype(np.float32)
    bent = cv2.remap(image, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR, borderValue=225)
    return np.asarray(bent, dtype=np.int16)


@pytest.fixture
def scans(tmp_path: Path, picture: Callable[..., Image.Image]) -> Path:
    """A data root with the source `book`: five characters, eight pictures each, by four writers."""
    root = tmp_path / "data"
    lines = ["file,writer"]
    for char in CHARS[:5]:
        folder = root / "book" / char
        folder.mkdir(parents=True)
        for number in range(8):
            picture(char, number).save(folder / f"{number}.png")
            lines.append(f"{char}/{number}.png,w{number % 4}")
    (root / "book" / "meta.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "book" / "README.txt").write_text("ignored")
    return root


@pytest.fixture
def recipe(ipaex: Path) -> Callable[..., CorpusConfig]:
    """A small valid recipe; keywords replace its blocks."""

    def make(**changes: Any) -> CorpusConfig:
        base: dict[str, Any] = {
            "name": "tiny",
            "seed": 7,
            "image_size": 32,
            "charset": {"chars": CHARS},
            "rendered": {"fonts": [str(ipaex)], "max_faces": 4},
            "scanned": [],
            "scanned_per_class": 50,
            "simulated": [{"name": "simulated", "val_per_class": 1, "test_per_class": 2, "wear": 0.5}],
        }
        return CorpusConfig.model_validate(base | changes)

    return make


@pytest.fixture
def book() -> Callable[..., dict[str, Any]]:
    """The block of the scanned source `book`; keywords replace its values."""

    def make(**changes: Any) -> dict[str, Any]:
        split = {"train": 0.5, "val": 0.25, "test": 0.25}
        return {"name": "book", "path": "book", "split": split, "group": None, "max_bad": 0.0} | changes

    return make


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., CorpusView]:
    """Build a recipe under a fresh folder."""

    def run(recipe: CorpusConfig, data: Path = Path("/nowhere"), *, workers: int = 1, into: str = "corpora") -> CorpusView:
        places = {"data_root": data, "corpora": tmp_path / into, "cache": tmp_path / "cache"}
        return build_corpus(
            recipe, **places, make=partial(make_batches, workers=workers), progress=lambda what, done, total: None
        )

    return run
