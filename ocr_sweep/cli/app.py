"""The program `ocr-sweep`: its command groups, and how every failure reaches the user."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from typing import Any

import typer

from ocr_sweep.cli import (
    corpus,
    corpus_charset,
    corpus_clean,
    corpus_coverage,
    corpus_generate,
    corpus_store,
    doctor,
    models,
    models_change,
    models_variants,
    project,
    recognize,
    report,
    runs,
    sweep,
    sweep_past,
    sweep_status,
    sweep_watch,
)
from ocr_sweep.errors import ConfigError, OcrSweepError, StoppedError, StoreError

app = typer.Typer(
    name="ocr-sweep",
    help="Studies, runs and a model registry for people who train character recognisers.\n\n"
    "Example: ocr-sweep sweep run unet_aug",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(corpus.app, name="corpus", help="What trials learn from and are judged on.")
corpus.app.command("charset")(corpus_charset.charset)
corpus.app.command("coverage")(corpus_coverage.coverage)
corpus.app.command("generate")(corpus_generate.generate)
corpus.app.command("list")(corpus_store.list_corpora)
corpus.app.command("audit")(corpus_store.audit)
corpus.app.command("gc")(corpus_store.gc)
app.add_typer(sweep.app, name="sweep", help="Studies: run, watch, stop, list and check them.")
sweep.app.command("watch")(sweep_watch.watch)
sweep.app.command("status")(sweep_status.status)
sweep.app.command("stop")(sweep_watch.stop)
sweep.app.command("logs")(sweep_status.logs)
sweep.app.command("replay")(sweep_past.replay)
sweep.app.command("history")(sweep_past.history)
app.add_typer(runs.app, name="runs", help="Past trainings: list, compare and reproduce them.")
app.add_typer(models.app, name="models", help="Registered models: what is in production, what was, and how it gets there.")
models.app.command("promote")(models_change.promote)
models.app.command("rollback")(models_change.rollback)
models.app.command("verify")(models_change.verify)
models.app.command("variants")(models_variants.variants)
corpus.app.command("clean")(corpus_clean.clean)
corpus.app.command("show")(corpus_clean.show)
app.command("recognize")(recognize.recognize)
app.command("ui")(project.ui)
app.command("dashboard")(project.dashboard)
app.command("doctor")(doctor.doctor)
app.command("report")(report.report)

_BUG = 1
_INTERRUPTED = 130
_USAGE_ERROR: Any = typer.BadParameter.__base__  # click's, or that of the copy which typer carries


def main() -> None:
    """Run the program and leave with the exit code of the table in `ocr_sweep.errors`."""
    code = _run()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it has ended; a Ctrl-C from here on would only change its code
    gc.disable()
    gc.freeze()  # else the interpreter looks through all objects of all libraries before it lets go: one to four seconds
    sys.exit(code)


def _run() -> int:
    try:
        with _quiet_pipe():
            code = app(standalone_mode=False)
        if code == _INTERRUPTED:  # typer's way to tell of a KeyboardInterrupt
            raise KeyboardInterrupt
        return int(code) if isinstance(code, int) else 0
    except SystemExit:  # typer's way to leave when nobody reads on
        return 0
    except _USAGE_ERROR as error:
        error.show()
        return 2
    except (KeyboardInterrupt, typer.Abort):
        _complain("stopped at once; what was recorded is safe, the same command goes on")
        return _INTERRUPTED
    except OcrSweepError as error:
        _explain(error)
        return error.exit_code
    except OSError as error:
        return _disk(error)
    except Exception:
        return _bug()


def _explain(error: OcrSweepError) -> None:
    if isinstance(error, ConfigError):
        for problem in error.problems:
            _complain(problem)
    elif isinstance(error, StoppedError):
        _complain(f"{error}; {error.kept}, the same command goes on")
    else:
        _complain(str(error))


def _disk(error: OSError) -> int:
    from ocr_sweep.disk import store_errors

    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        return 0
    try:
        with store_errors("writing"):
            raise error
    except StoreError as known:
        _complain(str(known))
        return known.exit_code
    except OSError:
        return _bug()


def _bug() -> int:
    if os.environ.get("OCR_SWEEP_DEBUG"):
        traceback.print_exc()
        return _BUG
    first = traceback.format_exc().strip().splitlines()[-1]
    try:
        with tempfile.NamedTemporaryFile("w", prefix="ocr-sweep-bug-", suffix=".txt", delete=False) as file:
            file.write(traceback.format_exc())
        place = f"the details are in {file.name}"
    except OSError:
        place = "set OCR_SWEEP_DEBUG=1 to see the details"
    _complain(f"this is a bug of ocr-sweep, not a mistake of yours: {first}; {place}")
    return _BUG


class _quiet_pipe:
    """A reader that leaves early (`| head`) is no error."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(sentence: str) -> None:
    with suppress(OSError):  # the terminal may be gone; the exit code says it, too
        sys.stderr.write(f"error: {sentence}\n")
