"""Optuna's database, read by SQL."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from sqlalchemy import Connection

from ocr_sweep.doctor import words
from ocr_sweep.doctor.records import Study, Trial
from ocr_sweep.doctor.sql import reading, rows, sqlite_file


def read_studies(url: str, only: str | None = None) -> list[Study]:
    """Read all studies, or one; by name. None where there is no database yet.

    Raises:
        StoreError, IntegrityError: see `sql.reading`.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return []
    with reading(url) as database:
        current = _current(database)
        return [_study(database, name, number) for name, number in sorted(current.items()) if only in (None, name)]


def _current(database: Connection) -> dict[str, int]:
    """The number of each study in the database; of one that has grown (`name`, `name@2`) that of its latest version."""
    named = {name: number for number, name in rows(database, "SELECT study_id, study_name FROM studies")}
    written = rows(database, "SELECT study_id, study_user_attributes.key FROM study_user_attributes")
    made = {number for number, key in written if key == words.VERSION}
    versions: dict[str, dict[int, int]] = {}
    for stored, number in named.items():
        name, _, version = stored.rpartition("@")
        if name not in named or not version.isdecimal():
            versions.setdefault(stored, {})[1] = number
        elif number in made:
            versions.setdefault(name, {})[int(version)] = number
    return {name: found[max(found)] for name, found in versions.items() if 1 in found}


def _study(database: Connection, name: str, number: int) -> Study:
    directions = rows(database, "SELECT direction FROM study_directions WHERE study_id IN :among ORDER BY objective", [number])
    attributes = rows(
        database, "SELECT study_user_attributes.key, value_json FROM study_user_attributes WHERE study_id IN :among", [number]
    )
    return Study(
        name=name,
        directions=tuple(direction.lower() for (direction,) in directions),
        attributes={key: json.loads(value) for key, value in attributes},
        trials=tuple(_trials(database, number)),
    )


def _trials(database: Connection, study: int) -> list[Trial]:
    query = (
        "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials WHERE study_id IN :among ORDER BY number"
    )
    found = list(rows(database, query, [study]))
    known = [row[0] for row in found]
    attributes = _by_trial(database, known, "SELECT trial_id, trial_user_attributes.key, value_json FROM trial_user_attributes")
    params = _by_trial(database, known, "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params")
    steps = _by_trial(database, known, "SELECT trial_id, step, intermediate_value FROM trial_intermediate_values")
    values = _by_trial(database, known, "SELECT trial_id, objective, value, value_type FROM trial_values")
    return [
        Trial(
            number=number,
            state=state,
            start=str(start or ""),
            end=str(end or ""),
            value=min(values[trial])[1] if values[trial] else None,
            finite=all(kind == "FINITE" for *_, kind in values[trial]),
            params={name: _decoded(value, json.loads(kind)) for name, value, kind in params[trial]},
            intermediate={int(step): float("nan") if value is None else value for step, value in steps[trial]},
            attributes={key: json.loads(value) for key, value in attributes[trial]},
        )
        for trial, number, state, start, end in found
    ]


def _by_trial(database: Connection, trials: list[int], query: str) -> dict[int, list[tuple[Any, ...]]]:
    """The rows of each trial, without the trial's id."""
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for trial, *rest in rows(database, f"{query} WHERE trial_id IN :among", trials):
        found[trial].append(tuple(rest))
    return found


def _decoded(value: float, distribution: dict[str, Any]) -> Any:
    """A parameter out of the number that it is kept as."""
    match distribution["name"]:
        case "CategoricalDistribution":
            return distribution["attributes"]["choices"][int(value)]
        case "IntDistribution":
            return int(value)
        case _:
            return value
