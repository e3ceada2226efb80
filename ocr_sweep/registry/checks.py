"""The checks of the gate, each with its number and its limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ocr_sweep.config.gate import GateConfig
from ocr_sweep.corpus.audit import audit_store
from ocr_sweep.disk import read_json
from ocr_sweep.export.parity import Parity
from ocr_sweep.export.preparation.check import drawn
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.metrics import Interval
from ocr_sweep.registry.accuracy import Forgetting, Part, difference_in, finest_in
from ocr_sweep.registry.evidence import ONNX, PARITY, Evidence
from ocr_sweep.registry.pairs import Pairs
from ocr_sweep.store import CorpusView
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.tracker import Tracker

_GRADES = ("diverged", "within band", "identical")  # of a reproduction, the best last
_NAMED = 20  # characters that a check names


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not judged"  # there is nothing to judge by, or nothing was asked


@dataclass(frozen=True)
class Check:
    """One check of the gate."""

    name: str
    outcome: Outcome
    number: str
    limit: str
    note: str = ""

    def sentence(self) -> str:
        """The check in words, for a refusal."""
        return f"{self.name}: {self.number}, but must be {self.limit}" + (f" ({self.note})" if self.note else "")


def _outcome(passed: bool) -> Outcome:
    return Outcome.PASSED if passed else Outcome.FAILED


def files_check(evidence: Evidence) -> Check:
    """That every file is as it was recorded; `collect` has compared them."""
    number = f"{len(evidence.hashes)} of {len(evidence.hashes)}, {evidence.num_bytes / 1e6:.1f} MB"
    note = "" if evidence.sealed else "of a former version: the manifest's own hash is not in the database, its numbers are"
    return Check("files as recorded", Outcome.PASSED, number, "all", note)


def parity_checks(evidence: Evidence, again: Parity) -> Iterator[Check]:
    """The certificate that came with the run, and the same comparison now; a disagreement now has been refused already."""
    certificate = read_json(evidence.file(PARITY))
    number = f"{certificate['max_difference']:.1e}, {certificate['flips']} flips on {certificate['num_images']} images"
    limit = f"<= {certificate['tolerance']:g}, 0 flips"
    yield Check(
        "parity certificate", _outcome(bool(certificate["holds"])), number, limit, _prepared(certificate.get("preparation"))
    )
    yield Check(
        "parity now", Outcome.PASSED, f"{again.max_difference:.1e}, {again.flips} flips on {again.num_images} images", limit
    )


def _prepared(found: Mapping[str, int] | None) -> str:
    """What a certificate says of pictures that the file prepares itself; of a former version it says nothing."""
    return f"{found['agreeing']} of {found['pictures']} pictures prepared as the corpus does" if found else ""


def corpus_check(view: CorpusView) -> Check:
    """That nothing leaks between the corpus's splits and nothing in it is damaged."""
    wrong = audit_store(view)
    return Check("corpus audit", _outcome(not wrong), f"{len(wrong)} wrong", "0 wrong", "; ".join(wrong)[:300])


def budget_checks(evidence: Evidence, gate: GateConfig) -> Iterator[Check]:
    """Time and size of the ONNX file, on this machine."""
    file = evidence.file(ONNX)
    picture = drawn(evidence.probe()[0], 0)
    scorer = Scorer(file, threads=1)
    taken, note = scorer.picture_latency_ms(picture), f"{picture.shape[0]} px, preparation included, on one core, here and now"
    if taken is None:
        taken, note = scorer.latency_ms(), "of a former version, which prepares nothing; on one core, here and now"
    yield _budget("latency of one image", taken, gate.max_latency_ms, "ms", note)
    yield _budget("size of the ONNX", file.stat().st_size / 1e6, gate.max_megabytes, "MB", "")


def _budget(name: str, value: float, most: float | None, unit: str, note: str) -> Check:
    if most is None:
        return Check(name, Outcome.NOT_JUDGED, f"{value:.2f} {unit}", "not asked", note)
    return Check(name, _outcome(value <= most), f"{value:.2f} {unit}", f"<= {most:g} {unit}", note)


