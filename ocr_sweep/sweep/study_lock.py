"""One driver for each study: a lock on this machine, and one in the study's database where that is a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import file_lock
from ocr_sweep.errors import ConflictError
from ocr_sweep.sweep.driver import driving
from ocr_sweep.sweep.search.database_lock import DatabaseLock, is_postgres
from ocr_sweep.sweep.search.storage import storage_errors

_P = ParamSpec("_P")
_T = TypeVar("_T")


class StudyLock:
    """The lock of a study that this process drives.

    Args:
        url: the study's database.
        database: its lock there; None where the lock on this machine is enough.
    """

    def __init__(self, url: str, database: DatabaseLock | None) -> None:
        self._url = url
        self._database = database

    def held(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        """The same function, which first makes sure that this process still is the study's driver.

        Raises:
            ConflictError: by that function, when another process has become the driver while the database was away.
            StoreError: likewise, when the database cannot be reached.
        """

        def checked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            if self._database is not None:
                with storage_errors(self._url):
                    self._database.check()
            return function(*args, **kwargs)

        return checked


@contextmanager
def study_lock(name: str, paths: Paths) -> Iterator[StudyLock]:
    """Be the only driver of a study.

    Raises:
        ConflictError: another process drives it, on this machine or on another.
        StoreError: the study's database cannot be reached.
    """
    with driving(name, paths), _database_lock(name, paths.optuna_url) as database:
        yield StudyLock(paths.optuna_url, database)


def is_driven(name: str, paths: Paths) -> bool:
    """Whether a process drives a study, on this machine or, where its database is a PostgreSQL server, on any.

    Raises:
        StoreError: the study's database cannot be reached.
    """
    try:
        with file_lock(paths.lock(f"study-{name}"), wait=False), _database_lock(name, paths.optuna_url):
            return False
    except ConflictError:
        return True


@contextmanager
def _database_lock(name: str, url: str) -> Iterator[DatabaseLock | None]:
    if not is_postgres(url):
        yield None
        return
    lock = DatabaseLock(url, f"study '{name}'")
    with storage_errors(url):
        lock.take(wait=False)
    try:
        yield lock
    finally:
        lock.release()
