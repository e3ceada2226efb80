"""What a watcher sees, at every width of the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ocr_sweep.cli.live import ended_line
from ocr_sweep.cli.picture import duration, picture, sparkline
from ocr_sweep.sweep.watching.state import Condition, JobState, StudyState

NOW = 1_000_000.0


def study() -> StudyState:
    params = {"model": "unet", "handover_at": "0.8", "rendered.strength": "0.2"}
    done = JobState("s-0000", "f", "search", "r", 10, params, NOW - 90, "complete", 10, [0.1, 0.5, 0.8], 0.8, 0.7, 0.9, 83.0)
    runs = JobState("s-0001-seed1", "f", "confirm", "r", 10, params, NOW - 42, epoch=4, curve=[0.2, 0.3], value=0.3)
    runs.memory_mb, runs.peak_mb, done.peak_mb = 2048.0, 2600.0, 413.0
    state = StudyState(
        "s", "val/accuracy_macro", heard=NOW - 1, since=NOW - 200, engine="local", slots=2, total=12, simulated=True
    )
    state.ended, state.recent, state.running, state.best = {"complete": 1, "oom": 1}, [done], [runs], done
    state.spent_seconds, state.num_spent, state.machine_mb, state.said = 83.0, 1, (4096.0, 24576.0), ["hear me"]
    return state


def drawn(state: StudyState, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    console.print(picture(state, NOW))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_everything_is_there_where_there_is_room() -> None:
    shown = drawn(study(), 180)
    for what in ("0001-seed1", "confirm", "4/10", "80.0 % [70.0, 90.0]", "2.0 GB", "2.5 GB", "42 s", "1 min 23 s", "model=unet"):
        assert what in shown, what
    for what in ("(simulated)", "2 of 12 trainings done", "1 running, 2 at a time", "about", "1 oom", "memory 4.0 GB of 24.0 GB"):
        assert what in shown, what
    assert "best so far s-0000: 80.0 % [70.0, 90.0]" in shown and "> hear me" in shown and "last heard" not in shown
    assert "▁▅█" in shown, "curves share one scale"


def test_the_best_so_far_is_said_to_be_flattered_and_the_winner_is_not() -> None:
    state = study()
    assert "flattered" not in drawn(state, 180), "one training is no choice"
    state.ended["complete"] = 3
    assert "80.0 % [70.0, 90.0] (simulated), the highest of 3 and flattered by that" in drawn(state, 180)
    state.end = Condition.FINISHED
    assert "flattered" not in drawn(state, 180)


def test_without_a_terminal_each_line_has_its_interval() -> None:
    state = study()
    line = ended_line(state, state.recent[0])
    assert line == "[2/12] s-0000 complete  val/accuracy_macro (simulated) 80.0 % [70.0, 90.0]  83 s"


@pytest.mark.parametrize("width", range(60, 200, 7))
def test_no_line_is_too_long_and_no_cell_is_cut_short(width: int) -> None:
    lines = drawn(study(), width).splitlines()
    assert all(len(line) <= width for line in lines)
    table = [line for line in lines if line.startswith(("trial", "0000", "0001"))]
    assert len(table) == 3, "one line for each training"
    cut = [line for line in table if "…" in line.split("model=")[0]]
    assert not cut, "a narrow terminal gets fewer columns, and those whole"


def test_a_silent_supervisor_and_an_end_are_told() -> None:
    state = study()
    state.heard = NOW - 60
    assert "last heard of 1 min 0 s ago" in drawn(state, 180)
    state.end = Condition.FINISHED
    shown = drawn(state, 180)
    assert "winner s-0000" in shown and "left" not in shown and "running" not in shown.splitlines()[-3]


def test_a_study_without_trials_says_what_it_builds() -> None:
    state = StudyState("s", "m", building={"drawing glyphs": (3, 9)})
    assert "building the corpus  ·  drawing glyphs: 3 of 9" in drawn(state, 100)


def test_sparklines_and_durations() -> None:
    assert sparkline([0.0, 0.5, 1.0], 0.0, 1.0) == "▁▅█" and sparkline([], 0, 1) == ""
    long = sparkline([i / 99 for i in range(100)], 0.0, 1.0)
    assert len(long) <= 12 and long[-1] == "█"
    assert [duration(s) for s in (42, 185, 7800, 273600)] == ["42 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"]
