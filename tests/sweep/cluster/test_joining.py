"""Who may not join a cluster, and what is said: no cluster is needed for that."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_study import here, refused

from ocr_sweep.errors import ConflictError, OcrSweepError, StoreError
from ocr_sweep.sweep.cluster import versions
from ocr_sweep.sweep.cluster.joining import _told, check_address, joined

RUN = ("sweep", "run", "tiny")


@pytest.mark.parametrize("address", ["auto", "local", "head:6379", "10.0.0.7:1", "[fd00::2]:6379"])
def test_an_address_is_taken(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize("address", ["", "head", ":6379", "head:", "head:0", "head:70000", "ray://head:10001", "head:6379/x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(OcrSweepError, match=r"--address must be host:port .* but got") as caught:
        check_address(address)
    assert caught.value.exit_code == 2


def test_without_ray_the_sentence_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(OcrSweepError, match=r"needs Ray, which is not installed; write: .*pip install.*'\.\[ray\]'") as caught,
        joined("auto"),
    ):
        pass
    assert caught.value.exit_code == 2


def test_an_address_where_nobody_is_does_not_take_minutes() -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and takes no connection
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(StoreError, match=rf"the Ray cluster at {address} must be running, .*refused"), joined(address):
            pass
        assert time.monotonic() - began < 20


def test_another_ray_is_a_conflict() -> None:
    said = _told("head:6379", RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.59.0"))
    assert isinstance(said, ConflictError) and "Ray: 2.59.0" in str(said)


def test_what_differs_between_two_programs_is_named() -> None:
    here = versions.versions()
    assert versions.differences(here, dict(here)) == []
    assert len(here["code"]) == 64 and here["torch"] and "+" not in here["torch"]
    there = {**here, "code": "f" * 64, "torch": "2.8.0"}
    assert versions.differences(here, there) == [
        f"code is ffffffffffff there and {here['code'][:12]} here",
        f"torch is 2.8.0 there and {here['torch']} here",
    ]
    assert versions.differences(here, {})[0] == f"code is missing there and {here['code'][:12]} here"


def test_what_contradicts_itself_on_the_command_line_is_refused_before_anything_begins(project: Callable[..., Path]) -> None:
    root = project()
    refused(here(root, *RUN, "--engine", "slurm"), 2, "--engine must be local or ray, but got 'slurm'")
    refused(
        here(root, *RUN, "--address", "head:6379"),
        2,
        "--address belongs to a Ray cluster; write: --engine ray --address head:6379",
    )
    refused(here(root, *RUN, "--engine", "ray", "--address", "head"), 2, "--address must be host:port", "but got 'head'")
    assert not (root / "mlruns" / "optuna.db").exists()


def test_a_cluster_that_does_not_answer_ends_the_command_and_leaves_the_study_as_it_was(project: Callable[..., Path]) -> None:
    pytest.importorskip("ray")
    root = project()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = here(root, *RUN, "--engine", "ray", "--address", address)
    refused(done, 4, f"the Ray cluster at {address} must be running", "run the same command again")
    assert not (root / "mlruns" / "optuna.db").exists()