def reproduction_check(tracker: Tracker, evidence: Evidence, gate: GateConfig) -> Check:
    """What the last training of the same run again said."""
    record = evidence.record
    if gate.reproduction is None:
        return Check("reproduction", Outcome.NOT_JUDGED, "–", "not asked")
    again = [run.tags[tag.VERDICT] for run in tracker.runs(record.study) if run.tags.get(tag.REPRODUCES) == record.run_id
             and tag.VERDICT in run.tags]  # fmt: skip
    if not again:
        hint = f"make reproduce RUN={record.run_id}"
        return Check("reproduction", Outcome.FAILED, "never trained again", f"{gate.reproduction} or better", hint)
    good = again[-1] in _GRADES[_GRADES.index(gate.reproduction) :]
    return Check("reproduction", _outcome(good), again[-1], f"{gate.reproduction} or better", f"{len(again)} times trained again")


def accuracy_checks(pairs: Pairs, compared: Sequence[Part], gate: GateConfig) -> Iterator[Check]:
    """That a loss larger than the margin is ruled out, in each test set and class group.

    All of them must hold, so that many checks make no wrong promotion likelier. Where there are too few images to show it
    even for two versions that answer alike, a part is said and not judged, unless a larger loss is beyond doubt. Of all the
    sets one at least must be judged.
    """
    made = [_accuracy_check(pairs, part, gate) for part in compared]
    yield from made
    judged = sum(check.outcome is not Outcome.NOT_JUDGED for check, part in zip(made, compared, strict=True) if not part.group)
    if not judged:
        sets = sum(not part.group for part in compared)
        note = f"too few images for a margin of {gate.margin:g} points: raise `margin` in the gate's file, or judge more images"
        yield Check("test sets that can tell", Outcome.FAILED, f"0 of {sets}", "1 or more", note)


def _accuracy_check(pairs: Pairs, part: Part, gate: GateConfig) -> Check:
    margin = gate.group_margin if part.group else gate.margin
    came, finest = difference_in(pairs, part), 100 * finest_in(pairs, part)
    low, high = 100 * came.low, 100 * came.high
    limit = f"loss above {margin:g} points ruled out"
    number = f"{signed(came)} points on {len(part.rows)} images"
    if finest >= margin:
        worse = high < -margin
        note = f"too few images: a loss of {finest:.1f} points could not be ruled out"
        return Check(part.title, Outcome.FAILED if worse else Outcome.NOT_JUDGED, number, limit, note)
    if low > -margin:
        return Check(part.title, Outcome.PASSED, number, limit, "better" if low > 0 else "not worse")
    note = "worse" if high < 0 else f"not shown{_needed(came, margin, len(part.rows))}"
    return Check(part.title, Outcome.FAILED, number, limit, note)


def _needed(came: Interval, margin: float, num_images: int) -> str:
    """How many images it would take to rule out the margin if the difference stayed what it is; nothing where none would do."""
    room = came.value + margin / 100
    if room <= 0:
        return ""
    return f": about {num_images * ((came.value - came.low) / room) ** 2:,.0f} images like these would tell"


def signed(interval: Interval) -> str:
    """A difference in points with its interval."""
    return f"{100 * interval.value:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def charset_check(pairs: Pairs, gate: GateConfig) -> Check:
    """What the new charset lacks of the former one; new characters cannot be compared and are said."""
    gone, new = pairs.gone_chars, pairs.new_chars
    number = f"{len(gone)} gone, {len(new)} new" if gone or new else "the same"
    note = "; ".join(f"{what}: {named(chars)}" for what, chars in (("gone", gone), ("new, not compared", new)) if chars)
    return Check("charset", _outcome(len(gone) <= gate.max_dropped), number, f"<= {gate.max_dropped} gone", note)


def forgetting_check(found: Forgetting, gate: GateConfig) -> Check:
    """The share of the characters that the former version reads and the candidate reads nothing of."""
    number = f"{len(found.forgotten)} of {found.num_read} characters ({100 * found.share:.1f} %), {len(found.learnt)} learnt"
    note = f"forgotten: {named(found.forgotten)}" if found.forgotten else ""
    limit = f"<= {gate.max_forgotten:g} %"
    if not found.num_read:
        return Check("forgotten characters", Outcome.NOT_JUDGED, "the former version reads none", limit)
    return Check("forgotten characters", _outcome(100 * found.share <= gate.max_forgotten), number, limit, note)


def named(chars: str) -> str:
    """The first few characters of many."""
    more = f" and {len(chars) - _NAMED} more" if len(chars) > _NAMED else ""
    return f"{' '.join(chars[:_NAMED])}{more}"
