"""A study with its state on a PostgreSQL server has one driver, wherever the drivers are."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_engine import Fate
from postgres_server import PASSWORD, PostgresServer, needs_postgres, postgres
from tiny_study import config_of, here, paths_of, refused

from ocr_sweep.config.paths import Paths
from ocr_sweep.doctor.work import is_run
from ocr_sweep.errors import ConflictError, OcrSweepError, StoreError
from ocr_sweep.sweep.search.storage import open_study
from ocr_sweep.sweep.study_lock import is_driven, study_lock

__all__ = ["postgres"]

pytestmark = needs_postgres

HOLD = """
import sys
from ocr_sweep.config.paths import Paths
from ocr_sweep.sweep.study_lock import study_lock
with study_lock("tiny", Paths.find({"OCR_SWEEP_HOME": sys.argv[1], "OCR_SWEEP_OPTUNA_URL": sys.argv[2]})):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def machine(project: Callable[..., Path]) -> Callable[..., Paths]:
    """A machine with a project of its own and the same database as the others."""

    def make(name: str, url: str) -> Paths:
        return Paths.find({"OCR_SWEEP_HOME": str(project(name)), "OCR_SWEEP_OPTUNA_URL": url})

    return make


def test_a_driver_on_another_machine_is_refused_until_the_first_one_is_killed(
    machine: Callable[..., Paths], postgres: PostgresServer
) -> None:
    url = postgres.database("refused")
    first, second = machine("first", url), machine("second", url)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(first.root), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ConflictError, match=rf"study 'tiny' is being run by process {holder.pid} of \S+;"),
            study_lock("tiny", second),
        ):
            pass
        with study_lock("other", second):
            pass
        done = here(second.root, "sweep", "run", "tiny", OCR_SWEEP_OPTUNA_URL=url)
        refused(done, 5, "study 'tiny' is being run by process")
        assert is_run("tiny", second) and not is_run("other", second), "the doctor knows, too"
        assert is_driven("tiny", second) and not is_driven("other", second), "and so does the status"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with study_lock("tiny", second):
        pass
    assert not is_run("tiny", second) and not is_driven("tiny", second)


def test_the_lock_outlives_the_databases_absence_unless_another_driver_was_faster(
    machine: Callable[..., Paths], postgres: PostgresServer
) -> None:
    url = postgres.database("absence")
    first, second = machine("first", url), machine("second", url)
    with study_lock("tiny", first) as lock:
        tell = lock.held(lambda value: value + 1)
        postgres.stop()
        with pytest.raises(StoreError, match="must be reachable") as caught:
            tell(1)
        assert PASSWORD not in str(caught.value)
        postgres.start()
        assert tell(1) == 2, "nobody else was there"
        with pytest.raises(ConflictError), study_lock("tiny", second):
            pass
        postgres.stop()
        postgres.start()
        with study_lock("tiny", second), pytest.raises(ConflictError, match="study 'tiny' is being run by"):
            tell(1)
        assert tell(1) == 2, "the other one has left"


def test_many_machines_may_make_the_tables_at_once(machine: Callable[..., Paths], postgres: PostgresServer) -> None:
    url = postgres.database("tables")
    machines = [machine(f"machine{number}", url) for number in range(4)]
    study = config_of(machines[0].root)

    def open_on(number: int) -> str:
        return open_study(study.model_copy(update={"name": f"study{number}"}), machines[number], "f" * 64).study_name

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(open_on, range(4))) == [f"study{number}" for number in range(4)]
    assert sorted(optuna.get_all_study_names(replace(machines[0]).optuna_url)) == [f"study{number}" for number in range(4)]


def test_a_study_with_its_state_on_a_server(
    faked: Callable[..., Any], postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = faked()
    monkeypatch.setenv("OCR_SWEEP_OPTUNA_URL", postgres.database("whole"))
    study.paths = Paths.find({"OCR_SWEEP_HOME": str(study.root), "OCR_SWEEP_OPTUNA_URL": postgres.url("whole")})
    study.engine(lambda config, name: Fate())
    study.run()
    assert not (study.root / "mlruns" / "optuna.db").exists()
    trials = optuna.load_study(study_name="tiny", storage=study.paths.optuna_url).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3


def test_a_server_that_cannot_be_reached_is_said_without_its_password(
    project: Callable[..., Path], postgres: PostgresServer
) -> None:
    root = project()
    for url in (
        f"postgresql://sweep:{PASSWORD}@127.0.0.1:1/tiny",
        f"postgresql://127.0.0.1:1/tiny?user=sweep&password={PASSWORD}",
        postgres.url("nowhere"),
        postgres.url(password="wrong-sesame"),
    ):
        done = here(root, "sweep", "run", "tiny", OCR_SWEEP_OPTUNA_URL=url)
        refused(done, 4, "Optuna's database postgresql+psycopg://", "must be reachable")
        assert "sesame" not in done.err + done.out


def test_a_missing_driver_is_said_with_what_to_write(project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    paths = Paths.find({"OCR_SWEEP_HOME": str(project()), "OCR_SWEEP_OPTUNA_URL": "postgres://sweep:secret@127.0.0.1/tiny"})
    with (
        pytest.raises(OcrSweepError, match=r"needs a driver .* write: .*pip install .*'\.\[postgres\]'") as caught,
        study_lock("tiny", paths),
    ):
        pass
    assert caught.value.exit_code == 2 and "secret" not in str(caught.value)


def test_a_database_is_called_as_postgres_itself_calls_it() -> None:
    for written in ("postgres://a:b@c/d", "postgresql://a:b@c/d", "postgresql+psycopg://a:b@c/d"):
        environ = {"OCR_SWEEP_HOME": str(Path(__file__).parents[2]), "OCR_SWEEP_OPTUNA_URL": written}
        assert Paths.find(environ).optuna_url == "postgresql+psycopg://a:b@c/d"
    assert paths_of(Path(__file__).parents[2]).optuna_url.startswith("sqlite:///")
