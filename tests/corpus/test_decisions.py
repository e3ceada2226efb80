from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.errors import DataError, NotFoundError
from ocr_sweep.store import CorpusView, Source

Recipe, Book, Build = Callable[..., CorpusConfig], Callable[..., dict[str, Any]], Callable[..., CorpusView]
HEAD = "file,action,label,why\r\n"


@pytest.fixture
def decided(recipe: Recipe, book: Book, build: Build, scans: Path) -> Callable[[str], CorpusView]:
    """Build the source `book` with a decisions file of this text."""

    def run(text: str) -> CorpusView:
        (scans / "decisions.csv").write_bytes(text.encode())
        return build(recipe(scanned=[book(decisions="decisions.csv")], simulated=[]), scans)

    return run


def labels(view: CorpusView) -> dict[str, str]:
    scanned = view.rows["source"] == Source.SCANNED
    return {name: view.chars[k] for name, k, real in zip(view.names, view.class_ids, scanned, strict=True) if real}


def test_what_is_dropped_is_gone_and_counted_and_what_is_relabelled_moves(decided: Callable[[str], CorpusView]) -> None:
    view = decided(
        "\ufeff"
        + HEAD
        + 'book/U+5929/3.png,drop,,"blurred, cut"\r\nbook/U+5730/1.png,relabel,玄,\r\nbook/U+5730/2.png,relabel,U+7384,\r\n'
    )
    found = labels(view)
    assert "book/U+5929/3.png" not in found
    assert view.manifest["left_out"]["scans/book"] == {"dropped_by_decision": ["U+5929/3.png"]}
    assert found["book/U+5730/1.png"] == found["book/U+5730/2.png"] == "玄"
    assert len(found) == 39


def test_only_what_changes_the_corpus_changes_its_name(
    decided: Callable[[str], CorpusView], recipe: Recipe, book: Book, build: Build, scans: Path
) -> None:
    plain = build(recipe(scanned=[book()], simulated=[]), scans).fingerprint
    kept = decided(HEAD + "book/U+5929/3.png,keep,,\r\n").fingerprint
    dropped = decided(HEAD + "book/U+5929/3.png,drop,,\r\n").fingerprint
    reworded = decided(HEAD + "book/U+5929/3.png,drop,,for another reason\r\nbook/U+5730/1.png,keep,,\r\n").fingerprint
    moved = decided(HEAD + "book/U+5929/3.png,relabel,地,\r\n").fingerprint
    assert kept == plain
    assert dropped == reworded
    assert len({plain, dropped, moved}) == 3


def test_the_first_ten_rows_that_cannot_be_followed_are_listed_at_once(decided: Callable[[str], CorpusView]) -> None:
    rows = [f"book/U+5929/no{i}.png,drop,," for i in range(9)]
    rows += ["book/U+5929/1.png,delete,,", "book/U+5929/2.png,relabel,Q,", "book/U+5929/3.png,drop,,", "book/U+5929/3.png,keep,,"]
    with pytest.raises(DataError) as caught:
        decided(HEAD + "\r\n".join(rows))
    message = str(caught.value)
    assert message.startswith("12 rows of")
    assert message.count("\n") == 11
    assert "line 2: `file` must name a scan as <source>/U+XXXX/<image>, but there is no 'book/U+5929/no0.png'" in message
    assert "line 11: `action` must be keep, drop, relabel, but got 'delete'" in message
    assert message.endswith("... and 2 more")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("book/U+5929/2.png,relabel,Q,", "`label` must be a character of the charset or its U+XXXX, but got 'Q'"),
        ("book/U+5929/2.png,relabel,,", "`label` must be"),
        ("book/U+5929/2.png,drop,,\nbook/U+5929/2.png,keep,,", "is decided in line 2 already"),
    ],
)
def test_a_row_is_explained(row: str, sentence: str, decided: Callable[[str], CorpusView]) -> None:
    with pytest.raises(DataError, match="1 rows of") as caught:
        decided(HEAD + row)
    assert sentence in str(caught.value)


def test_a_scan_outside_the_charset_may_stand_in_a_shared_file(
    decided: Callable[[str], CorpusView], scans: Path, picture: Callable[..., Any]
) -> None:
    (scans / "book" / "犬").mkdir()
    picture("犬").save(scans / "book" / "犬" / "0.png")
    assert len(labels(decided(HEAD + "book/U+72AC/0.png,drop,,\r\n"))) == 40


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"file,action\nx,drop\n", "lacks label, why"), (b"\xff\xfe\x00", "must be UTF-8"), (b"", "must have the columns")],
)
def test_a_file_that_is_no_table_of_decisions(
    content: bytes, sentence: str, recipe: Recipe, book: Book, build: Build, scans: Path
) -> None:
    (scans / "decisions.csv").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        build(recipe(scanned=[book(decisions="decisions.csv")], simulated=[]), scans)


def test_a_named_file_must_exist_and_leave_some_scans(recipe: Recipe, book: Book, build: Build, scans: Path) -> None:
    with pytest.raises(NotFoundError, match=r"decisions file .* does not exist"):
        build(recipe(scanned=[book(decisions="none.csv")], simulated=[]), scans)
    every = [f"book/U+{ord(file.parent.name):04X}/{file.name},drop,," for file in (scans / "book").glob("*/*.png")]
    (scans / "all.csv").write_text(HEAD + "\n".join(every), encoding="utf-8")
    with pytest.raises(DataError, match="drop every scan of source 'book'"):
        build(recipe(scanned=[book(decisions="all.csv")], simulated=[]), scans)
