"""Gathers what a comparison page shows: runs out of the tracking store, and the corpus that they were judged on."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import ReportedConfig
from ocr_sweep.config.yaml_file import plain_value
from ocr_sweep.errors import NotFoundError
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.report.compare import Comparison, Title, write_comparison
from ocr_sweep.report.runs import ComparedRun
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.confirmation.judge import Verdict
from ocr_sweep.sweep.search.storage import find_verdict
from ocr_sweep.sweep.trials.attempt import PREDICTIONS
from ocr_sweep.tracking.record import ARM, ARMS, CHOOSES_NOTHING, CORPUS, QUESTION, REPORTED, RunRecord
from ocr_sweep.tracking.summary_run import summary_of
from ocr_sweep.tracking.test_readings import openings, read_test, readings
from ocr_sweep.tracking.tracker import Tracker

_FOLDER = "comparisons"  # among the artifacts of a run
_CURVES = ("epoch/train_loss", "epoch/val/accuracy_macro")


def compare_study(study: str, tracker: Tracker, paths: Paths) -> Comparison:
    """Write the page that sets the arms of a study side by side: its architectures, or what it names.

    Raises:
        NotFoundError: the study has no complete run.
    """
    compared = [record for record in tracker.runs(study) if record.role in ("search", "confirm") and not record.fenced]
    records = [record for record in compared if record.complete]
    if not records:
        raise NotFoundError(f"study '{study}' has no complete run to compare; run `make sweep STUDY={study}` first")
    about = tracker.about(study)
    verdict = find_verdict(study, paths)
    race = Verdict.from_dict(verdict).race_lines() if verdict is not None else []
    title = Title(f"{study}: arms side by side", about.get(QUESTION, ""), about.get(ARMS, "model"), tuple(race))
    chooses = about.get(CHOOSES_NOTHING) != "true"
    reported = ReportedConfig.model_validate_json(about[REPORTED]) if REPORTED in about else None
    made = _write(
        paths.reports / f"{study}.html", title, records, tracker, paths, reported=reported, by_arm=True, chooses=chooses
    )
    return _kept(made, tracker, summary_of(tracker, study))


def compare_runs(run_ids: Sequence[str], tracker: Tracker, paths: Paths) -> Comparison:
    """Write the page that sets single runs side by side.

    Raises:
        NotFoundError: a run does not exist or never completed.
    """
    records = [tracker.run(run_id) for run_id in run_ids]
    unfinished = [record.name for record in records if not record.complete]
    if unfinished:
        raise NotFoundError(f"only complete runs can be compared, but these are not: {', '.join(unfinished)}")
    title = " and ".join(record.name for record in records)
    name = "-".join(record.run_id[:8] for record in records)
    made = _write(paths.reports / f"runs-{name[:100]}.html", Title(title), records, tracker, paths, by_arm=False)
    return _kept(made, tracker, records[0].run_id)


def _kept(made: Comparison, tracker: Tracker, run_id: str | None) -> Comparison:
    """Put the page beside what it compares: to the study's summary in the tracking store, or to the first of the runs."""
    if run_id is not None:
        tracker.upload_file(run_id, made.page, _FOLDER)
    return made


def _write(
    path: Path,
    title: Title,
    records: Sequence[RunRecord],
    tracker: Tracker,
    paths: Paths,
    *,
    by_arm: bool,
    chooses: bool = True,
    reported: ReportedConfig | None = None,
) -> Comparison:
    path.parent.mkdir(parents=True, exist_ok=True)
    runs = [_compared(record, tracker, by_arm=by_arm, chosen=chooses and record.role == "search") for record in records]
    view = _corpus_of(records, paths)

    def opened(run_ids: Sequence[str]) -> str:
        read_test(tracker, [record for record in records if record.run_id in run_ids], "comparison")
        return openings(readings(tracker.runs()), view.fingerprint)

    return write_comparison(path, title, runs=runs, view=view, reported=reported, read_test=opened)


def _corpus_of(records: Sequence[RunRecord], paths: Paths) -> CorpusView:
    fingerprints = sorted({record.tags[CORPUS] for record in records})
    if len(fingerprints) > 1:
        raise NotFoundError(
            f"runs can be compared on one corpus, but these have {len(fingerprints)}: "
            f"{', '.join(name[:12] for name in fingerprints)}"
        )
    return CorpusView.open(paths.corpora / fingerprints[0])


def _compared(record: RunRecord, tracker: Tracker, *, by_arm: bool, chosen: bool) -> ComparedRun:
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
        predictions = Predictions.read(tracker.artifact(record.run_id, PREDICTIONS, Path(folder)))
    return ComparedRun(
        run_id=record.run_id,
        name=record.name,
        arm=record.tags[ARM] if by_arm else record.name,
        role=record.role,
        config={key: plain_value(value) for key, value in record.params.items()},
        metrics=record.metrics,
        curves={name: tracker.curve(record.run_id, name) for name in _CURVES},
        predictions=predictions,
        url=None,
        trial=record.trial,
        chosen=chosen,
    )
