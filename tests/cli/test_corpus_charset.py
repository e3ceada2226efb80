"""`ocr-sweep corpus charset` through the front door."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_study import here, ipaex, refused

from ocr_sweep.config.charset_file import read_charset_file

Project = Callable[..., Path]
COMMAND = ("corpus", "charset")


@pytest.fixture
def root(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in whose folder the commands run, as a person would."""
    folder = project(corpus=False)
    monkeypatch.chdir(folder)
    return folder


def test_the_same_command_writes_the_same_bytes_and_its_rule(root: Path) -> None:
    words = (*COMMAND, "hiragana", "jisx0208-1", "--only", "ideographs", "--fonts", str(ipaex()), "--size", "100", "--out")
    done = here(root, *words, "one.txt")
    assert done.code == 0 and "100 characters in one.txt" in done.out, done.err
    assert here(root, *words, "one.txt", "--replace").code == 0
    first = (root / "one.txt").read_bytes()
    assert here(root, *words, "deep/one.txt").code == 0
    assert (root / "deep" / "one.txt").read_bytes() == first
    text = first.decode()
    assert "# jisx0208-1: 2,965 taken of 2,965\n" in text and "# size: the first 100 of 2,965\n" in text
    assert "# font ipaexg.ttf, sha256 " in text and str(ipaex().parent) not in text
    assert read_charset_file(root / "one.txt").startswith("亜唖娃阿")


def test_a_lab_s_pickle_becomes_text_that_this_machine_draws(root: Path) -> None:
    (root / "lab.pkl").write_bytes(pickle.dumps(["天", "\U0003134a", "地"]))
    done = here(root, *COMMAND, "lab.pkl", "--fonts", str(ipaex()), "--out", "lab.txt")
    assert done.code == 0 and "left out 1: U+3134A" in done.out, (done.out, done.err)
    assert read_charset_file(root / "lab.txt") == "天地"


def test_the_characters_of_a_folder_of_scans(root: Path) -> None:
    for char, count in (("地", 2), ("天", 3), ("玄", 1)):
        (root / "data" / "book" / char).mkdir(parents=True)
        for number in range(count):
            (root / "data" / "book" / char / f"{number}.png").touch()
    assert here(root, *COMMAND, "--scans", "book", "--min-scans", "2", "--out", "book.txt").code == 0
    assert read_charset_file(root / "book.txt") == "地天"
    refused(here(root, *COMMAND, "--scans", "nobook", "--out", "x.txt"), 2, "no folder of scans 'nobook'")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("klingon", "--out", "x.txt"), 2, "no set of characters 'klingon'; known encodings: gb2312"),
        (("--out", "x.txt"), 2, "name a set of characters"),
        (("gb2312", "--out", "x.json"), 2, "--out must name a .txt file"),
        (("gb2312", "--only", "hanzi", "--out", "x.txt"), 2, "--only must be one of ideographs, kana"),
        (
            ("gb2312", "--only", "bopomofo", "--size", "900", "--out", "x.txt"),
            2,
            "--size 900 asks for more than the 37 characters",
        ),
        (("gb2312", "--distinct", "--out", "x.txt"), 2, "add --fonts"),
        (("gb2312", "--fonts", "none.ttf", "--out", "x.txt"), 2, "nothing is at"),
        (("gb2312", "--add", "か\u3099", "--out", "x.txt"), 2, "U+3099"),
        (("evil.pkl", "--out", "x.txt"), 2, "nothing of it was run"),
        (("hiragana", "--out", "there.txt"), 5, "write --replace to write over it"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(root: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    (root / "there.txt").write_text("mine")
    (root / "evil.pkl").write_bytes(b"cos\nsystem\n(V" + f"touch {root}/marker".encode() + b"\ntR.")
    refused(here(root, *COMMAND, *words), code, sentence)
    assert not (root / "x.txt").exists() and (root / "there.txt").read_text() == "mine" and not (root / "marker").exists()


def test_a_recipe_beyond_the_fonts_says_what_to_do(root: Path) -> None:
    recipe = {
        "name": "wide", "seed": 0, "image_size": 32, "charset": {"chars": "天地\U0003134a"}, "scanned": [],
        "scanned_per_class": 0, "rendered": {"fonts": [str(ipaex())], "max_faces": 1},
        "simulated": [{"name": "simulated", "val_per_class": 1, "test_per_class": 1, "wear": 0.1}],
    }  # fmt: skip
    (root / "sweeps" / "corpora").mkdir(exist_ok=True)
    (root / "sweeps" / "corpora" / "wide.yaml").write_text(json.dumps(recipe, ensure_ascii=False))
    refused(here(root, "corpus", "build", "wide"), 2, "U+3134A", "Install fonts that draw them", "--fonts system")


def test_check_reads_recipes_too(root: Path) -> None:
    (root / "sweeps" / "corpora").mkdir(exist_ok=True)
    wrong = root / "sweeps" / "corpora" / "wrong.yaml"
    wrong.write_text("name: wrong\n")
    refused_by_all, refused_by_name = here(root, "sweep", "check"), here(root, "sweep", "check", os.fspath(wrong))
    for done in (refused_by_all, refused_by_name):
        assert done.code == 2 and "wrong.yaml:1: the key 'charset' is missing" in done.err, done.err
