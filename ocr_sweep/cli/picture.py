"""Draws a study's state: its trainings with their curves and memory, the best so far with its uncertainty, time left."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ocr_sweep.cli.console import percent, simulated_mark
from ocr_sweep.sweep.plain_text import printable
from ocr_sweep.sweep.state import Condition, JobState, StudyState

_STYLES = {"running": "cyan", "complete": "green", "pruned": "yellow", "stopped": "yellow"}  # every other ending is red
_BARS = "▁▂▃▄▅▆▇█"
_POINTS = 12  # of a curve
_STALE = 10.0  # seconds
_SAYINGS = 3


def picture(state: StudyState, now: float) -> RenderableType:
    """What there is to see of a study at a moment, in seconds since 1970."""
    parts: list[RenderableType] = []
    if state.running or state.recent:
        parts.append(_table(state, now))
    elif state.end is None:
        work = [f"{what}: {done} of {total}" for what, (done, total) in state.building.items()]
        parts.append(Text("  ·  ".join(["building the corpus", *work]) if work else "starting"))
    parts += [Text(line, overflow="ellipsis", no_wrap=True) for line in _footer(state, now)]
    return Group(*parts)


def _table(state: StudyState, now: float) -> Table:
    title = f"study {state.study}"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("trial", "role", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("epoch", justify="right", no_wrap=True)
    table.add_column(f"{state.metric}{simulated_mark(state.simulated)}", justify="right", min_width=20)
    table.add_column("curve", no_wrap=True)
    table.add_column("memory (peak)", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("proposed", no_wrap=True, overflow="ellipsis", ratio=1)
    jobs = [*state.recent, *state.running]
    low, high = _span(jobs)
    for job in jobs:
        table.add_row(job.name.removeprefix(f"{state.study}-"), *_cells(job, now, low, high))
    return table


def _cells(job: JobState, now: float, low: float, high: float) -> tuple[str | Text, ...]:
    return (
        job.role,
        Text(job.state, style=_STYLES.get(job.state, "red")),
        f"{job.epoch}/{job.epochs}",
        with_interval(job),
        sparkline(job.curve, low, high),
        _memory(job),
        duration(job.seconds or now - job.began),
        printable("  ".join(f"{name}={value}" for name, value in job.params.items()), keep=""),
    )


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


def _memory(job: JobState) -> str:
    if job.peak_mb is None:
        return "–"
    return f"({_gigabytes(job.peak_mb)})" if job.memory_mb is None else f"{_gigabytes(job.memory_mb)} ({_gigabytes(job.peak_mb)})"


def _gigabytes(megabytes: float) -> str:
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
        lines.append(f"{what} {state.best.name}: {with_interval(state.best)}{simulated_mark(state.simulated)}")
    lines.append(_place(state, now))
    lines += [f"> {printable(saying, keep='')}" for saying in state.said[-_SAYINGS:]]
    return lines


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
        parts.append(f"memory {_gigabytes(used)} of {_gigabytes(total)}, trials {_gigabytes(trials)}")
    if state.heard and state.end is None and now - state.heard > _STALE:
        parts.append(f"last heard of {duration(now - state.heard)} ago")
    return "  ·  ".join(parts)
