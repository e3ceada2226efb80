"""How the driver becomes part of a Ray cluster, and what it says when that fails."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ocr_sweep.errors import ConflictError, OcrSweepError, StoreError

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_ANSWER = 5.0  # seconds within which the address must take a connection
_PATIENCE = 30.0  # seconds within which a cluster that does so must be joined
_SILENT: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}


def check_address(address: str) -> None:
    """Refuse what is no address.

    Raises:
        OcrSweepError: with the forms that there are.
    """
    host, _, port = address.rpartition(":")
    if address in ("auto", "local") or (host and "/" not in host and port.isdecimal() and 0 < int(port) < 2**16):
        return
    raise OcrSweepError(
        f"--address must be host:port of a cluster's head (e.g. head:6379), `auto` or `local`, but got {address!r}"
    )


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Be part of a cluster inside.

    Args:
        address: host:port of its head; `auto`: the cluster that this machine is part of; `local`: one of this machine alone,
            which ends with the block.

    Raises:
        OcrSweepError: Ray is not installed, or this is no address.
        StoreError: nobody answers there, or this machine is not part of the cluster.
        ConflictError: the cluster has another Ray or Python.
    """
    check_address(address)
    for name, value in {**_QUIET, **(_alone() if address == "local" else {})}.items():
        os.environ.setdefault(name, value)  # before the import, which reads them
    try:
        import ray
    except ImportError as error:
        raise OcrSweepError(
            "--engine ray needs Ray, which is not installed; write: .venv/bin/pip install -c constraints.txt -e '.[ray]'"
        ) from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # we tell failures in our own words
    try:
        if address == "local":
            _start_here(ray)
        else:
            _join(ray, address)
        ray._private.worker.print_to_stdstream = lambda data, ignore_prefix: None  # into the middle of our table
        yield
    finally:
        ray.shutdown()


def _alone() -> dict[str, str]:
    """The settings of a cluster that nobody else may join, whose trials have the priority of trials without Ray."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_worker_niceness": "0"}


def _start_here(ray: Any) -> None:
    """Start a cluster of this machine alone, for ourselves alone, and keep our way with signals.

    In this thread: the kernel ends the cluster's processes when the thread that started them ends.
    """
    former = signal.getsignal(signal.SIGTERM)
    try:
        with _deaf():
            ray.init("local", include_dashboard=False, **_SILENT)
    except Exception as error:
        raise _told("local", error) from error
    finally:
        signal.signal(signal.SIGTERM, former)


def _join(ray: Any, address: str) -> None:
    """Join a cluster, in a thread of its own: that may wait for ever, and from the main one Ray would take our signals.

    Raises:
        StoreError, ConflictError: see `joined`.
    """
    if address != "auto":
        _knock(address)
    failures: list[Exception] = []

    def work() -> None:
        try:
            ray.init(address, **_SILENT)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True, name="joining")
    with _deaf():
        thread.start()
        thread.join(_PATIENCE)
    if thread.is_alive():
        asks = "if the cluster asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here, too"
        raise _unreachable(address, f"within {_PATIENCE:.0f} s nothing answered as Ray does ({asks})")
    if failures:
        raise _told(address, failures[0]) from failures[0]


def _knock(address: str) -> None:
    """See whether anybody is there: Ray itself would try for many minutes.

    Raises:
        StoreError: nobody is.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER).close()
    except OSError as error:
        raise _unreachable(address, str(error)) from error


@contextmanager
def _deaf() -> Iterator[None]:
    """Leave out what Ray's own code writes on standard error before it knows its level of logging."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _told(address: str, error: Exception) -> OcrSweepError:
    said = " ".join(str(error).split())
    if "Version mismatch" in said:
        return ConflictError(f"every machine must have the same Ray and Python, but: {said[:300]}")
    return _unreachable(address, said[:300].rstrip(".") or type(error).__name__)


def _unreachable(address: str, why: str) -> StoreError:
    where = {"auto": "that this machine is part of", "local": "of this machine"}.get(address, f"at {address}")
    hint = "" if address in ("auto", "local") else ", and this machine part of it (`ray start --address=<head>:6379`)"
    return StoreError(
        f"the Ray cluster {where} must be running{hint}, but: {why}. "
        "What was recorded is safe; when it is there, run the same command again"
    )
