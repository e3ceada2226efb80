"""Tables that more than one command prints."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ocr_sweep.cli.console import percent, simulated_mark
from ocr_sweep.tracking.record import OUTCOME, RunRecord


def trials_table(records: list[RunRecord], metric: str) -> Table:
    """Runs with their outcome, the study's metric with its interval, test accuracy and cost."""
    simulated = simulated_mark(any(record.simulated for record in records))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "role", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in (f"{metric}{simulated}", f"test/accuracy{simulated}", "train s"):
        table.add_column(name, justify="right")
    table.add_column("run ID", no_wrap=True)
    for record in sorted(records, key=lambda record: (record.study, record.role != "search", record.trial, record.name)):
        table.add_row(
            record.name,
            record.role,
            record.tags.get(OUTCOME, record.status.lower()),
            with_interval(record, metric),
            percent(record.metrics.get("test/accuracy")),
            f"{record.metrics['cost/train_seconds']:.0f}" if "cost/train_seconds" in record.metrics else "–",
            record.run_id,
        )
    return table


def with_interval(record: RunRecord, metric: str) -> str:
    """A metric of a run with its 95 % interval, where it has one."""
    low, high = (record.metrics.get(f"{metric}_{end}") for end in ("low", "high"))
    interval = f" [{100 * low:.1f}, {100 * high:.1f}]" if low is not None and high is not None else ""
    return f"{percent(record.metrics.get(metric))}{interval}"
