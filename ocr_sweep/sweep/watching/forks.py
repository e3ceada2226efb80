"""What a study saved by sharing representations, in words."""

from __future__ import annotations

from collections.abc import Sequence

from ocr_sweep.tracking.record import REPRESENTATION, RunRecord


def forks_sentence(records: Sequence[RunRecord]) -> str:
    """One line for people, e.g. "5 trials forked 2 representations: 12 min 10 s not trained again"; empty without forks."""
    forks = [record for record in records if record.complete and record.metrics.get("cost/representation_shared") == 1.0]
    if not forks:
        return ""
    learnt = len({record.tags.get(REPRESENTATION, record.run_id) for record in forks})
    saved = sum(record.metrics["cost/representation_seconds"] for record in forks)
    return f"{_several(len(forks), 'trial')} forked {_several(learnt, 'representation')}: {_time(saved)} not trained again"


def _several(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
