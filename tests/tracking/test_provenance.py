"""Where a run comes from, and how two of them are told apart."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_study import config_of, paths_of

from ocr_sweep.config.study import put
from ocr_sweep.sweep.corpora import open_corpus
from ocr_sweep.tracking.provenance import code_sha256, differences, provenance


@pytest.fixture
def now(project: Callable[..., Path]) -> dict[str, Any]:
    root = project()
    return provenance(root, open_corpus(config_of(root).base.corpus, paths_of(root), lambda what, done, total: None))


def test_a_moment_does_not_differ_from_itself(now: dict[str, Any]) -> None:
    assert differences(now, copy.deepcopy(now)) == []
    assert now["code"]["sha256"] == code_sha256() and now["libraries"]["torch"]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("code.sha256", "a" * 64, "code: ocr_sweep was "),
        ("libraries.torch", "1.0", "library: torch was "),
        ("machine.cores", -1, "machine: cores was "),
        ("corpus.fingerprint", "b" * 64, "data: corpus was "),
    ],
)
def test_a_change_is_named(now: dict[str, Any], path: str, value: object, said: str) -> None:
    then = copy.deepcopy(now)
    put(then, path, value)
    found = differences(then, now)
    assert len(found) == 1 and found[0].startswith(said), found


def test_what_appeared_since_is_named(now: dict[str, Any]) -> None:
    then = copy.deepcopy(now)
    del then["libraries"]["timm"]
    assert differences(then, now)[0].startswith("library: timm was missing, is ")


def test_data_comes_first(now: dict[str, Any]) -> None:
    then = copy.deepcopy(now)
    put(then, "machine.python", "2.7")
    put(then, "corpus.fingerprint", "c" * 64)
    assert [line.partition(":")[0] for line in differences(then, now)] == ["data", "machine"]


def test_the_state_of_git_is_recorded_with_the_patch(project: Callable[..., Path]) -> None:
    root = project()
    view = open_corpus(config_of(root).base.corpus, paths_of(root), lambda what, done, total: None)
    assert provenance(root, view)["code"]["commit"] is None
    (root / ".gitignore").write_text("mlruns\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "x")):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    (root / "sweeps" / "tiny.yaml").write_text("changed: true\n")
    (root / "new.txt").write_text("new")
    code = provenance(root, view)["code"]
    assert len(code["commit"]) == 40 and "+changed: true" in code["patch"] and code["untracked"] == ["new.txt"]
