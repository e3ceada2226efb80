"""MLflow's database, read by SQL."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection

from ocr_sweep.doctor import words
from ocr_sweep.doctor.records import Point, Run, Tracking, Version
from ocr_sweep.doctor.sql import reading, rows, sqlite_file


def read_database(url: str, only: str | None = None) -> Tracking:
    """Read the runs that are ours, of all studies or of one, and the registry. Nothing where there is no database yet.

    Raises:
        StoreError, IntegrityError: see `sql.reading`.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return Tracking({}, (), (), {})
    with reading(url) as database:
        places = {name: place for name, place in rows(database, "SELECT name, artifact_location FROM experiments")}
        query = f"SELECT run_uuid, value FROM tags WHERE tags.key = '{words.STUDY}'"
        ours = [run for run, study in rows(database, query) if only in (None, study)]
        query = f"SELECT name, value FROM registered_model_tags WHERE registered_model_tags.key = '{words.HEAD}'"
        heads = dict(tuple(row) for row in rows(database, query))
        return Tracking(places, tuple(_runs(database, ours)), tuple(_versions(database)), _aliases(database), heads)


def _runs(database: Connection, ours: list[str]) -> list[Run]:
    tags = _by_run(database, ours, "SELECT run_uuid, tags.key, value FROM tags")
    params = _by_run(database, ours, "SELECT run_uuid, params.key, value FROM params")
    metrics = _metrics(database, ours)
    query = (
        "SELECT run_uuid, name, status, lifecycle_stage, start_time, end_time, artifact_uri FROM runs WHERE run_uuid IN :among"
    )
    found = [
        Run(
            run_id=run,
            name=name or run,
            status=status,
            deleted=stage == "deleted",
            start=start,
            end=end,
            artifacts=place,
            tags=dict(tags[run]),
            params=dict(params[run]),
            metrics=metrics[run],
        )
        for run, name, status, stage, start, end, place in rows(database, query, ours)
    ]
    return sorted(found, key=lambda run: (run.study, run.start, run.run_id))


def _metrics(database: Connection, ours: list[str]) -> dict[str, dict[str, tuple[Point, ...]]]:
    found: dict[str, dict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    query = "SELECT run_uuid, metrics.key, step, value, timestamp, is_nan FROM metrics WHERE run_uuid IN :among"
    for run, key, step, value, timestamp, is_nan in rows(database, query, ours):
        found[run][key].append(Point(int(step), float("nan") if is_nan else value, int(timestamp)))
    sorted_ = {run: {key: tuple(sorted(points)) for key, points in curves.items()} for run, curves in found.items()}
    return defaultdict(dict, sorted_)


def _by_run(database: Connection, ours: list[str], query: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for run, key, value in rows(database, f"{query} WHERE run_uuid IN :among", ours):
        found[run].append((key, value or ""))
    return found


def _versions(database: Connection) -> list[Version]:
    tags: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    for name, number, key, value in rows(database, "SELECT name, version, model_version_tags.key, value FROM model_version_tags"):
        tags[name, number][key] = value or ""
    query = "SELECT name, version, run_id, current_stage FROM model_versions ORDER BY name, version"
    return [
        Version(name, int(number), run or "", stage or "None", tags[name, number])
        for name, number, run, stage in rows(database, query)
        if stage != "Deleted_Internal"
    ]


def _aliases(database: Connection) -> dict[tuple[str, str], int]:
    query = "SELECT name, alias, version FROM registered_model_aliases"
    return {(name, alias): int(number) for name, alias, number in rows(database, query)}
