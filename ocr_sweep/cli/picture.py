"""Draws a study's state: its trainings with their curves and memory, the best so far with its uncertainty, time left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ocr_sweep.cli.console import percent, simulated_mark
from ocr_sweep.sweep.watching.plain_text import printable
from ocr_sweep.sweep.watching.state import Condition, JobState, StudyState

_STYLES = {"running": "cyan", "complete": "green", "pruned": "yellow", "stopped": "yellow"}  # every other ending is red
_BARS = "▁▂▃▄▅▆▇█"
_POINTS = 12  # of a curve
_STALE = 10.0  # seconds
_SAYINGS = 3
_RIGHT = ("epoch", "memory", "peak", "time")
_GIVEN_UP = ("role", "peak", "time", "memory", "curve", "epoch")  # columns that a narrow terminal does without, the first first
_PROPOSED = "proposed"  # gets the room that is left
_GAP = 3  # columns of the terminal between two of the table


def picture(state: StudyState, now: float) -> RenderableType:
    """What there is to see of a study at a moment, in seconds since 1970."""
    return _Picture(state, now)


@dataclass(frozen=True)
class _Picture:
    state: StudyState
    now: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        state = self.state
        if state.running or state.recent:
            yield Text(f"study {state.study}", style="bold")
            yield _table(state, self.now, options.max_width)
        elif state.end is None:
            work = [f"{what}: {done} of {total}" for what, (done, total) in state.building.items()]
            yield Text("  ·  ".join(["building the corpus", *work]) if work else f"study {state.study}: starting")
        for line in _footer(state, self.now):
            yield Text(line, overflow="ellipsis", no_wrap=True)


def _table(state: StudyState, now: float, width: int) -> Table:
    rows = _rows(state, now)
    metric = f"{state.metric}{simulated_mark(state.simulated)}"
    widths = {name: max(cell_len(str(row[name])) for row in rows) for name in rows[0]}
    widths = {name: max(cell_len(metric if name == "metric" else name), widths[name]) + _GAP for name in widths}
    room = width - sum(widths.values()) + widths.pop(_PROPOSED)
    for name in _GIVEN_UP:
        room += widths.pop(name) if room < 0 else 0
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in widths:
        table.add_column(metric if name == "metric" else name, justify="right" if name in _RIGHT else "left", no_wrap=True)
    if room > len(_PROPOSED) + _GAP:
        widths[_PROPOSED] = room
        table.add_column(_PROPOSED, no_wrap=True, overflow="ellipsis", max_width=room - _GAP)
    for row in rows:
        table.add_row(*(row[name] for name in widths))
    return table


def _rows(state: StudyState, now: float) -> list[dict[str, str | Text]]:
    jobs = [*state.recent, *state.running]
    low, high = _span(jobs)
    return [
        {
            "trial": job.name.removeprefix(f"{state.study}-"),
            "role": job.role,
            "state": Text(job.state, style=_STYLES.get(job.state, "red")),
            "epoch": f"{job.epoch}/{job.epochs}",
            "metric": with_interval(job),
            "curve": sparkline(job.curve, low, high),
            "memory": "" if job.memory_mb is None else gigabytes(job.memory_mb),
            "peak": "" if job.peak_mb is None else gigabytes(job.peak_mb),
            "time": duration(job.seconds or now - job.began),
            _PROPOSED: printable("  ".join(f"{name}={value}" for name, value in job.params.items()), keep=""),
        }
        for job in jobs
    ]


def with_interval(job: JobState) -> str:
    """The metric of a training with its 95 % interval, where it has one."""
    interval = f" [{100 * job.low:.1f}, {100 * job.high:.1f}]" if job.low is not None and job.high is not None else ""
    return f"{percent(job.value)}{interval}"


def sparkline(curve: Sequence[float], low: float, high: float, points: int = _POINTS) -> str:
    """A curve in one line of text, from `low` to `high`; a long one is shown by every so manieth point, its last among them."""
    step = max(1, -(-len(curve) // points))
    shown = curve[::-1][::step][::-1]
    height = (high - low) or 1.0
    return "".join(_BARS[round((len(_BARS) - 1) * min(1.0, max(0.0, (value - low) / height)))] for value in shown)


def _span(jobs: Sequence[JobState]) -> tuple[float, float]:
    """One scale for all curves in view, so that they can be compared."""
    values = [value for job in jobs for value in job.curve]
    return min(values, default=0.0), max(values, default=1.0)


def gigabytes(megabytes: float) -> str:
    """Megabytes as people read them: 413 MB, 2.6 GB."""
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _footer(state: StudyState, now: float) -> list[str]:
    lines = [_progress(state, now)]
    if state.best is not None:
        what = "winner" if state.end is Condition.FINISHED else "best so far"
        lines.append(f"{what} {state.best.name}: {with_interval(state.best)}{simulated_mark(state.simulated)}{_flattered(state)}")
    lines.append(_place(state, now))
    lines += [f"> {printable(saying, keep='')}" for saying in state.said[-_SAYINGS:]]
    return lines


def _flattered(state: StudyState) -> str:
    """The largest of several numbers promises too much, which its interval does not know; the winner's knows."""
    number = state.ended.get("complete", 0)
    return f", the highest of {number} and flattered by that" if state.end is not Condition.FINISHED and number > 1 else ""


def _progress(state: StudyState, now: float) -> str:
    parts = [f"{state.done} of {max(state.total, state.done)} trainings done"]
    if state.end is None:
        parts.append(f"{len(state.running)} running, {state.slots} at a time")
        left = state.seconds_left(now)
        parts += [f"about {duration(left)} left"] if left is not None else []
    bad = [f"{count} {outcome}" for outcome, count in state.ended.items() if outcome != "complete"]
    return "  ·  ".join([*parts, *bad])


def _place(state: StudyState, now: float) -> str:
    parts = [f"{state.engine or 'local'} engine on {state.host}, process {state.pid}, for {duration(now - state.since)}"]
    if state.machine_mb is not None and state.end is None:
        used, total = state.machine_mb
        trials = sum(job.memory_mb or 0.0 for job in state.running)
        parts.append(f"memory {gigabytes(used)} of {gigabytes(total)}, trials {gigabytes(trials)}")
    if state.heard and state.end is None and now - state.heard > _STALE:
        parts.append(f"last heard of {duration(now - state.heard)} ago")
    return "  ·  ".join(parts)
