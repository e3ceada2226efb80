"""A study's summary in the tracking store: its verdict in words and numbers, and the pictures of its search."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import optuna

from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.disk import write_bytes
from ocr_sweep.errors import StoreError, TooManyFailuresError
from ocr_sweep.sweep.confirmation.audit import Audit
from ocr_sweep.sweep.confirmation.judge import Verdict
from ocr_sweep.sweep.summary.data import Trials, gather
from ocr_sweep.sweep.summary.parallel import parallel
from ocr_sweep.sweep.summary.pictures import history, importance, slices
from ocr_sweep.sweep.summary.style import CannotDrawError, draw
from ocr_sweep.tracking.record import OUTCOME, SIMULATED, VERDICT, RunRecord
from ocr_sweep.tracking.summary_run import made_of, write_summary
from ocr_sweep.tracking.tracker import Tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VERSION = 1  # raise it when a summary is made in another way: every study then gets a new one at its next end
_WINNER = "ocr_sweep.winner"  # the run that is registered


@dataclass(frozen=True)
class Summary:
    """Writes the summary of one study."""

    study: StudyConfig
    optuna_study: optuna.Study
    tracker: Tracker
    experiment_id: str
    say: Callable[[str], None]

    @contextmanager
    def of_failure(self) -> Iterator[None]:
        """Within the block, a study that ends without a winner is summarised, too."""
        try:
            yield
        except TooManyFailuresError as error:
            with suppress(StoreError):  # why the study failed is what the user must hear
                self.write(None, str(error), self.tracker.runs(self.study.name))
            raise

    def write(self, verdict: Verdict | None, sentence: str, records: Sequence[RunRecord], audit: Audit | None = None) -> None:
        """Put the summary in place of the former one, unless it would say the same.

        Args:
            verdict: None of a study that ended without a winner.
            sentence: how it ended.
            audit: of its pruner.

        Raises:
            StoreError: a store or disk is unavailable.
        """
        trials = gather(self.study, self.optuna_study, records)
        made_from = _made_from(trials, verdict, sentence, records, audit)
        if made_of(self.tracker, self.experiment_id, self.study.name) == made_from:
            return
        with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
            left_out = self._draw(trials, verdict, Path(folder))
            write_summary(
                self.tracker,
                self.experiment_id,
                self.study.name,
                made_from=made_from,
                note=_note(self.study, verdict, sentence, trials, left_out, audit),
                tags=_tags(trials, verdict, sentence),
                metrics=_metrics(verdict, records),
                pictures=Path(folder),
            )

    def _draw(self, trials: Trials, verdict: Verdict | None, folder: Path) -> list[str]:
        """Write the pictures; returns a line for each that cannot be drawn."""
        best = verdict.winner if verdict is not None else None
        pictures: dict[str, Callable[[], Figure]] = {
            "history": lambda: history(trials, verdict),
            "importance": lambda: importance(trials, self.optuna_study),
            "parallel": lambda: parallel(trials, best),
            "slices": lambda: slices(trials, best),
        }
        left_out = []
        for name, picture in pictures.items():
            try:
                write_bytes(folder / f"{name}.png", draw(picture))
            except CannotDrawError as why:
                left_out.append(f"`{name}.png` is left out: {why}.")
            except (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError) as bug:  # a study outlives its pictures
                self.say(f"the summary's picture {name} could not be drawn, which is a bug of ocr-sweep: {bug!r}")
                left_out.append(f"`{name}.png` is left out: a bug of ocr-sweep, {bug!r}.")
        return left_out


def _made_from(trials: Trials, verdict: Verdict | None, sentence: str, records: Sequence[RunRecord], audit: Audit | None) -> str:
    ends = sorted((record.run_id, record.tags.get(OUTCOME, ""), record.metrics.get(trials.metric, 0.0)) for record in records)
    return fingerprint(
        {
            "version": _VERSION,
            "verdict": verdict.as_dict() if verdict is not None else None,
            "sentence": sentence,
            "runs": ends,
            "audit": audit.as_dict() if audit is not None else None,
            "axes": [(dimension.path, list(dimension.choices), dimension.log) for dimension in trials.dimensions],
        }
    )


def _tags(trials: Trials, verdict: Verdict | None, sentence: str) -> dict[str, str]:
    tags = {VERDICT: sentence[:1000], SIMULATED: str(trials.simulated).lower()}
    return tags if verdict is None else {**tags, _WINNER: verdict.run_id}


def _metrics(verdict: Verdict | None, records: Sequence[RunRecord]) -> dict[str, float]:
    """Numbers under names of their own, so that no table of trainings ranks them."""
    counts = Counter(record.tags.get(OUTCOME, record.status.lower()) for record in records)
    metrics = {f"trainings/{outcome}": float(count) for outcome, count in counts.items()}
    metrics["trainings/train_seconds"] = sum(record.metrics.get("cost/train_seconds", 0.0) for record in records)
    intervals = {} if verdict is None else {"winner": verdict.interval, "base": verdict.base_interval, "lead": verdict.difference}
    for name, interval in intervals.items():
        if interval is not None:
            metrics |= {f"{name}/value": interval.value, f"{name}/low": interval.low, f"{name}/high": interval.high}
    return metrics


def _note(
    study: StudyConfig,
    verdict: Verdict | None,
    sentence: str,
    trials: Trials,
    left_out: Sequence[str],
    audit: Audit | None,
) -> str:
    """What MLflow shows above the run."""
    mark = " (simulated)" if trials.simulated else ""
    lines = [f"**{study.question}**", f"{sentence[:1].upper()}{sentence[1:]}{mark}."]
    if verdict is not None:
        low, high = 100 * verdict.interval.low, 100 * verdict.interval.high
        value = f"{100 * verdict.interval.value:.1f} % (95 % interval {low:.1f} to {high:.1f}){mark}"
        lines.append(f"Trial {verdict.winner} reaches {verdict.metric} {value} over its fresh seeds; run `{verdict.run_id}`.")
        lines += [f"The race: {line}." for line in verdict.race_lines()]
    if audit is not None:
        lines.append(f"The pruner: {audit.sentence}.")
    drawn = "The pictures are among the artifacts: how the search went, what mattered, and where the good trials lie."
    return "\n\n".join([*lines, *([drawn] if len(left_out) < 4 else []), *left_out])
