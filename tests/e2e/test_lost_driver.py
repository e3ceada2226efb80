"""The driver's machine is lost: its study goes on from another one, with its state in PostgreSQL and its runs on a server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from postgres_server import PostgresServer, needs_postgres, postgres
from test_tracking_server import mlflow_server, server
from tiny_study import ocr_sweep, paths_of, started, wait_for

from ocr_sweep.config.paths import Paths
from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.tracking.record import SUPERSEDED
from ocr_sweep.tracking.tracker import Tracker

__all__ = ["mlflow_server", "postgres", "server"]

pytestmark = [pytest.mark.slow, needs_postgres]

EPOCHS = 6


def test_nothing_finished_is_lost_and_nothing_is_there_twice(
    project: Callable[..., Path], server: str, postgres: PostgresServer
) -> None:
    study = {"trials": 2, "base__training__epochs": EPOCHS, "base__training__images_per_epoch": 640}
    lost, other = project("lost", **study), project("other", **study)
    settings = {"MLFLOW_TRACKING_URI": server, "OCR_SWEEP_OPTUNA_URL": postgres.database("lost_driver")}
    tracker = Tracker.open(Paths.find({"OCR_SWEEP_HOME": str(other), **settings}))

    with started(lost, "sweep", "run", "tiny", **settings) as process:
        trial = Attempt(paths_of(lost).work("tiny") / "0001-search")
        wait_for(lambda: len(trial.events()) >= 2, "the middle of the second trial", 300)
        process.kill()
    shutil.rmtree(lost)
    before = {record.name: record for record in tracker.runs("tiny")}
    assert before["tiny-0000"].complete and before["tiny-0001"].status == "RUNNING"

    done = ocr_sweep(other, "sweep", "run", "tiny", **settings)
    assert done.code == 0, done.err
    assert "tiny-0000 complete" not in done.out, "what is finished is not trained again"
    after = {record.name: record for record in tracker.runs("tiny")}
    assert sorted(after) == ["tiny-0000", "tiny-0000-seed1", "tiny-0001", "tiny-0001-seed1"]
    assert all(record.complete for record in after.values()) and len(tracker.runs("tiny")) == 4
    assert after["tiny-0000"].run_id == before["tiny-0000"].run_id
    left = tracker.client.get_run(before["tiny-0001"].run_id)
    assert left.info.status == "KILLED" and SUPERSEDED in left.data.tags, "its folder was lost, so it was begun anew"
    for record in after.values():
        points = tracker.client.get_metric_history(record.run_id, "epoch/train_loss")
        assert [point.step for point in points] == list(range(1, EPOCHS + 1)), record.name
