"""The live table of a study: trials, epochs, best so far with its uncertainty, time left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ocr_sweep.cli.console import percent, simulated_mark
from ocr_sweep.sweep.board import Job

_RECENT = 12  # ended trainings that stay in the table


@dataclass
class _Row:
    job: Job
    run_id: str
    began: float
    epoch: int = 0
    value: float | None = None
    state: str = "running"
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class LiveBoard:
    """A board in the terminal; where there is no terminal, one line for each training that ends."""

    def __init__(self, console: Console, *, study: str, metric: str) -> None:
        self._console = console
        self._study = study
        self._metric = metric
        self._simulated = False  # known from the first job on
        self._rows: dict[str, _Row] = {}
        self._total = 0
        self._slots = 1
        self._durations: list[float] = []
        self._building: dict[str, tuple[int, int]] = {}
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=2, transient=True)

    def __enter__(self) -> LiveBoard:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def building(self, what: str, done: int, total: int) -> None:
        """See `Board`."""
        self._building[what] = (done, total)

    def plan(self, *, total: int, slots: int) -> None:
        """See `Board`."""
        self._building.clear()
        self._total = sum(row.state != "running" for row in self._rows.values()) + total
        self._slots = slots

    def started(self, job: Job, run_id: str, resumed: bool) -> None:
        """See `Board`."""
        self._rows[job.name] = _Row(job, run_id, time.monotonic())
        self._simulated = bool(job.config.corpus.simulated)
        if resumed:
            self.say(f"{job.name} goes on from its checkpoint")

    def epoch(self, job: Job, epoch: int, metrics: dict[str, float]) -> None:
        """See `Board`."""
        row = self._rows[job.name]
        row.epoch = epoch
        row.value = metrics.get(f"epoch/{self._metric}")

    def ended(self, job: Job, outcome: str, metrics: dict[str, float], reason: str) -> None:
        """See `Board`."""
        row = self._rows[job.name]
        row.state, row.metrics = outcome, metrics
        row.value = metrics.get(self._metric, row.value)
        row.seconds = time.monotonic() - row.began
        self._durations.append(row.seconds)
        if outcome == "failed":
            self.say(f"{job.name} failed: {reason}")
        if not self._console.is_terminal:
            done = sum(other.state != "running" for other in self._rows.values())
            value = f"{self._metric}{simulated_mark(self._simulated)} {percent(row.value)}"
            self._console.print(f"[{done}/{self._total}] {job.name} {outcome}  {value}  {row.seconds:.0f} s", markup=False)

    def say(self, message: str) -> None:
        """See `Board`."""
        self._console.print(message, markup=False)

    def _render(self) -> RenderableType:
        if not self._rows:
            work = [f"{what}: {done} of {total}" for what, (done, total) in self._building.items()]
            return Text("  ·  ".join(["building the corpus", *work]) if work else "starting")
        table = Table(title=f"study {self._study}", title_justify="left", header_style="bold")
        for name in (
            "trial",
            "role",
            "state",
            "epoch",
            f"{self._metric}{simulated_mark(self._simulated)}",
            "seconds",
            "differs from the base",
        ):
            table.add_column(name, justify="left" if name in ("trial", "role", "state", "differs from the base") else "right")
        ended = [row for row in self._rows.values() if row.state != "running"][-_RECENT:]
        running = [row for row in self._rows.values() if row.state == "running"]
        for row in [*ended, *running]:
            table.add_row(*self._cells(row))
        return Group(table, self._footer(len(running)))

    def _cells(self, row: _Row) -> tuple[str | Text, ...]:
        seconds = row.seconds or time.monotonic() - row.began
        style = {"running": "cyan", "complete": "green", "pruned": "yellow", "failed": "red"}.get(row.state, "")
        return (
            row.job.name.removeprefix(f"{self._study}-"),
            row.job.role,
            Text(row.state, style=style),
            f"{row.epoch}/{row.job.config.num_epochs}",
            self._value(row),
            f"{seconds:.0f}",
            "  ".join(f"{key.split('.', 1)[-1]}={_short(value)}" for key, value in row.job.params.items()),
        )

    def _value(self, row: _Row) -> str:
        low, high = (row.metrics.get(f"{self._metric}_{end}") for end in ("low", "high"))
        interval = f" [{100 * low:.1f}, {100 * high:.1f}]" if low is not None and high is not None else ""
        return f"{percent(row.value)}{interval}"

    def _footer(self, num_running: int) -> Text:
        done = sum(row.state != "running" for row in self._rows.values())
        parts = [f"{done} of {self._total} trainings done, {num_running} running"]
        finished = [row for row in self._rows.values() if row.state == "complete"]
        if finished:
            best = max(finished, key=lambda row: row.value or 0.0)
            parts.append(f"best so far {best.job.name}: {self._value(best)}{simulated_mark(self._simulated)}")
        if self._durations:
            each = sum(self._durations) / len(self._durations)
            parts.append(f"about {max(0.0, (self._total - done - num_running / 2) * each / self._slots):.0f} s left")
        return Text("  ·  ".join(parts))


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
