"""Optuna's database: one study of ours is one study there, and it never changes its meaning."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from pydantic import ValidationError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ocr_sweep.config.fingerprint import canonical_json
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import StudyConfig, flatten
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import created_aside, file_lock, make_directory, store_errors
from ocr_sweep.errors import ConflictError, StoreError
from ocr_sweep.tracking.mlflow_client import stays_away, without_password

_IDENTITY = "ocr_sweep.identity"
VERDICT = "ocr_sweep.verdict"
RUN_ID = "ocr_sweep.run_id"


def open_study(study: StudyConfig, paths: Paths, corpus_fingerprint: str) -> optuna.Study:
    """Return the Optuna study, created on first use.

    Raises:
        ConflictError: a study of this name exists and asks something else; the message says what differs.
        StoreError: the database cannot be reached or created.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    identity = {**study.identity(), "corpus_fingerprint": corpus_fingerprint}
    with storage_errors(paths.optuna_url):
        with store_errors(f"creating {paths.mlruns}"):
            make_directory(paths.mlruns)
        with file_lock(paths.lock("optuna-store"), wait=True):
            _create_database(paths.optuna_url)
            storage = optuna.storages.RDBStorage(paths.optuna_url, engine_kwargs={"connect_args": _patience(paths.optuna_url)})
            known = study.name in optuna.get_all_study_names(storage)
            opened = optuna.create_study(
                storage=storage, study_name=study.name, direction=study.direction, load_if_exists=True, pruner=make_pruner(study)
            )
            if not known or _IDENTITY not in opened.user_attrs:
                opened.set_user_attr(_IDENTITY, canonical_json(identity))
    was = _with_defaults(json.loads(opened.user_attrs.get(_IDENTITY, canonical_json(identity))))
    _check_identity(was, identity, study.name)
    return opened


def _create_database(url: str) -> None:
    """Make a database in a file aside, so that a kill leaves none that is half made; other databases make their tables."""
    file = Path(make_url(url).database or "") if url.startswith("sqlite") else Path()
    if not file.name or file.exists():
        return
    with created_aside(file) as aside:
        optuna.storages.RDBStorage(f"sqlite:///{aside}").engine.dispose()


def find_verdict(study_name: str, paths: Paths) -> dict[str, Any] | None:
    """The recorded verdict of a study; None when it has none yet."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if paths.optuna_url.startswith("sqlite:///") and not (paths.mlruns / "optuna.db").exists():
        return None
    with storage_errors(paths.optuna_url):
        storage = optuna.storages.RDBStorage(paths.optuna_url)
        if study_name not in optuna.get_all_study_names(storage):
            return None
        verdict: dict[str, Any] | None = optuna.load_study(study_name=study_name, storage=storage).user_attrs.get(VERDICT)
        return verdict


def find_study_trials(study_name: str, paths: Paths) -> list[optuna.trial.FrozenTrial]:
    """The trials of a study as Optuna has them; none where it does not know the study."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if paths.optuna_url.startswith("sqlite:///") and not (paths.mlruns / "optuna.db").exists():
        return []
    with storage_errors(paths.optuna_url):
        storage = optuna.storages.RDBStorage(paths.optuna_url)
        if study_name not in optuna.get_all_study_names(storage):
            return []
        return optuna.load_study(study_name=study_name, storage=storage).get_trials(deepcopy=False)


def tell(url: str, study: str, trial: int, state: str, value: float | None, run_id: str) -> None:
    """Tell how a trial ended whose end is recorded everywhere else; telling twice is telling once.

    Args:
        state: Optuna's name of it, e.g. PRUNED.

    Raises:
        StoreError: the database cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with storage_errors(url):
        opened = optuna.load_study(study_name=study, storage=url)
        frozen = opened.get_trials(deepcopy=False)[trial]
        if not frozen.state.is_finished():
            opened._storage.set_trial_user_attr(frozen._trial_id, RUN_ID, run_id)
            opened.tell(trial, value, state=TrialState[state])


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn a failing database into a StoreError that names it, without its password."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = without_password(str(error.__cause__ or error).splitlines()[0])
        raise StoreError(
            f"Optuna's database {without_password(url)} must be reachable and writable, but: {cause[:300]}. "
            "What was recorded is safe; when the database is back, run the same command again",
            passing=not stays_away(cause),
        ) from error


def make_sampler(study: StudyConfig, trial: int) -> optuna.samplers.BaseSampler:
    """The sampler for one trial, seeded by (study, trial): a resumed study goes on instead of proposing its past again."""
    seed = study.sampler.seed * 1_000_003 + trial
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match study.sampler.kind:
            case "tpe":
                return optuna.samplers.TPESampler(
                    seed=seed % 2**32, n_startup_trials=study.sampler.startup_trials, multivariate=True, group=True
                )
            case "random":
                return optuna.samplers.RandomSampler(seed=seed % 2**32)


def make_pruner(study: StudyConfig) -> optuna.pruners.BasePruner:
    """The pruner that a study asks for."""
    match study.pruner.kind:
        case "none":
            return optuna.pruners.NopPruner()
        case "median":
            return optuna.pruners.MedianPruner(
                n_startup_trials=study.pruner.startup_trials, n_warmup_steps=study.pruner.warmup_epochs
            )
        case "hyperband":
            epochs = study.base.training.epochs
            return optuna.pruners.HyperbandPruner(min_resource=min(study.pruner.warmup_epochs, epochs), max_resource=epochs)


def _patience(url: str) -> dict[str, Any]:
    return {"timeout": 10} if url.startswith("sqlite") else {}


def _with_defaults(identity: dict[str, Any]) -> dict[str, Any]:
    """What an earlier version wrote, with the keys that trials have gained since."""
    with suppress(ValidationError):
        return {**identity, "base": TrialConfig.model_validate(identity["base"]).model_dump(mode="json")}
    return identity


def _check_identity(was: dict[str, Any], now: dict[str, Any], name: str) -> None:
    before, after = flatten(was), flatten(now)
    changed = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    if changed:
        lines = "; ".join(f"{key}: {_short(before.get(key))} -> {_short(after.get(key))}" for key in changed[:8])
        more = f" and {len(changed) - 8} more" if len(changed) > 8 else ""
        raise ConflictError(
            f"study '{name}' exists and must keep its meaning, but these differ: {lines}{more}. "
            "Give the file another `name:` to ask a new question, or put it back as it was"
        )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
