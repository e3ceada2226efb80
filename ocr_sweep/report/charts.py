"""The charts of a comparison: accuracy with whiskers, cost against accuracy, learning curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from ocr_sweep.metrics import Interval, Reliability, reliability
from ocr_sweep.report.arms import Arm, in_split, standing
from ocr_sweep.report.svg import Scale, bottom_axis, colour, drawing, left_axis, line, log_padded, mark, padded, text
from ocr_sweep.report.tables import AccuracyRow
from ocr_sweep.report.words import COSTS, Cost, points
from ocr_sweep.store import CorpusView

_WIDTH, _EDGE = 480, 12  # pixels
_NAME, _LINE = 15, 13  # heights of a name and of a whisker below it


def whiskers(rows: Sequence[AccuracyRow], arms: Sequence[Arm], title: str) -> Markup:
    """A block per slice, and in it a whisker per arm: the mark is the accuracy, the line its 95 % interval."""
    low, high = padded(end for row in rows for interval in row.intervals for end in (interval.low, interval.high))
    scale = Scale(max(0.0, low), min(1.004, high), _EDGE, _WIDTH - _EDGE)
    block = _NAME + _LINE * len(arms) + 6
    bottom = 4 + block * len(rows)
    parts = bottom_axis(scale, 4, bottom, "accuracy, %, with 95 % interval", _whole_percent)
    for number, row in enumerate(rows):
        top = 4 + number * block
        parts += [line(0, top, _WIDTH, top, "rule")] if number else []
        parts.append(text(0, top + _NAME - 3, row.name, "name"))
        for place, (arm, interval) in enumerate(zip(arms, row.intervals, strict=True)):
            parts += _whisker(scale, arm.place, interval, top + _NAME + _LINE * (place + 0.5))
    return drawing(_WIDTH, bottom + 30, title, parts, wide=True)


def leads(best: Arm, others: Sequence[tuple[Arm, Interval]], title: str) -> Markup:
    """How far the best arm is ahead of each other one; a whisker that touches 0 tells nothing apart."""
    low, high = padded([0.0, *(end for _, lead in others for end in (lead.low, lead.high))])
    scale = Scale(low, high, _EDGE, _WIDTH - _EDGE)
    block = _NAME + _LINE + 2
    bottom = 4 + block * len(others)
    parts = bottom_axis(scale, 4, bottom, f"{best.name} ahead by, points, with 95 % interval", points)
    parts.append(line(scale(0.0), 0, scale(0.0), bottom, "zero"))
    for number, (arm, lead) in enumerate(others):
        top = 4 + number * block
        parts.append(text(0, top + _NAME - 3, f"over {arm.name}", "name"))
        parts += _whisker(scale, arm.place, lead, top + _NAME + _LINE * 0.5)
    return drawing(_WIDTH, bottom + 30, title, parts, wide=True)


def cost_scatters(arms: Sequence[Arm], view: CorpusView) -> list[tuple[str, Markup]]:
    """Accuracy on val against each cost that every arm has: up and left is better."""
    found = []
    for metric, cost in COSTS.items():
        measured = [value for arm in arms if (value := arm.metric(metric))]
        if len(measured) == len(arms):
            found.append((cost.name, _scatter(arms, [value * cost.scale for value in measured], cost, view)))
    return found


def _scatter(arms: Sequence[Arm], costs: Sequence[float], unit: Cost, view: CorpusView) -> Markup:
    width, height, left, bottom = 480, 300, 52, 250
    judged = standing(arms, in_split(arms[0], view, "val"))
    accuracies = [judged.accuracy(place).share() for place in range(len(arms))]
    low, high = padded([end for found in accuracies for end in (found.low, found.high)], share=0.1)
    across = Scale(*log_padded(costs), left, width - 16, log=True)
    up = Scale(max(0.0, low), min(1.004, high), bottom, 30)
    parts = left_axis(up, left, width - 16, "accuracy on val, %", _whole_percent)
    parts += bottom_axis(across, 30, bottom, f"{unit.name}, {unit.unit}, logarithmic", "{:g}".format)
    for arm, cost, found in zip(arms, costs, accuracies, strict=True):
        x = across(cost)
        parts.append(line(x, up(found.low), x, up(found.high), f"whisker {colour(arm.place)}"))
        parts.append(mark(arm.place, x, up(found.value)))
        anchor, shift = ("end", -11) if x > 0.62 * width else ("start", 11)
        parts.append(text(x + shift, up(found.value) + 4, arm.name, "name", anchor))
    return drawing(width, height, f"accuracy on val against {unit.name}", parts)


def reliability_chart(arms: Sequence[Arm], view: CorpusView) -> Markup | None:
    """Accuracy against confidence on val, all counted runs of an arm together; None where no arm knows its confidence.

    References:
        Guo et al., On calibration of modern neural networks, arXiv:1706.04599.
    """
    known = [(arm, found) for arm in arms if (found := _reliability(arm, view)) is not None]
    if not known:
        return None
    width, height, left, bottom = 480, 300, 52, 250
    across, up = Scale(0.0, 1.0, left, width - 16), Scale(0.0, 1.0, bottom, 30)
    parts = left_axis(up, left, width - 16, "read right, %", _whole_percent)
    parts += bottom_axis(across, 30, bottom, "confidence, %; on the dashed line it says what it is worth", _whole_percent)
    parts.append(line(across(0.0), up(0.0), across(1.0), up(1.0), "zero"))
    for arm, found in known:
        filled = [place for place in range(len(found.count)) if found.count[place]]
        points_of = [(across(float(found.confidence[place])), up(float(found.accuracy[place]))) for place in filled]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points_of)
        parts.append(Markup(f'<polyline points="{way}" class="curve {colour(arm.place)}"/>'))
        parts += [mark(arm.place, x, y, 3.0) for x, y in points_of]
    return drawing(width, height, "accuracy on val against confidence", parts)


def _reliability(arm: Arm, view: CorpusView) -> Reliability | None:
    confidence, correct = [], []
    for run in arm.runs:
        predictions = run.predictions
        if predictions.confidence is None:
            return None
        rows = np.isin(predictions.index, arm.index) & np.isin(predictions.set_id, view.set_ids("val"))
        confidence.append(predictions.confidence[rows])
        correct.append(predictions.top5[rows, 0] == predictions.label[rows])
    return reliability(np.concatenate(confidence), np.concatenate(correct))


def curve_charts(arms: Sequence[Arm]) -> list[tuple[str, Markup]]:
    """One chart per curve that any counted run has: a thin line per run, a mark at the epoch that was selected."""
    names = sorted({name for arm in arms for run in arm.runs for name in run.curves if run.curves[name]})
    return [(name, _curves(arms, name)) for name in names]


def _curves(arms: Sequence[Arm], name: str) -> Markup:
    width, height, left, bottom = 480, 290, 52, 240
    lines = [(arm, run, list(run.curves[name])) for arm in arms for run in arm.runs if run.curves.get(name)]
    share = "accuracy" in name
    across = Scale(*padded([epoch for *_, curve in lines for epoch, _ in curve], share=0.02), left, width - 16)
    up = Scale(*padded([value for *_, curve in lines for _, value in curve]), bottom, 30)
    parts = left_axis(up, left, width - 16, f"{name}, %" if share else name, _whole_percent if share else "{:.3g}".format)
    parts += bottom_axis(across, 30, bottom, "epoch", "{:g}".format)
    for arm, run, curve in lines:
        way = " ".join(f"{across(epoch):.1f},{up(value):.1f}" for epoch, value in curve)
        parts.append(Markup(f'<polyline points="{way}" class="curve {colour(arm.place)}"/>'))
        selected = dict(curve).get(int(run.metrics.get("selected/epoch", -1)))
        if selected is not None:
            parts.append(mark(arm.place, across(run.metrics["selected/epoch"]), up(selected), 4.0))
    return drawing(width, height, f"{name} by epoch", parts)


def key(arm: Arm) -> Markup:
    """The arm's mark, to stand beside its name."""
    return Markup('<svg class="key" viewBox="0 0 16 16" aria-hidden="true">') + mark(arm.place, 8, 8, 5.0) + Markup("</svg>")


def _whisker(scale: Scale, place: int, interval: Interval, y: float) -> list[Markup]:
    low, high = scale(interval.low), scale(interval.high)
    kind = f"whisker {colour(place)}"
    ends = [line(x, y - 3, x, y + 3, kind) for x in (low, high)]
    return [line(low, y, high, y, kind), *ends, mark(place, scale(interval.value), y, 3.6)]


def _whole_percent(share: float) -> str:
    return f"{100.0 * share:.4g}"
