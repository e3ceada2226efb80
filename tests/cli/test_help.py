"""What the program says of itself, and what it costs to ask."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer
from tiny_study import here, refused

from ocr_sweep.cli.app import app
from ocr_sweep.config.paths import Paths


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not hasattr(group, "commands"):
        return [path]
    return [path, *(found for name, command in group.commands.items() for found in commands(command, (*path, name)))]


COMMANDS = commands(typer.main.get_command(app))


def test_the_commands_of_the_issue_are_there() -> None:
    wanted = (
        "corpus build, sweep run, sweep check, runs list, runs reproduce, runs compare, models list, models promote, ui, doctor"
    )
    assert set(wanted.split(", ")) <= {" ".join(path) for path in COMMANDS}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_of_every_command_ends_well_and_commands_show_an_example(tmp_path: Path, path: tuple[str, ...]) -> None:
    done = here(tmp_path, *path, "--help")
    assert done.code == 0 and done.err == ""
    if path not in {("corpus",), ("sweep",), ("runs",), ("models",)}:
        assert f"Example: ocr-sweep {' '.join(path)}".strip() in " ".join(done.out.split())


def test_asking_for_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['ocr-sweep', '--help']\n"
        "from ocr_sweep.cli.app import _run\n"
        "code = _run()\n"
        "heavy = {'torch', 'mlflow', 'optuna', 'numpy', 'cv2', 'onnxruntime', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    with subprocess.Popen([sys.executable, "-m", "ocr_sweep", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        assert asked.stdout is not None and asked.stderr is not None
        asked.stdout.close()
        said = asked.stderr.read()
    assert (asked.returncode, said) == (0, b"")


def test_a_ctrl_c_outside_a_study_ends_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Paths, "find", mock.Mock(side_effect=KeyboardInterrupt))
    done = here(tmp_path, "sweep", "list")
    refused(done, 130, "stopped at once", "the same command goes on")


def test_ctrl_c_during_the_end_of_the_program_does_not_change_its_code() -> None:
    """What it did is done: neither a traceback nor death by the signal may say otherwise."""
    script = (
        "import atexit, os, signal, sys; sys.argv = ['ocr-sweep', '--help']\n"
        "from ocr_sweep.cli.app import main\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
