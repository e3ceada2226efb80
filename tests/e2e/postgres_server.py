"""A real PostgreSQL server in a temporary folder, on a free port of this machine, with a password."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from tiny_study import free_port, wait_for

PASSWORD = "open-sesame"
_FOLDERS = [str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")]
_PROGRAM = shutil.which("postgres", path=os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS]))

needs_postgres = pytest.mark.skipif(
    _PROGRAM is None or find_spec("psycopg") is None, reason="no PostgreSQL here, or no driver: pip install -e '.[postgres]'"
)


class PostgresServer:
    """Starts and stops; a database of its own for each test."""

    def __init__(self, folder: Path) -> None:
        assert _PROGRAM is not None
        self._bin, self._data, self._log = Path(_PROGRAM).resolve().parent, folder / "data", folder / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        (folder / "password").write_text(PASSWORD)
        folder.chmod(0o755)
        self._data.mkdir()
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._data, "nobody", "nogroup")
        options = ["--username=sweep", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync", "--encoding=UTF8"]
        subprocess.run([self._bin / "initdb", "-D", self._data, *options], check=True, capture_output=True, **self._user())
        self.start()

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        """The address of a database, as a person writes it."""
        return f"postgresql://sweep:{password}@127.0.0.1:{self.port}/{database}"

    def database(self, name: str) -> str:
        """The address of a new, empty database."""
        from psycopg import connect

        with connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port), "-k", "", "-F"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._user())
        wait_for(self._answers, "PostgreSQL to answer", 60)

    def stop(self) -> None:
        """Stop at once; whoever is connected is not any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def _answers(self) -> bool:
        from psycopg import OperationalError, connect

        with suppress(OperationalError), connect(self.url()):
            return True
        time.sleep(0.1)
        return False

    def _user(self) -> dict[str, Any]:
        return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests; who stops it starts it again."""
    folder = Path(mkdtemp(prefix="ocr-sweep-postgres-", dir="/tmp"))  # each module that imports this has a server of its own
    server = PostgresServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
