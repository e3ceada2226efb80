"""The ledger of the test sets: whose test numbers were read, when, and for which purpose.

Every trial measures its test numbers when it ends and keeps them with its run; that alone is no reading, because nothing
looks at them: a test metric is refused as a study's metric, and no race, ranking or verdict uses one. A reading is when this
program shows a run's test numbers to a person, or lets something depend on them. It is written down on the run, before
it is shown, once for each purpose: to show the same number again tells nothing new. What nobody here can see is somebody
who looks the numbers up in the tracking store by himself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ocr_sweep.tracking.record import CORPUS, RunRecord
from ocr_sweep.tracking.tracker import Tracker

Purpose = Literal["verdict", "comparison", "reproduction", "promotion", "variants"]

_TAG = "ocr_sweep.test_read."  # and the purpose: the time of the first reading


@dataclass(frozen=True)
class Reading:
    """One run's test numbers, read for one purpose."""

    when: str  # UTC, ISO 8601
    purpose: str
    run_id: str
    run_name: str
    study: str
    corpus: str  # fingerprint


def read_test(tracker: Tracker, records: Iterable[RunRecord], purpose: Purpose, now: datetime | None = None) -> None:
    """Write down that the test numbers of these runs are read; what was written down before stays as it is."""
    when = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for record in records:
        if f"{_TAG}{purpose}" not in record.tags:
            tracker.set_tags(record.run_id, {f"{_TAG}{purpose}": when})


def readings(records: Iterable[RunRecord]) -> list[Reading]:
    """All readings that stand on these runs, oldest first."""
    found = [
        Reading(when, tag.removeprefix(_TAG), record.run_id, record.name, record.study, record.tags.get(CORPUS, ""))
        for record in records
        for tag, when in record.tags.items()
        if tag.startswith(_TAG)
    ]
    return sorted(found, key=lambda reading: (reading.when, reading.run_name, reading.purpose))


def openings(found: Sequence[Reading], corpus: str) -> str:
    """How often a corpus's test sets have been read, in words."""
    mine = [reading for reading in found if reading.corpus == corpus]
    times = "once" if len(mine) == 1 else f"{len(mine)} times"
    runs = len({reading.run_id for reading in mine})
    return f"the test sets of corpus {corpus[:12]} have been read {times}, of {runs} {'run' if runs == 1 else 'runs'}"
