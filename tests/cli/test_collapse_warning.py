"""Prints of one type, as a user meets them: a warning wherever the corpus is looked at, gone once the source says what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tiny_study import draw_book, here, write_study

BOOK: dict[str, Any] = {
    "name": "book",
    "path": "book",
    "split": {"train": 0.4, "val": 0.3, "test": 0.3},
    "group": None,
    "max_bad": 0.0,
}


def test_every_command_warns_and_says_what_to_write(project: Callable[..., Path]) -> None:
    root = project(corpus=False)
    draw_book(root)
    rng = np.random.default_rng(1)
    type_ = np.asarray(Image.open(root / "data" / "book" / "天" / "0.png")).astype(np.int16)
    for number in range(8):  # one type, eight times, on other paper
        Image.fromarray(np.clip(type_ + rng.integers(-4, 5, (32, 32)), 0, 255).astype(np.uint8)).save(
            root / "data" / "book" / "天" / f"{number}.png"
        )
    write_study(root, base__corpus__scanned=[BOOK])
    for command in ("build", "audit", "clean"):
        done = here(root, "corpus", command, "tiny")
        assert done.code == 0 and "source 'book': most scans of 1 classes look like copies" in done.out, command
        assert "天 U+5929 (of 天 8 of 8)" in done.out and "`near_duplicates: false`" in done.out
    assert here(root, "corpus", "show", "tiny").code == 0
    assert "near_duplicates: false" in (root / "reports" / "tiny-corpus.html").read_text(encoding="utf-8")
    write_study(root, base__corpus__scanned=[BOOK | {"near_duplicates": False}])
    for command in ("build", "audit", "clean"):
        done = here(root, "corpus", command, "tiny")
        assert done.code == 0 and "look like copies" not in done.out
