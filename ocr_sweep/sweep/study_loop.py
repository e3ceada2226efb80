"""The whole life of a study: corpus, search, confirmation, verdict. One process owns it and may be killed at any time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.corpus.jobs import Maker
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.cluster.session import ray_engine
from ocr_sweep.sweep.confirmation.audit import AUDIT, Audit, judge_audit
from ocr_sweep.sweep.confirmation.confirm import Confirmation
from ocr_sweep.sweep.confirmation.judge import Verdict, judge, num_complete
from ocr_sweep.sweep.fences import comparable_records, put_up_fences
from ocr_sweep.sweep.running.breaker import Breaker
from ocr_sweep.sweep.running.engine import Engine
from ocr_sweep.sweep.running.local_engine import LocalEngine
from ocr_sweep.sweep.running.needs import Needs
from ocr_sweep.sweep.running.outage import Stores
from ocr_sweep.sweep.running.placing import Placing
from ocr_sweep.sweep.running.runner import Runner
from ocr_sweep.sweep.running.starting import Starter
from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.search.storage import VERDICT, open_study, storage_errors
from ocr_sweep.sweep.signals import Signals
from ocr_sweep.sweep.stored.corpora import open_corpus
from ocr_sweep.sweep.study_jobs import StudyJobs
from ocr_sweep.sweep.study_lock import study_lock
from ocr_sweep.sweep.summary.summary import Summary
from ocr_sweep.sweep.watching.board import Board
from ocr_sweep.tracking import record
from ocr_sweep.tracking.provenance import provenance
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker
from ocr_sweep.tracking.ui_view import VIEW_TAG, shared_view
from ocr_sweep.training.calibration import check_calibration
from ocr_sweep.training.feed import training_indices

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class StudyEnd:
    """A finished study."""

    verdict: Verdict
    records: tuple[RunRecord, ...]  # of comparable trials
    view: CorpusView
    audit: Audit | None = None  # of the pruner


def run_study(study: StudyConfig, paths: Paths, board: Board, cluster: str | None = None, *, grows: bool = False) -> StudyEnd:
    """Do what is left of a study, from nothing or from wherever a former session ended.

    Args:
        cluster: address of the Ray cluster whose nodes have the trials (see `ray_engine`); None: this machine has them.
        grows: where the study asks something else than before, go on with a new version of it.

    Raises:
        ConflictError: another process runs this study, the study exists with another meaning, its trials were trained
            by other code, or a node runs another program.
        StoppedError: a signal came; everything is checkpointed.
        StoreError: a store or disk is unavailable; the same command resumes.
        TooManyFailuresError: too many trials failed in a row.
    """
    check_parts(study, paths)
    with (
        study_lock(study.name, paths) as lock,
        Signals().listening() as signals,
        _engine(study, paths, cluster) as (engine, make),
    ):
        tracker = Tracker.open(paths)
        board.opened("local" if cluster is None else f"ray {cluster}")
        board.resumed(comparable_records(tracker.runs(study.name)))
        view = open_corpus(study.base.corpus, paths, signals.between(board.building), make)
        training_indices(view, study.base.training.leave_out)  # refuses to leave a class without images
        check_calibration(study.base, view)
        optuna_study = open_study(study, paths, view.fingerprint, grows=grows, say=board.say)
        breaker = Breaker(study.choices, board.say)
        search = Search(study, optuna_study, paths.optuna_url, board.say, breaker.refuses)
        if optuna_study.study_name != study.name:  # a later version
            put_up_fences(tracker, study.name, search.fenced(), paths.work(study.name))
            board.resumed(comparable_records(tracker.runs(study.name)))
        experiment_id = tracker.experiment(study.name, _about(study))
        summary = Summary(study, optuna_study, tracker, experiment_id, board.say)
        starter = Starter(
            engine=engine,
            tracker=tracker,
            experiment_id=experiment_id,
            view=view,
            work=paths.work(study.name),
            provenance=provenance(view),
            board=board,
            stall_minutes=study.stall_minutes,
            representations=paths.representations if shares_representations(study) else None,
        )
        before = _recorded_verdict(study, optuna_study, tracker, paths)
        confirmation = Confirmation(study, tracker, view, before.winner if before is not None else None, search.base())
        needs = Needs(view.num_classes, count_cores=study.workers is None or cluster is not None, gpu_share=study.gpu_share)
        needs.learn(tracker.runs(study.name))
        placing = Placing(engine, needs, study.workers, board)
        jobs = StudyJobs(study, search, tracker, board, confirmation, slots=placing.num_slots(study.base))
        stores = Stores(board.say)
        runner = Runner(starter, placing, stores, breaker, signals, max_failures=study.max_failures)
        with summary.of_failure():
            runner.drive(lock.held(jobs.next_job), lock.held(jobs.on_epoch), lock.held(jobs.on_end))

            def judged() -> tuple[list[RunRecord], Verdict]:
                records = comparable_records(confirmation.closed(comparable_records(tracker.runs(study.name))))
                if before is not None and before.runs == num_complete(records):
                    return records, before
                return records, judge(study, confirmation, records, simulated=view.simulated)

            records, verdict = stores.endured(judged, signals.pause)
            audit = judge_audit(study, confirmation, search.pruned(), records)
        board.judged(verdict.winner, verdict.interval, verdict.sentence)

        def kept() -> None:
            if verdict is not before:
                _record_verdict(verdict, optuna_study, paths)
            with storage_errors(paths.optuna_url):
                if audit is not None:
                    optuna_study.set_user_attr(AUDIT, audit.as_dict())
                summary.write(verdict, verdict.sentence, records, audit)

        stores.endured(kept, signals.pause)
        shutil.rmtree(paths.work(study.name), ignore_errors=True)
        return StudyEnd(verdict, tuple(records), view, audit)


@contextmanager
def _engine(study: StudyConfig, paths: Paths, cluster: str | None) -> Iterator[tuple[Engine, Maker | None]]:
    """Where trials run and images are made; None: as a corpus is made without a cluster."""
    if cluster is not None:
        devices = study.base.training.devices
        with ray_engine(cluster, timm=study.needs_timm(), devices=devices, data=paths.data) as there:
            yield there
        return
    yield LocalEngine(timm=study.needs_timm()), None


def _recorded_verdict(study: StudyConfig, optuna_study: optuna.Study, tracker: Tracker, paths: Paths) -> Verdict | None:
    """The verdict on record. One of a former version rests on the trainings that are there now, before any other."""
    with storage_errors(paths.optuna_url):
        data = optuna_study.user_attrs.get(VERDICT)
    if data is None:
        return None
    verdict = Verdict.from_dict(data)
    if not verdict.runs:
        verdict = replace(verdict, runs=num_complete(comparable_records(tracker.runs(study.name))))
        _record_verdict(verdict, optuna_study, paths)
    return verdict


def _record_verdict(verdict: Verdict, optuna_study: optuna.Study, paths: Paths) -> None:
    with storage_errors(paths.optuna_url):
        optuna_study.set_user_attr(VERDICT, verdict.as_dict())


def _about(study: StudyConfig) -> dict[str, str]:
    """What the study's experiment keeps of the study's file."""
    about = {record.QUESTION: study.question, record.ARMS: study.arms or "model"}
    about |= {record.CHOOSES_NOTHING: str(study.chooses_nothing).lower()}
    about |= {VIEW_TAG: shared_view(study.metric, study.ordered_search(), by_arm=study.arms is not None)}
    return about | ({record.REPORTED: study.reported.model_dump_json()} if study.reported else {})


def shares_representations(study: StudyConfig) -> bool:
    """Whether trials of a study can differ in their classifier or calibration alone."""
    return any(path.split(".")[0] in ("classifier", "calibration") for path in study.search)


def check_parts(study: StudyConfig, paths: Paths) -> None:
    """Refuse a study with a network that cannot be built or similarities that cannot be read, before anything is written.

    Raises:
        ConfigError, DataError: see `ocr_sweep.models.check_model` and `ocr_sweep.losses.neighbours_of_file`.
    """
    from ocr_sweep.losses import neighbours_of_file
    from ocr_sweep.models import check_model

    for config in study.model_variants():
        check_model(config.model, config.image_size, paths.data)
    for config in study.variants("loss"):
        similarity = config.loss.similarity
        if similarity is not None and similarity.file is not None:
            neighbours_of_file(similarity.file.find(paths.data), config.corpus.charset.chars, similarity.neighbours)
