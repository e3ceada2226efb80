"""Numbers as people read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What a cost metric is called, and the unit that people read it in."""

    name: str
    unit: str
    scale: float  # units per unit of the metric


COSTS = {
    "cost/parameters": Cost("parameters", "M", 1e-6),
    "cost/train_seconds": Cost("training time", "min", 1 / 60),
    "cost/onnx_bytes": Cost("ONNX file", "MB", 1e-6),
    "cost/latency_ms": Cost("latency per image", "ms", 1.0),
}


def percent(share: float) -> str:
    """0.8612 -> 86.1 %."""
    return f"{100.0 * share:.1f} %"


def points(share: float) -> str:
    """0.031 -> 3.1, in percentage points; a minus sign is a real one."""
    return f"{100.0 * share:.1f}".replace("-0.0", "0.0").replace("-", "\N{MINUS SIGN}")


def runs_of(count: int) -> str:
    """1 -> 1 run, 3 -> 3 runs."""
    return f"{count} run" if count == 1 else f"{count} runs"


def amount(metric: str, value: float) -> str:
    """A cost in its unit to three digits, e.g. 12.4 M, 3.1 min, 48 MB, 2.1 ms."""
    cost = COSTS[metric]
    return f"{value * cost.scale:.3g} {cost.unit}"
