"""One journal, one search: whoever replays it, with however many hands, finds the same proposals."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path

import pytest
from searching import drive, end, next_of, session_of, smooth, with_blocks, write
from tiny_study import here, paths_of, refused

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.errors import EvidenceError, NotFoundError
from ocr_sweep.sweep.search.journal import Journal
from ocr_sweep.sweep.search.replay import Replayed, replay, replay_version
from ocr_sweep.sweep.search.storage import open_study

SEARCH = {
    "loss.label_smoothing": {"type": "float", "low": 0.0, "high": 0.2},
    "training.sampling": {"type": "categorical", "choices": ["instance", "square_root", "class_balanced"]},
}
SAMPLERS = [
    {"kind": "tpe", "seed": 17, "startup_trials": 3},
    {"kind": "nsga2", "seed": 17, "population": 4},
    {"kind": "qmc", "seed": 17},
]


def searched(root: Path, slots: int, *, sessions: int = 1, trials: int = 16, **changes: object) -> StudyConfig:
    """A search that has been driven to its end."""
    settings = {"search": SEARCH, "arms": "training.sampling", "sampler": SAMPLERS[0], **changes}
    study = write(root, trials=trials, **settings)
    drive(session_of(root, study), slots=slots, sessions=sessions, worth=smooth)
    return study


@pytest.mark.parametrize("slots", [1, 2, 8])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: str(sampler["kind"]))
def test_a_search_is_replayed_from_its_journal(sampler: dict[str, object], slots: int, root: Path) -> None:
    study = searched(root, slots, sampler=sampler)
    assert replay(study, paths_of(root)) == Replayed(proposals=16, unknown=0, versions=1)


def test_one_journal_gives_the_same_to_one_two_and_eight_workers(root: Path) -> None:
    study = searched(root, 4)
    optuna_study = open_study(study, paths_of(root), "corpus")
    numbers = list(range(16))
    for workers in (1, 2, 8):
        random.Random(workers).shuffle(numbers)
        for first in range(workers):  # each has read the journal by itself, and does its share in no order
            replay_version(study, Journal(optuna_study), numbers[first::workers])


def test_a_resumed_search_is_replayed(root: Path) -> None:
    searched(root, 3, sessions=2, trials=9)
    study = searched(root, 2, sessions=2)  # with a larger budget
    assert replay(study, paths_of(root)).proposals == 16


def test_contradictions_and_conditional_parameters_are_replayed(root: Path) -> None:
    conditional = root / "conditional"
    (conditional / "sweeps").mkdir(parents=True)
    study = with_blocks(conditional, sampler=SAMPLERS[0])
    drive(session_of(conditional, study), slots=2, worth=smooth)
    assert replay(study, paths_of(conditional)).proposals == 8
    search = {
        "loss.adjustment": {"type": "categorical", "choices": [0.0, 1.0]},
        "training.sampling": {"type": "categorical", "choices": ["instance", "class_balanced"]},
    }
    study = searched(root, 2, trials=10, search=search, sampler={"kind": "random", "seed": 3})
    assert replay(study, paths_of(root)).proposals > 10, "those that contradicted themselves are proposals, too"


PLANTED = {
    "a result": "UPDATE trial_values SET value = 0.99 WHERE trial_id = 2",
    "a parameter": "UPDATE trial_params SET param_value = 0.123 WHERE trial_id = 9 AND param_name = 'loss.label_smoothing'",
    "what had been told": "DELETE FROM trial_values WHERE trial_id = 4",
}


@pytest.mark.parametrize("planted", list(PLANTED))
def test_a_planted_change_is_named(planted: str, root: Path) -> None:
    study = searched(root, 2)
    assert replay(study, paths_of(root)).proposals == 16
    with contextlib.closing(sqlite3.connect(root / "mlruns" / "optuna.db")) as database, database:
        if planted == "what had been told":
            database.execute("""UPDATE trial_user_attributes SET value_json = '{"told": [], "running": [7, 8], "budget": 16}'
                WHERE trial_id = 10 AND key = 'ocr_sweep.saw'""")
        else:
            assert database.execute(PLANTED[planted]).rowcount == 1
    with pytest.raises(EvidenceError) as caught:
        replay(study, paths_of(root))
    sentence = str(caught.value)
    if planted == "a parameter":
        assert "proposal 8 differs: loss.label_smoothing was 0.123, is 0." in sentence
    elif planted == "a result":
        assert "differs: loss.label_smoothing was" in sentence
    else:
        assert "proposal 9 was made, but by the results that had been told it was" in sentence


def test_proposals_without_a_journal_are_said(root: Path) -> None:
    """A former version of this program did not write down what a proposal saw."""
    study = write(root, trials=4, search=SEARCH)
    former = open_study(study, paths_of(root), "corpus")
    former.enqueue_trial(study.base_params())
    trial = former.ask()
    trial.suggest_float("loss.label_smoothing", 0.0, 0.2)
    trial.suggest_categorical("training.sampling", ["instance", "square_root", "class_balanced"])
    former.tell(trial, 0.5)
    search = session_of(root, study)()
    assert search.remaining() == 3
    for _ in range(3):
        end(search, next_of(search))
    assert search.next_job() is None
    assert replay(study, paths_of(root)) == Replayed(proposals=3, unknown=1, versions=1)


def test_the_command_says_identical_or_names_the_first_that_differs(root: Path) -> None:
    with pytest.raises(NotFoundError, match="study 'tiny' has no proposals yet; run it first: make sweep STUDY=tiny"):
        replay(write(root), paths_of(root))
    searched(root, 2)
    done = here(root, "sweep", "replay", "tiny")
    assert (done.code, done.out) == (0, "identical: 16 proposals of tiny\n")
    with contextlib.closing(sqlite3.connect(root / "mlruns" / "optuna.db")) as database, database:
        database.execute(PLANTED["a parameter"])
    refused(here(root, "sweep", "replay", "tiny"), 3, "study 'tiny': proposal 8 differs: loss.label_smoothing was 0.123")
