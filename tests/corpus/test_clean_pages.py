from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from ocr_sweep.cli.app import app
from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus.cleaning import Findings, find_suspects
from ocr_sweep.report.clean import write_clean_page
from ocr_sweep.store import CorpusView

Picture = Callable[..., Image.Image]
CHARS = "天地玄日月國"
HOSTILE = "<b>x&.png"


@pytest.fixture
def data(tmp_path: Path, picture: Picture) -> Path:
    """A source of six characters by ten hands: wrong labels, a copy, a conflict in pixels, one in looks, a scarce character."""
    root = tmp_path / "data"
    for char in CHARS:
        folder = root / "book" / char
        folder.mkdir(parents=True)
        for hand in range(1, 11 if char != "國" else 4):
            picture(char, hand).save(folder / f"{hand}.png")
    picture("國", 31).save(root / "book" / "天" / HOSTILE)
    picture("日", 32).save(root / "book" / "月" / "wrong.png")
    picture("地", 1).resize((70, 70), Image.Resampling.BICUBIC).save(root / "book" / "地" / "copy.jpg")
    picture("玄", 41).save(root / "book" / "玄" / "both.png")
    picture("玄", 41).save(root / "book" / "天" / "both.png")
    picture("月", 42).save(root / "book" / "月" / "near.png")
    picture("月", 42).resize((120, 120), Image.Resampling.BICUBIC).save(root / "book" / "日" / "near.jpg")
    return root


@pytest.fixture
def made(
    data: Path, recipe: Callable[..., CorpusConfig], book: Callable[..., dict[str, Any]], build: Callable[..., CorpusView]
) -> Callable[[str], tuple[CorpusConfig, CorpusView, Findings]]:
    """Build the corpus under these decisions, and look through it."""

    def run(decisions: str = "") -> tuple[CorpusConfig, CorpusView, Findings]:
        (data / "decided.csv").write_text("file,action,label,why\n" + decisions, encoding="utf-8")
        split = {"train": 0.6, "val": 0.2, "test": 0.2}
        config = recipe(scanned=[book(split=split, decisions="decided.csv")], simulated=[], charset={"chars": CHARS})
        view = build(config, data)
        return config, view, find_suspects(view, recipe=config, data_root=data)

    return run


def named(groups: tuple[tuple[Any, ...], ...]) -> set[frozenset[str]]:
    return {frozenset(scan.name for scan in group) for group in groups}


def test_wrong_labels_copies_and_conflicts_are_found(made: Callable[..., Any]) -> None:
    _, view, found = made()
    suspects = {suspect.scan.name: suspect for suspect in found.suspects}
    assert view.chars[suspects["book/U+6708/wrong.png"].predicted] == "日"
    assert named(found.copies) == {frozenset({"book/U+5730/1.png", "book/U+5730/copy.jpg"})}
    assert named(found.conflicts) == {
        frozenset({"book/U+7384/both.png", "book/U+5929/both.png"}),
        frozenset({"book/U+6708/near.png", "book/U+65E5/near.jpg"}),
    }
    assert found.num_scans == 53 + 2 + 1 + 2
    assert found.num_silenced == 0


def test_nothing_is_proposed_for_test_and_for_scarce_characters(made: Callable[..., Any]) -> None:
    _, view, found = made()
    counts = {k: sum(view.rows["source"][view.class_ids == k] == 1) for k in range(len(CHARS))}
    assert found.suspects
    for suspect in found.suspects:
        careful = suspect.scan.set_name.startswith("test") or counts[suspect.scan.class_id] < 5
        assert bool(suspect.review_only) == careful


def test_what_is_decided_is_not_asked_again(made: Callable[..., Any]) -> None:
    decisions = "book/U+6708/wrong.png,keep,,\nbook/U+5730/copy.jpg,keep,,\nbook/U+5929/both.png,drop,,\n"
    _, view, found = made(decisions)
    assert "book/U+6708/wrong.png" not in {suspect.scan.name for suspect in found.suspects}
    assert found.copies == ()
    assert named(found.conflicts) == {frozenset({"book/U+6708/near.png", "book/U+65E5/near.jpg"})}
    assert found.num_silenced == 2
    assert "book/U+7384/both.png" in view.names


def test_the_contact_sheet_is_whole_in_itself_and_escapes_names(made: Callable[..., Any], tmp_path: Path) -> None:
    config, view, found = made("book/U+5730/copy.jpg,keep,,seen </script>\n")
    page = write_clean_page(tmp_path / "pages" / "clean.html", view=view, recipe=config, findings=found).read_text("utf-8")
    assert "<b>x" not in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "http://" not in page and "https://" not in page
    assert page.count("</script>") == 2
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))  # type: ignore[union-attr]
    assert data["saved"] == [["book/U+5730/copy.jpg", "keep", "", "seen </script>"]]
    assert data["chars"] == CHARS
    files = set(re.findall(r'data-file="([^"]+)"', page))
    assert "book/U+6708/wrong.png" in files
    assert "book/U+7384/both.png" in files


def test_the_commands_write_their_pages(data: Path, tmp_path: Path, ipaex: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / "sweeps" / "corpora").mkdir(parents=True)
    (home / "sweeps" / "corpora" / "shelf.yaml").write_text(
        f"name: shelf\nseed: 0\nimage_size: 32\ncharset: {{chars: {CHARS}}}\nrendered: {{fonts: [{ipaex}], max_faces: 1}}\n"
        "scanned:\n  - {name: book, path: book, group: null, split: {train: 0.6, val: 0.2, test: 0.2}, max_bad: 0.0}\n"
        "scanned_per_class: 50\nsimulated: []\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("OCR_SWEEP_HOME", str(home))
    monkeypatch.setenv("OCR_SWEEP_DATA", str(data))
    for command, page, words in (
        ("clean", "shelf-clean.html", "book/U+6708/wrong.png"),
        ("show", "shelf-corpus.html", "equal pictures with different labels"),
    ):
        done = CliRunner().invoke(app, ["corpus", command, "shelf"], catch_exceptions=False)
        assert done.exit_code == 0
        assert str(home / "reports" / page) in done.output
        assert words in (home / "reports" / page).read_text("utf-8")
