"""Optuna's database: one study of ours is one study there, or one for each of its versions, and none changes its meaning."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.disk import created_aside, file_lock, make_directory, store_errors
from ocr_sweep.errors import ConflictError, OcrSweepError, StoreError
from ocr_sweep.sweep.search.database_lock import DatabaseLock, connect_args, is_postgres
from ocr_sweep.sweep.search.growth import carried, grow, reasons
from ocr_sweep.sweep.search.identity import CODE, Meaning
from ocr_sweep.sweep.search.journal import comparable
from ocr_sweep.sweep.search.versions import IDENTITY, Version, new_version, settle, versions_of
from ocr_sweep.tracking.mlflow_client import gist, stays_away, without_password
from ocr_sweep.tracking.provenance import recipe_sha256

VERDICT = "ocr_sweep.verdict"
RUN_ID = "ocr_sweep.run_id"


def open_study(
    study: StudyConfig,
    paths: Paths,
    corpus_fingerprint: str,
    *,
    grows: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> optuna.Study:
    """Return the Optuna study, created on first use.

    Args:
        grows: where the study asks something else than before, go on with a new version of it.
        say: hears what became of its trials then.

    Raises:
        ConflictError: a study of this name exists and asks something else; the message says what differs.
        StoreError: the database cannot be reached or created.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    now = Meaning.of(study, corpus_fingerprint)
    with storage_errors(paths.optuna_url):
        with store_errors(f"creating {paths.mlruns}"):
            make_directory(paths.mlruns)
        with _making_tables(paths):
            _create_database(paths.optuna_url)
            storage = _connect(paths.optuna_url)
            versions = versions_of(study.name, storage)
            if not versions:
                made = new_version(study, 1, storage)
                settle(made, 1, now)
                return made
            current = versions[-1].study
            was = _meaning(versions[-1], now)
            changed = was.differences(now)
            if not changed and (was.code == now.code or not grows):
                return current
            if not grows:
                raise ConflictError(_conflict(study.name, changed, versions, now))
            changed += [f"code: {was.code[:12]} -> {now.code[:12]}"] if was.code != now.code else []
            grown = grow(versions, now, changed, storage)
            say(_grown(study.name, grown))
            return grown.study


def find_verdict(study_name: str, paths: Paths) -> dict[str, Any] | None:
    """The recorded verdict of a study; None when it has none yet."""
    versions = find_versions(study_name, paths)
    return versions[-1].study.user_attrs.get(VERDICT) if versions else None


def find_study_trials(study_name: str, paths: Paths) -> list[optuna.trial.FrozenTrial]:
    """The comparable trials of a study as Optuna has them; none where it does not know the study."""
    versions = find_versions(study_name, paths)
    return [trial for trial in versions[-1].trials() if comparable(trial)] if versions else []


