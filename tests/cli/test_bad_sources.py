"""Scanned sources that cannot be used, as a user meets them: one sentence, exit code 2, and nothing half-made."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_study import here, refused, write_study

Project = Callable[..., Path]
BOOK = {"name": "book", "path": "book", "split": {"train": 0.4, "val": 0.3, "test": 0.3}, "group": None, "max_bad": 0.0}


def with_source(project: Project, **changes: Any) -> Path:
    root = project(corpus=False)
    (root / "data" / "book").mkdir(parents=True)
    write_study(root, base__corpus__scanned=[BOOK | changes], base__corpus__simulated=[])
    return root


def untouched(root: Path) -> None:
    left = [path for path in (root / "mlruns").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert {path.name for path in left} <= {"mlflow.db"}, left


def test_a_hostile_archive(project: Project) -> None:
    root = with_source(project, path="book.zip")
    with zipfile.ZipFile(root / "data" / "book.zip", "w") as archive:
        archive.writestr("../../evil.png", b"x")
    refused(here(root, "corpus", "build", "tiny"), 2, "book.zip is not unpacked, because the name of entry", "climbs out")
    assert not list(root.rglob("evil.png"))
    untouched(root)


def test_a_label_csv_with_unknown_columns(project: Project) -> None:
    root = with_source(project, labels="labels.csv")
    (root / "data" / "book" / "labels.csv").write_text("file,label,writr\n", encoding="utf-8")
    refused(here(root, "corpus", "build", "tiny"), 2, "line 1: unknown column 'writr'")
    untouched(root)


def test_boxes_outside_the_page(project: Project) -> None:
    root = with_source(project, boxes="boxes.csv")
    Image.new("L", (40, 40), 255).save(root / "data" / "book" / "p.png")
    (root / "data" / "book" / "boxes.csv").write_text("page,label,x,y,width,height\np.png,天,30,0,20,20\n", encoding="utf-8")
    refused(here(root, "corpus", "build", "tiny"), 2, "line 2: a box must lie on its page of 40x40 pixels")
    untouched(root)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels": "a.csv", "boxes": "b.csv"}, "a source is read through `labels` or through `boxes`, but got both"),
        ({"boxes": "b.csv", "train_only": "c.csv"}, "`train_only` names image files"),
        ({"box_margin": 1.5}, "box_margin: must be <= 1, but got 1.5"),
        ({"label": "a.csv"}, "unknown key 'label'; did you mean 'labels'?"),
    ],
)
def test_a_source_block_that_contradicts_itself(changes: dict[str, Any], sentence: str, project: Project) -> None:
    refused(here(with_source(project, **changes), "corpus", "build", "tiny"), 2, "tiny.yaml:", sentence)
