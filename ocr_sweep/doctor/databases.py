"""The databases themselves: whole, consistent, and of a form that the installed libraries know (I19)."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.doctor.sql import reading, rows, shown, sqlite_file
from ocr_sweep.doctor.violation import Violation
from ocr_sweep.errors import IntegrityError

_RESTORE = "restore it from a backup; artifacts and the other database are not touched by this"
_MIGRATIONS = {"mlflow": "store/db_migrations/versions", "optuna": "storages/_rdb/alembic/versions"}
_REVISION = re.compile(r"""^revision\b[^=]*=\s*["']([^"']+)""", re.MULTILINE)
_DOWN_REVISION = re.compile(r"""^down_revision\b[^=]*=\s*["']([^"']+)""", re.MULTILINE)
_UPGRADE = {
    "mlflow": "copy the file, then `mlflow db upgrade {url}`",
    "optuna": "copy the file, then `optuna storage upgrade --storage {url}`",
}


def check_databases(paths: Paths, *, quick: bool) -> Iterator[Violation]:
    """Look at both databases, unless a server answers for one.

    Raises:
        StoreError: one is away.
    """
    for library, url in (("mlflow", paths.tracking_uri), ("optuna", paths.optuna_url)):
        if url.startswith(("http://", "https://")):
            continue
        file = sqlite_file(url)
        if file is not None and not file.exists():
            continue
        try:
            yield from _looked_at(library, url, quick=quick)
        except IntegrityError as error:
            yield _wrong(url, str(error), _RESTORE)


def _looked_at(library: str, url: str, *, quick: bool) -> Iterator[Violation]:
    with reading(url) as database:
        if sqlite_file(url) is not None:
            found = [row[0] for row in rows(database, f"PRAGMA {'quick_check' if quick else 'integrity_check'}")]
            if found != ["ok"]:
                yield _wrong(url, f"SQLite must find it whole, but finds: {'; '.join(map(str, found[:3]))}", _RESTORE)
                return
            orphans = [f"{row[0]} row {row[1]}" for row in rows(database, "PRAGMA foreign_key_check")]
            if orphans:
                what = f"every row must refer to one that is there, but {len(orphans)} do not: {', '.join(orphans[:3])}"
                yield _wrong(url, what, _RESTORE)
        head = next((str(row[0]) for row in rows(database, "SELECT version_num FROM alembic_version")), "none")
    known, heads = _revisions(library)
    if head not in known:
        what = f"its form must be known to {library} {importlib.metadata.version(library)}, but is {head}"
        yield _wrong(url, what, f"install the younger {library} that made it, or restore a backup")
    elif head not in heads:
        what = f"its form must be that of {library} {importlib.metadata.version(library)}, but is {head}"
        yield _wrong(url, what, _UPGRADE[library].format(url=shown(url)))


def _revisions(library: str) -> tuple[set[str], set[str]]:
    """The forms of a library's database that it can come from, and the newest: as its own files of migrations name them."""
    spec = importlib.util.find_spec(library)
    known: set[str] = set()
    former: set[str] = set()
    for place in (spec.submodule_search_locations or []) if spec else []:
        for file in (Path(place) / _MIGRATIONS[library]).glob("*.py"):
            text = file.read_text(encoding="utf-8")
            known |= set(_REVISION.findall(text))
            former |= set(_DOWN_REVISION.findall(text))
    return known, known - former


def _wrong(url: str, what: str, do: str) -> Violation:
    return Violation("I19", "", shown(url), what, do)
