"""Databases, opened for reading alone."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, bindparam, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ocr_sweep.errors import IntegrityError, OcrSweepError, StoreError

_AT_ONCE = 500  # values in one IN (...)


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None for a database server."""
    parts = make_url(url)
    return Path(parts.database or "") if parts.get_backend_name() == "sqlite" else None


def shown(url: str) -> str:
    """A database's address without its password."""
    return make_url(url).render_as_string(hide_password=True)


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """One moment of a database: what others write meanwhile is not seen, and nothing can be written.

    Raises:
        StoreError: it cannot be reached.
        IntegrityError: it is there, and it is damaged.
    """
    try:
        file = sqlite_file(url)
        with _of_server(url) if file is None else _of_file(file) as connection:
            yield connection
    except ImportError as error:
        raise OcrSweepError(
            f"the database {shown(url)} needs a driver that is not installed ({error}); "
            "write: .venv/bin/pip install -c constraints.txt -e '.[postgres]'"
        ) from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = error.__cause__ or error
        first = str(cause).splitlines()[0]
        if isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError):
            raise IntegrityError(f"{shown(url)} is damaged: {first}") from error
        raise StoreError(
            f"the database {shown(url)} must be reachable and readable, but: {first[:300]}; when it is back, run this again"
        ) from error


@contextmanager
def _of_server(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _of_file(file: Path) -> Iterator[Connection]:
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
        if _interrupted(file):
            file = _copied(file, Path(folder))
        engine = create_engine("sqlite://", creator=lambda: _connected(file))
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                yield connection
        finally:
            engine.dispose()


def _connected(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, isolation_level=None, timeout=30)


def _interrupted(file: Path) -> bool:
    """Whether a kill left a transaction that has to be undone before anybody can read: who only reads may not."""
    if not file.with_name(f"{file.name}-journal").exists():
        return False
    with closing(_connected(file)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except sqlite3.OperationalError as error:
            return str(error.sqlite_errorname).startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN"))
    return False


def _copied(file: Path, folder: Path) -> Path:
    """The database as its next writer will find it: the transaction is undone in a copy."""
    for name in (file.name, f"{file.name}-journal"):
        shutil.copyfile(file.with_name(name), folder / name)
    with closing(sqlite3.connect(folder / file.name)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    return folder / file.name


def rows(connection: Connection, query: str, among: Sequence[Any] | None = None) -> Iterator[Any]:
    """The rows of a query; `:among` in it stands for a list of values, asked for piece by piece."""
    if among is None:
        yield from connection.execute(text(query))
        return
    statement = text(query).bindparams(bindparam("among", expanding=True))
    for first in range(0, len(among), _AT_ONCE):
        yield from connection.execute(statement, {"among": list(among[first : first + _AT_ONCE])})