def find_versions(study_name: str, paths: Paths) -> list[Version]:
    """The versions of a study, oldest first; none where it never ran.

    Raises:
        StoreError: the database cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    own = paths.mlruns / "optuna.db"
    if paths.optuna_url == f"sqlite:///{own}" and not own.exists():
        return []  # and a question makes no database
    with storage_errors(paths.optuna_url):
        return versions_of(study_name, _connect(paths.optuna_url))


def require_same_code(study: optuna.Study) -> None:
    """Refuse to train under another recipe code than the study's trials were trained by.

    Raises:
        ConflictError: with the ways out.
    """
    was, now = json.loads(study.user_attrs[IDENTITY]).get(CODE), recipe_sha256()
    if was and was != now:
        name = study.study_name.partition("@")[0]
        raise ConflictError(
            f"study '{name}' was trained by recipe code {was[:12]} and must go on with it, because numbers of other code are not "
            f"comparable, but this is {now[:12]}. Go back to that code (each run is tagged with its commit), or set all trials "
            "aside and begin anew under the same name with --grow (make: GROW=1)"
        )


def _meaning(version: Version, now: Meaning) -> Meaning:
    """What a version means. What a kill or a former version of this program kept from being written is written now."""
    assert now.study is not None
    was = version.meaning(now.study)
    if was is None:
        was = now
        settle(version.study, version.number, was)
    elif not was.code:
        was = was.with_code(now.code)
        version.study.set_user_attr(IDENTITY, was.as_json())
    return was


def _conflict(name: str, changed: Sequence[str], versions: Sequence[Version], now: Meaning) -> str:
    more = f" and {len(changed) - 8} more" if len(changed) > 8 else ""
    trials = list(carried(versions, now))
    aside = reasons(trials)
    outlook = (
        f"goes on with {len(trials) - sum(aside.values())} of its {len(trials)} trials and sets aside {_counted(aside)}"
        if aside
        else f"goes on with all of its {len(trials)} trials, because these only grow it"
    )
    return (
        f"study '{name}' exists and must keep its meaning, but these differ: {'; '.join(changed[:8])}{more}. "
        f"Give the file another `name:` to ask a new question, or put it back as it was; --grow (make: GROW=1) {outlook}"
    )


def _grown(name: str, grown: Version) -> str:
    about = grown.about()
    aside = f"; not comparable and set aside: {_counted(about['fenced'])}" if about["fenced"] else ""
    return f"study '{name}' goes on as its version {grown.number}, with {about['kept']} trials of before{aside}"


def _counted(aside: dict[str, int]) -> str:
    return ", ".join(f"{count} for {reason}" for reason, count in sorted(aside.items()))


def tell(url: str, study: str, trial: int, state: str, values: Sequence[float] | None, run_id: str) -> None:
    """Tell how a trial ended whose end is recorded everywhere else; telling twice is telling once.

    Args:
        state: Optuna's name of it, e.g. PRUNED.
        values: the study's metric, and its cost if it has one; of a trial with a result.

    Raises:
        StoreError: the database cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with storage_errors(url):
        opened = versions_of(study, _connect(url))[-1].study
        frozen = opened.get_trials(deepcopy=False)[trial]
        if not frozen.state.is_finished():
            opened._storage.set_trial_user_attr(frozen._trial_id, RUN_ID, run_id)
            opened.tell(trial, values, state=TrialState[state])


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn a failing database into a StoreError that names it, without its password."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        if not is_postgres(url):
            raise _unreachable(url, error) from error
        raise OcrSweepError(
            f"Optuna's database {without_password(url)} needs a driver that is not installed; "
            "write: .venv/bin/pip install -c constraints.txt -e '.[postgres]'"
        ) from error
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise _unreachable(url, error) from error


def _create_database(url: str) -> None:
    """Make a database in a file aside, so that a kill leaves none that is half made; other databases make their tables."""
    file = Path(make_url(url).database or "") if url.startswith("sqlite") else Path()
    if not file.name or file.exists():
        return
    with created_aside(file) as aside:
        optuna.storages.RDBStorage(f"sqlite:///{aside}").engine.dispose()


def _connect(url: str) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": connect_args(url), "pool_pre_ping": is_postgres(url)})


@contextmanager
def _making_tables(paths: Paths) -> Iterator[None]:
    """Let one process alone make the tables, on this machine or any: several at once break each other."""
    with file_lock(paths.lock("optuna-store"), wait=True):
        if not is_postgres(paths.optuna_url):
            yield
            return
        lock = DatabaseLock(paths.optuna_url, "Optuna's tables")
        lock.take(wait=True)
        try:
            yield
        finally:
            lock.release()


def _unreachable(url: str, error: Exception) -> StoreError:
    cause = without_password(gist(error.__cause__ or error))
    return StoreError(
        f"Optuna's database {without_password(url)} must be reachable and writable, but: {cause[:300]}. "
        "What was recorded is safe; when the database is back, run the same command again",
        passing=not stays_away(cause),
    )
