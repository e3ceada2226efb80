"""A lock in a PostgreSQL database, and how such a database is reached."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from ocr_sweep.errors import ConflictError

_KEEPALIVES = ("tcp_keepalives_idle = 20", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 4")
"""So the server lets go of the lock a minute after the driver's machine was lost; by itself it would take two hours."""

_PATIENCE = 10  # seconds for a connection

_HOLDER = """
    SELECT activity.pid, activity.application_name FROM pg_locks AS lock JOIN pg_stat_activity AS activity USING (pid)
    WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 1
    AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (lock.classid::bigint << 32) + lock.objid::bigint = :key
"""


def is_postgres(url: str) -> bool:
    """Whether a database is on a PostgreSQL server."""
    return url.startswith("postgresql")


def connect_args(url: str) -> dict[str, Any]:
    """What a connection to this database wants to know: above all, how long to wait for it."""
    if url.startswith("sqlite"):
        return {"timeout": 10}
    return {"connect_timeout": _PATIENCE} if is_postgres(url) else {}


class DatabaseLock:
    """An advisory lock of a PostgreSQL session: it lasts as long as its connection, which lasts as long as this process.

    Args:
        url: the database, as SQLAlchemy takes it.
        name: what is locked.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._me = f"ocr-sweep {socket.gethostname()[:32]} {os.getpid()} {secrets.token_hex(4)}"
        digest = hashlib.sha256(f"ocr_sweep {name}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: Connection | None = None

    def take(self, *, wait: bool) -> None:
        """Take the lock.

        Raises:
            ConflictError: somebody else holds it, and `wait` is false.
            SQLAlchemyError: the database cannot be reached.
        """
        self._connection = self._connected()
        if wait:
            self._ask("SELECT pg_advisory_lock(:key)")
        elif not self._ask("SELECT pg_try_advisory_lock(:key)"):
            self._push_aside()

    def check(self) -> None:
        """Make sure that the lock is still held; take it again after the database was away.

        Raises:
            ConflictError: somebody else took it meanwhile.
            SQLAlchemyError: the database cannot be reached.
        """
        try:
            if self._connection is not None:
                self._ask("SELECT 1")
                return
        except SQLAlchemyError:
            self.release()
        self.take(wait=False)

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _connected(self) -> Connection:
        engine = create_engine(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=connect_args(self._url))
        connection = engine.connect()
        connection.execute(text("SELECT set_config('application_name', :me, false)"), {"me": self._me})
        for setting in _KEEPALIVES:
            connection.execute(text(f"SET {setting}"))
        return connection

    def _ask(self, question: str) -> Any:
        assert self._connection is not None
        return self._connection.execute(text(question), {"key": self._key} if ":key" in question else {}).scalar()

    def _push_aside(self) -> None:
        """End a session of this very process that the server has not missed yet; refuse when the holder is another."""
        assert self._connection is not None
        holder = self._connection.execute(text(_HOLDER), {"key": self._key}).first()
        if holder is not None and holder[1] == self._me:
            self._connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": holder[0]})
            if self._ask("SELECT pg_try_advisory_lock(:key)"):
                return
        self.release()
        raise ConflictError(
            f"{self._name} is being run by {_named(holder)}; wait for it, or stop it with Ctrl-C where it runs "
            "(the lock of a machine that was lost ends by itself within a minute)"
        )


def _named(holder: Any) -> str:
    words = str(holder[1]).split() if holder is not None else []
    return f"process {words[2]} of {words[1]}" if len(words) == 4 and words[0] == "ocr-sweep" else "another process"
