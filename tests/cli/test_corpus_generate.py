"""`ocr-sweep corpus generate`: every mistake in one sentence, and a Ctrl-C that loses nothing."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import yaml
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from tiny_study import CHARS, here, ipaex, refused, started

MORE = "山川水火木金土田目耳手足人大小"
RECIPE = {
    "name": "gap",
    "seed": 0,
    "image_size": 16,
    "charset": {"chars": CHARS + MORE},
    "rendered": {"fonts": ["system"], "max_faces": 1},
    "scanned": [],
    "scanned_per_class": 5,
    "simulated": [{"name": "simulated", "val_per_class": 1, "test_per_class": 1, "wear": 0.3}],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose recipe has a second style: IPAex with strokes moved."""
    (tmp_path / "sweeps").mkdir()
    font = TTFont(ipaex())
    cutter = Subsetter(Options(notdef_outline=True, layout_features=[]))
    cutter.populate(text=CHARS + MORE)
    cutter.subset(font)
    for name in font.getGlyphOrder():
        glyph = font["glyf"][name]
        if glyph.numberOfContours > 0:
            glyph.coordinates.scale((0.85, 1))
            glyph.recalcBounds(font["glyf"])
    font.save(tmp_path / "narrow.ttf")
    recipe = RECIPE | {"rendered": {"fonts": [str(ipaex())], "max_faces": 1}}
    (tmp_path / "gap.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
    return tmp_path


def order(root: Path, **options: str) -> list[str]:
    chosen = {"source-font": str(ipaex()), "target-font": str(root / "narrow.ttf"), "out": "drawn", "chars": "國書"} | options
    small = {"steps": "4", "size": "32", "base-channels": "4", "learn": "20", "held-back": "6"}
    named = {name.replace("_", "-"): value for name, value in (small | chosen).items()}
    return ["corpus", "generate", str(root / "gap.yaml"), *(f"--{name}={value}" for name, value in named.items())]


def test_mistakes(root: Path) -> None:
    refused(here(root, *order(root, out="a/b")), 2, "--out: a name must be 1 to 64")
    refused(here(root, *order(root, size="40")), 2, "--size must be a multiple of 16, but got 40; write 32")
    refused(here(root, *order(root, **{"target-font": str(ipaex())})), 2, "must draw different glyphs")
    refused(here(root, *order(root, **{"source-font": "nowhere.ttf"})), 2, "no such font file: nowhere.ttf")
    refused(here(root, *order(root, chars="")), 2, "nothing is missing")
    command = order(root)
    command[2] = "elsewhere"
    refused(here(root, *command), 2, "no study 'elsewhere'")
    assert not (root / "data").exists()


def test_a_ctrl_c_checkpoints_and_the_same_command_goes_on(root: Path) -> None:
    command = order(root, steps="100000")
    lock = root / "mlruns" / "cache" / "gan"
    with started(root, *command) as process:
        deadline = time.monotonic() + 120
        while not list(lock.glob("*.lock")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "stopped by SIGINT; step " in said and "the same command goes on" in said
    assert len(list(lock.glob("*.generator"))) == 1
    assert not (root / "data").exists()
