"""Asks git, where there is one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def git(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, given: str | None = None) -> str | None:
    """What git prints in a folder; None where it is missing, or says no.

    Args:
        environment: variables to set beside ours.
        given: what git reads from its standard input.
    """
    command = ["git", "-C", str(folder), "-c", "core.quotePath=false", "-c", "core.autocrlf=false", *arguments]
    try:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **(environment or {})},
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout if done.returncode == 0 else None


def git_path(folder: Path, name: str) -> Path | None:
    """Where a file or folder of git's own lies; None outside a repository."""
    said = git(folder, "rev-parse", "--git-path", name)
    return None if said is None else (folder / said.strip()).resolve()
