"""`ocr-sweep ui` and `dashboard`: the stores in the pages of MLflow and of Optuna."""

from __future__ import annotations

from typing import Annotated

import typer


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on the loopback address.")] = 5000,
) -> None:
    """Serve the MLflow UI over this project's runs, on this machine only, until Ctrl-C.

    Example: ocr-sweep ui --port 5001
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.tracking.server import serve

    def ready(address: str, experiments: dict[str, str]) -> None:
        links = [f"  {name}: {link}" for name, link in experiments.items()]
        console.print("\n".join([f"the MLflow UI is at [bold]{address}[/bold]; Ctrl-C ends it", *links]), soft_wrap=True)

    serve(Paths.find(), port, ready)


def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on the loopback address.")] = 8080,
) -> None:
    """Serve optuna-dashboard over this project's studies, on this machine only and to look alone, until Ctrl-C.

    Example: ocr-sweep dashboard --port 8081
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.sweep.watching.dashboard import serve_dashboard

    def ready(address: str) -> None:
        console.print(f"optuna-dashboard is at [bold]{address}/dashboard[/bold]; Ctrl-C ends it", soft_wrap=True)

    serve_dashboard(Paths.find(), port, ready)
