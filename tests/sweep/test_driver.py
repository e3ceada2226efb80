"""One process drives a study, and its database is reached or said not to be."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
from searching import session_of, write
from tiny_study import here, paths_of, refused

from ocr_sweep.errors import ConflictError
from ocr_sweep.sweep.driver import driving


def test_a_second_driver_hears_who_the_first_is(root: Path) -> None:
    paths = paths_of(root)
    with driving("tiny", paths):
        with pytest.raises(ConflictError) as caught, driving("tiny", paths):
            pass
        with driving("other", paths):
            pass
    sentence = str(caught.value)
    me = f"study 'tiny' is being run by process {os.getpid()} on {platform.node()}, since 20"
    assert sentence.startswith(me) and f"`kill {os.getpid()}`" in sentence and caught.value.exit_code == 5
    with driving("tiny", paths):
        pass


@pytest.mark.parametrize("left", ["", "{", '{"pid": "x"}', "[]"])
def test_a_lock_file_that_says_nothing_is_no_error(left: str, root: Path) -> None:
    paths = paths_of(root)
    with driving("tiny", paths):
        paths.lock("study-tiny").write_text(left)
        with pytest.raises(ConflictError, match="is being run by another process"), driving("tiny", paths):
            pass


URLS = [
    "postgresql://me:secret@127.0.0.1:1/optuna",
    "mysql://me:secret@127.0.0.1:1/optuna",
    "sqlite:////proc/no/such/folder/optuna.db",
    "nonsense",
    "sqlserver://me:secret@x/y",
]


@pytest.mark.parametrize("url", URLS)
def test_a_database_that_cannot_be_reached_is_one_sentence_without_its_password(url: str, root: Path) -> None:
    write(root)
    for command in ("replay", "history"):
        done = here(root, "sweep", command, "tiny", OCR_SWEEP_OPTUNA_URL=url)
        refused(done, 4, "Optuna's database ", "must be reachable and writable, but: ", "run the same command again")
        assert "secret" not in done.err, done.err


def test_a_file_that_is_no_database_is_said(root: Path) -> None:
    study = write(root)
    session_of(root, study)()
    (root / "mlruns" / "optuna.db").write_bytes(b"no database at all, but something else entirely" * 99)
    refused(here(root, "sweep", "history", "tiny"), 4, "file is not a database")
