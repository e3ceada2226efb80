"""The lines of a trial's events: what is not what was written is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ocr_sweep.sweep.trials.events import Event, EventLog, parsed

EVENTS = [Event(epoch, {"epoch/val/accuracy": 0.1 * epoch, "epoch/lr": 1e-5 / 3}, 1000 + epoch) for epoch in (1, 2, 3)]


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    log = EventLog(tmp_path / "events.jsonl")
    for event in EVENTS:
        log.append(event)
    return log


def test_a_line_is_json_and_comes_back_to_the_bit() -> None:
    line = EVENTS[1].line()
    assert json.loads(line)["metrics"] == EVENTS[1].metrics and parsed(line) == EVENTS[1]


def test_any_changed_bit_of_a_line_is_seen() -> None:
    content = EVENTS[1].line().encode()
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            assert parsed(changed.decode("utf-8", errors="replace")) is None, (place, bit)


def test_a_damaged_line_in_the_middle_is_left_out_and_counted(log: EventLog, tmp_path: Path) -> None:
    assert log.num_damaged() == 0
    path = tmp_path / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b"0.2", b"0.3"))
    assert log.events() == [EVENTS[0], EVENTS[2]] and log.num_damaged() == 1
    log.append(EVENTS[1])
    assert log.events() == EVENTS and log.num_damaged() == 1, "told again after a restart; the damage stays to be seen"


def test_a_torn_end_is_no_damage_and_is_gone_when_it_is_healed(log: EventLog, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert log.num_damaged() == 0 and log.events() == EVENTS[:2]
    log.heal()
    log.append(EVENTS[2])
    assert log.events() == EVENTS and log.num_damaged() == 0


def test_lines_of_former_versions_have_no_checksum_and_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(vars(event)) + "\n" for event in EVENTS[:2]))
    log = EventLog(path)
    log.append(EVENTS[2])
    assert log.events() == EVENTS and log.num_damaged() == 0
    path.write_text('{"epoch": 1, "metrics": {}, "timest\n' + path.read_text())
    assert log.num_damaged() == 1
