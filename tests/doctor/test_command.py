"""`ocr-sweep doctor` as its users and their programs meet it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from planting import Hands
from tiny_study import here, paths_of, refused

from ocr_sweep.disk import file_lock
from ocr_sweep.doctor.examine import examine

pytestmark = pytest.mark.slow


def test_a_healthy_project_twice_says_the_same(healthy: Path) -> None:
    first = here(healthy, "doctor")
    assert first.code == 0 and first.err == "" and "records of tiny: 3 trials and 5 runs, all agree" in first.out
    assert here(healthy, "doctor") == first
    told = here(healthy, "doctor", "--json")
    assert told == here(healthy, "doctor", "--json")
    said = json.loads(told.out)
    assert said["violations"] == [] and said["studies"] == [{"name": "tiny", "trials": 3, "runs": 5, "running": False}]


def test_one_study_is_looked_at_alone(patient: Path) -> None:
    (patient / "mlruns" / "optuna.db").chmod(0o666)  # of no study
    done = here(patient, "doctor", "tiny")
    assert done.code == 0 and "machine" not in done.out and "records of tiny" in done.out
    refused(here(patient, "doctor", "tinny"), 2, "no study 'tinny' has ever run in this project; there is tiny")


def test_a_violation_says_what_where_and_what_to_do(patient: Path) -> None:
    hands = Hands(patient)
    hands.optuna("UPDATE trial_values SET value = 0.999 WHERE trial_id = ?", hands.trial_id(1))
    run = hands.run("tiny-0001")
    done = here(patient, "doctor", "tiny")
    refused_ = done.err.splitlines()
    assert done.code == 3 and refused_ == ["error: 1 violation of I6"]
    (line,) = [line for line in done.out.splitlines() if "I6" in line]
    assert f"tiny-0001 (run {run})" in line and "Optuna has 0.999 and MLflow 0." in line and "restore" in line
    told = here(patient, "doctor", "tiny", "--json")
    (violation,) = json.loads(told.out)["violations"]
    assert told.code == 3 and violation["invariant"] == "I6" and set(violation) == {"invariant", "study", "where", "what", "do"}


def test_a_repair_shows_each_change_before_it_is_made(patient: Path) -> None:
    hands = Hands(patient)
    hands.mlflow("UPDATE runs SET status = 'RUNNING' WHERE name = 'tiny-0001'")
    hands.tag(hands.run("tiny-0000"), "onnx_sha256", None)
    done = here(patient, "doctor", "--repair")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert f"I3 tiny-0001 (run {hands.run('tiny-0001')}): RUNNING, complete -> FINISHED, complete" in lines
    assert any(line.startswith("I5 tiny-0000") and " -> " in line for line in lines)
    again = here(patient, "doctor", "--repair", "--json")
    assert again.code == 0 and json.loads(again.out)["changes"] == []


def test_a_running_study_is_no_violation_and_is_not_repaired(patient: Path) -> None:
    hands = Hands(patient)
    hands.mlflow("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", hands.loser)
    hands.tag(hands.loser, "outcome", None)
    hands.optuna("UPDATE trials SET state = 'RUNNING' WHERE number = ?", hands.unconfirmed)  # recorded, about to be told
    hands.optuna("DELETE FROM trial_values WHERE trial_id = ?", hands.trial_id(hands.unconfirmed))
    with file_lock(paths_of(patient).lock("study-tiny"), wait=False):
        done = here(patient, "doctor")
        assert done.code == 0 and "being run now" in done.out, done.out
        done = here(patient, "doctor", "--repair")
        assert done.code == 0 and "study tiny is being run, and left alone" in done.out and "->" not in done.out
    assert {violation.invariant for violation in examine(paths_of(patient)).violations} == {"I2", "I3"}


def test_a_store_that_is_away_is_no_violation(patient: Path) -> None:
    away = here(patient, "doctor", "tiny", MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    refused(away, 4, "the tracking server must be reachable")
    shutil.move(patient / "mlruns" / "optuna.db", patient / "optuna.db")
    (patient / "mlruns" / "optuna.db").mkdir()  # nothing that a database could be read from
    refused(here(patient, "doctor", "tiny"), 4, "optuna.db must be reachable and readable")


def test_a_transaction_that_a_kill_interrupted_is_read_as_undone(patient: Path) -> None:
    """Who only reads may not undo it; the journal stays for the next writer."""
    database = patient / "mlruns" / "mlflow.db"
    script = (
        "import os, signal, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1])\n"
        "database.execute('PRAGMA cache_size = 1')\n"
        "database.execute('BEGIN IMMEDIATE')\n"
        "database.execute(\"UPDATE runs SET status = 'RUNNING'\")\n"
        'database.execute("UPDATE metrics SET value = 0.5")\n'
        "database.execute(\"UPDATE params SET value = 'x'\")\n"  # more than the cache holds: pages are written before the end
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(database)], check=False)
    journal = database.with_name("mlflow.db-journal")
    before = database.read_bytes(), journal.read_bytes()
    with pytest.raises(sqlite3.OperationalError), sqlite3.connect(f"file:{database}?mode=ro", uri=True) as only_reading:
        only_reading.execute("SELECT * FROM runs").fetchall()
    assert examine(paths_of(patient)).violations == ()
    assert (database.read_bytes(), journal.read_bytes()) == before
    assert sqlite3.connect(database).execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'").fetchall() == [(0,)]


def test_a_project_that_never_ran_anything_is_in_order(tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    assert here(tmp_path, "doctor").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["sweeps"], "looking makes nothing"
    assert here(tmp_path, "doctor", "--repair").code == 0
