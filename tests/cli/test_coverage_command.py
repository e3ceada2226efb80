"""`ocr-sweep corpus coverage`: the table, the picture, one character, and mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tiny_study import ipaex

RECIPE = """
name: few
seed: 0
image_size: 32
charset: {{file: few.txt}}
rendered: {rendered}
scanned: [{{name: book, path: book, split: {{train: 0.5, val: 0.25, test: 0.25}}, group: null, max_bad: 0.0}}]
scanned_per_class: 50
simulated: []
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    corpora = tmp_path / "sweeps" / "corpora"
    corpora.mkdir(parents=True)
    (corpora / "few.txt").write_text("天地玄黃𠀁", encoding="utf-8")
    rendered = f"{{fonts: ['{ipaex()}'], max_faces: 2}}"
    (corpora / "few.yaml").write_text(RECIPE.format(rendered=rendered), encoding="utf-8")
    (corpora / "scans.yaml").write_text(RECIPE.format(rendered="null"), encoding="utf-8")
    return tmp_path


def coverage(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ocr_sweep", "corpus", "coverage", *arguments]
    return subprocess.run(command, env={**os.environ, "OCR_SWEEP_HOME": str(home)}, capture_output=True, text=True, check=False)


def test_the_table_and_the_picture_name_what_no_face_draws(home: Path) -> None:
    done = coverage(home, "few", "--page")
    assert done.returncode == 0, done.stderr
    assert "IPAexGothic" in done.stdout and "characters by number of faces: 0: 1, 1: 4" in done.stdout
    assert "no face draws: 𠀁 U+20001" in done.stdout
    with Image.open(home / "reports" / "few-coverage.png") as picture:
        assert picture.width >= 900


def test_one_character_and_mistakes(home: Path) -> None:
    assert "not in cmap" in coverage(home, "few", "--char", "𠀁").stdout
    for arguments, message in ((("few", "--char", "龘"), "must be one of the 5"), (("scans",), "draws nothing from fonts")):
        done = coverage(home, *arguments)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
