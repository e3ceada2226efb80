"""The history as a chain: nothing in it can be changed, left out, moved or added without being found out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ocr_sweep.registry.chain import GENESIS, Chain, Entry, as_of, holder_in, read_chain, stack
from ocr_sweep.registry.keys import Signer

MODEL = "ocr-tiny"


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.open(tmp_path_factory.mktemp("keys") / "key")


def entry(signer: Signer, before: list[Entry], what: Any, version: int | None, **changes: Any) -> Entry:
    content = {
        "model": MODEL,
        "number": len(before) + 1,
        "previous": Chain(tuple(before)).head,
        "when": f"2026-11-{len(before) + 1:02d}T12:00:00+00:00",
        "who": "ana@lab",
        "what": what,
        "alias": "production",
        "version": version,
        "former": None,
        "run_id": "r",
        "parent": None,
        "forced": False,
        "why": "讀 '|' \"better\"",
        "evidence": {"model/model.onnx": "a" * 64},
    }
    return Entry(**{**content, **changes}).sealed(signer)


def written(signer: Signer, *moves: tuple[str, int | None]) -> list[Entry]:
    entries: list[Entry] = []
    for what, version in moves:
        entries.append(entry(signer, entries, what, version))
    return entries


def content(entries: list[Entry]) -> bytes:
    return b"".join(entry.line() for entry in entries)


@pytest.fixture(scope="module")
def three(signer: Signer) -> list[Entry]:
    return written(signer, ("promote", 1), ("promote", 2), ("rollback", 1))


def test_what_was_written_is_read(three: list[Entry]) -> None:
    chain = read_chain(content(three), MODEL)
    assert list(chain.entries) == three and not chain.broken and not chain.torn
    assert chain.head == three[-1].sha256 and three[0].previous == GENESIS
    assert read_chain(b"", MODEL) == Chain(())


def test_every_changed_byte_is_found(three: list[Entry]) -> None:
    whole = content(three)
    for place in range(0, len(whole), 7):
        for bit in (1, 32):
            changed = bytearray(whole)
            changed[place] ^= bit
            chain = read_chain(bytes(changed), MODEL)
            assert chain.broken or len(chain.entries) < 3, (place, bit, whole[place : place + 1])


def test_the_byte_between_lines_is_found_too(three: list[Entry]) -> None:
    whole = content(three)
    for place in [i for i, byte in enumerate(whole) if byte == ord("\n")]:
        changed = whole[:place] + b" " + whole[place + 1 :]
        chain = read_chain(changed, MODEL)
        assert chain.broken or len(chain.entries) < 3


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ((1, 2), "entry 1: must be number 1 of ocr-tiny, but is number 2"),
        ((0, 2), "entry 2: must be number 2 of ocr-tiny, but is number 3"),
        ((1, 0, 2), "entry 1: must be number 1"),
        ((0, 2, 1), "entry 2: must be number 2"),
        ((0, 1, 1, 2), "entry 3: must be number 3"),
    ],
)
def test_lines_that_are_missing_moved_or_doubled_are_found(three: list[Entry], order: tuple[int, ...], words: str) -> None:
    assert words in read_chain(content([three[i] for i in order]), MODEL).broken


def test_a_line_of_another_history_is_found(signer: Signer, three: list[Entry]) -> None:
    stranger = entry(signer, [], "promote", 9)
    forged = entry(signer, [stranger], "promote", 2, number=2)
    assert "must follow" in read_chain(content([three[0], forged, three[2]]), MODEL).broken
    assert "but is number 1 of ocr-tiny" in read_chain(content(three), "ocr-other").broken


def test_a_line_that_somebody_else_signed_in_a_name_is_found(tmp_path: Path, three: list[Entry]) -> None:
    thief = Signer.open(tmp_path / "other")
    changed = three[2].model_copy(update={"version": 9})
    forged = changed.sealed(thief).model_copy(update={"key": three[2].key})
    forged = forged.model_copy(update={"sha256": forged.content_sha256()})
    assert "was not signed by the key" in read_chain(content([*three[:2], forged]), MODEL).broken


def test_a_line_that_a_kill_tore_is_no_entry(three: list[Entry]) -> None:
    whole = content(three)
    for cut in (1, 40, len(three[2].line()) - 1):
        chain = read_chain(whole[: len(content(three[:2])) + cut], MODEL)
        assert list(chain.entries) == three[:2] and len(chain.torn) == cut and not chain.broken


def test_what_is_no_entry_is_said(three: list[Entry]) -> None:
    for line, words in ((b"{}", "cannot be read"), (b"\xff", "cannot be read"), (b"[" * 100_000, "cannot be read")):
        assert words in read_chain(content(three) + line + b"\n", MODEL).broken
    spaced = three[0].line().replace(b'","', b'", "', 1)
    assert "is not written as it was signed" in read_chain(spaced, MODEL).broken


def test_where_a_pointer_stands_and_how_it_came_there(signer: Signer) -> None:
    moves = [("found", 1), ("promote", 2), ("refuse", 3), ("promote", 4), ("rollback", 2)]
    entries = written(signer, *moves)
    assert holder_in(entries, "production") == 2 and holder_in(entries, "staging") is None
    assert [held.version for held in stack(entries, "production")] == [1, 2]
    again = [*entries, entry(signer, entries, "rollback", 4)]
    assert [held.version for held in stack(again, "production")] == [1, 2, 4], "a version that was taken off comes on top"
    left = [*again, entry(signer, again, "vacate", None)]
    assert holder_in(left, "production") is None and [held.version for held in stack(left, "production")] == [1, 2]


def test_what_was_there_on_a_day(signer: Signer) -> None:
    entries = written(signer, ("promote", 1), ("refuse", 3), ("promote", 2))

    def on(day: int, hour: int) -> int | None:
        found = as_of(entries, "production", datetime(2026, 11, day, hour, tzinfo=UTC))
        return found.version if found else None

    assert [on(1, 11), on(1, 12), on(2, 23), on(3, 11), on(3, 12), on(30, 0)] == [None, 1, 1, 1, 2, 2]
    assert as_of(entries, "staging", datetime(2026, 12, 1, tzinfo=UTC)) is None
