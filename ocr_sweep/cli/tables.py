"""Tables that more than one command prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ocr_sweep.cli.console import percent, simulated_mark
from ocr_sweep.tracking.record import OUTCOME, RunRecord

if TYPE_CHECKING:
    from ocr_sweep.metrics import Interval
    from ocr_sweep.report.reported import Reported


def trials_table(records: list[RunRecord], metric: str) -> Table:
    """Runs with their outcome, the study's metric with its interval, and cost. Test numbers are not shown side by side."""
    simulated = simulated_mark(any(record.simulated for record in records))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "role", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in (f"{metric}{simulated}", "train s"):
        table.add_column(name, justify="right")
    table.add_column("run ID", no_wrap=True)
    for record in sorted(records, key=lambda record: (record.study, record.role != "search", record.trial, record.name)):
        table.add_row(
            record.name,
            record.role,
            record.tags.get(OUTCOME, record.status.lower()),
            with_interval(record, metric),
            f"{record.metrics['cost/train_seconds']:.0f}" if "cost/train_seconds" in record.metrics else "–",
            record.run_id,
        )
    return table


def with_interval(record: RunRecord, metric: str) -> str:
    """A metric of a run with its 95 % interval, where it has one."""
    low, high = (record.metrics.get(f"{metric}_{end}") for end in ("low", "high"))
    interval = f" [{100 * low:.1f}, {100 * high:.1f}]" if low is not None and high is not None else ""
    return f"{percent(record.metrics.get(metric))}{interval}"


def reported_table(reported: Reported) -> Table:
    """Published numbers, ours, and whether they agree on the order of the arms."""
    first = reported.rows[0].arm
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("arm", no_wrap=True)
    for name in ("reported", f"against {first}", "means something", "here", f"against {first}"):
        table.add_column(name, justify="right")
    table.add_column("so")
    for row in reported.rows:
        lead = "" if row.reported_lead is None else f"{100 * row.reported_lead:+.2f}"
        means = "" if row.reported_lead is None else "yes" if row.telling else "no"
        ours, our_lead = _between(row.accuracy, ".1f"), _between(row.lead, "+.1f")
        table.add_row(row.arm, f"{100 * row.reported:.2f}", lead, means, ours, our_lead, row.conclusion)
    return table


def _between(interval: Interval | None, form: str) -> str:
    if interval is None:
        return ""
    value, low, high = (format(100 * x, form) for x in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"
