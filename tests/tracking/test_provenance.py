"""Where a run comes from, and how two of them are told apart."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_study import config_of, paths_of

from ocr_sweep.config.dotted import put
from ocr_sweep.sweep.stored.corpora import open_corpus
from ocr_sweep.tracking.provenance import code_sha256, differences, provenance


@pytest.fixture
def now(project: Callable[..., Path]) -> dict[str, Any]:
    root = project()
    return provenance(open_corpus(config_of(root).base.corpus, paths_of(root), lambda what, done, total: None))


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


def test_packages_that_no_training_calls_share_a_line(now: dict[str, Any]) -> None:
    then = copy.deepcopy(now)
    then["lock"] |= {"ruff": "0.0", "pytest": "0.0", "mypy": "0.0", "coverage": "0.0", "torch": "0.0"}
    (said,) = differences(then, now)
    assert said.startswith("other packages: coverage was 0.0, is ") and said.endswith("and 1 more") and "torch" not in said


def test_what_a_former_version_did_not_record_does_not_differ(now: dict[str, Any]) -> None:
    now["environment"]["ATEN_CPU_CAPABILITY"] = "default"
    then = copy.deepcopy(now)
    del then["lock"], then["environment"], then["machine"]["gpus"], then["machine"]["instructions"]
    assert differences(then, now) == []


def test_a_variable_that_changes_numbers_is_recorded(now: dict[str, Any], monkeypatch: pytest.MonkeyPatch, view: Any) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert differences(now, provenance(view)) == ["environment: ATEN_CPU_CAPABILITY was missing, is default"]


@pytest.fixture
def view(project: Callable[..., Path]) -> Any:
    root = project("viewed")
    return open_corpus(config_of(root).base.corpus, paths_of(root), lambda what, done, total: None)


def in_git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_commit_changes_and_added_sources_give_the_code_again(tmp_path: Path, view: Any) -> None:
    package = tmp_path / "repository" / "ocr_sweep"
    package.mkdir(parents=True)
    for name in ("__init__.py", "two.py"):
        (package / name).write_text(f"# {name}\n")
    assert provenance(view, package)["code"]["commit"] is None, "there is no git yet"
    repository = package.parent
    (repository / ".gitignore").write_text("*.log\n")
    in_git(repository, "init", "-q")
    assert provenance(view, package)["code"]["commit"] is None, "a folder in somebody else's repository has no commit"
    in_git(repository, "add", ".")
    in_git(repository, "commit", "-qm", "x")
    clean = provenance(view, package)["code"]
    assert len(clean["commit"]) == 40 and clean["patch"] == ""
    (package / "two.py").write_text("# 書\n")
    (package / "three.py").write_text("added\n")
    (package / "data.bin").write_bytes(bytes(range(256)))
    (package / "noise.log").write_text("ignored\n")
    (repository / "secret.txt").write_text("no code\n")
    before = in_git(repository, "status", "--porcelain")
    code = provenance(view, package)["code"]
    assert in_git(repository, "status", "--porcelain") == before, "the user's index is as it was"
    assert "secret" not in code["patch"] and "ignored" not in code["patch"]
    again = tmp_path / "again"
    in_git(repository, "worktree", "add", "-q", "--detach", str(again), code["commit"])
    subprocess.run(["git", "-C", str(again), "apply", "-"], input=code["patch"], text=True, check=True)
    assert code_sha256(again / "ocr_sweep") == code["sha256"] == code_sha256(package)
    assert (again / "ocr_sweep" / "data.bin").read_bytes() == bytes(range(256))
