"""The process of the dashboard: optuna-dashboard's own application, for browsers that mean this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

from ocr_sweep.sweep.watching.dashboard import URL
from ocr_sweep.tracking.server import HOST

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def for_hosts(application: Application, hosts: frozenset[str]) -> Application:
    """The application for requests that name one of the hosts; a page elsewhere that borrows our address gets nothing."""

    def checked(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_HOST") in hosts:
            return application(environ, start)
        start("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"this server answers its own machine alone\n"]

    return checked


def main() -> None:
    """Serve on the port that the command line names, until the process is ended."""
    from optuna_dashboard import wsgi

    port = int(sys.argv[1])
    hosts = frozenset(f"{host}:{port}" for host in (HOST, "localhost"))
    with make_server(HOST, port, for_hosts(wsgi(os.environ[URL]), hosts), server_class=_Server) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
