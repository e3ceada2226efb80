"""A study on two machines: what is lost when one of them is, and who is refused."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from ray_cluster import RayCluster, needs_ray, ray_cluster
from tiny_study import here, ocr_sweep, paths_of, started, wait_for

from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker

__all__ = ["ray_cluster"]

pytestmark = [pytest.mark.slow, needs_ray]

# one trial of some seconds, so that there is a middle in which its machine is lost; it is trained twice
EPOCHS = 12
LONG = {"trials": 1, "workers": None, "base__training__epochs": EPOCHS, "base__training__images_per_epoch": 640}
RUN = ("sweep", "run", "tiny")
TAGS = ("ocr_sweep.weights_sha256", "ocr_sweep.onnx_sha256")
FOLDER = "0000-search"


def epochs(root: Path) -> int:
    return len(Attempt(paths_of(root).work("tiny") / FOLDER).events())


def records(root: Path) -> dict[str, RunRecord]:
    return {record.name: record for record in Tracker.open(paths_of(root)).runs("tiny")}


def node_of_the_trial(cluster: RayCluster) -> str:
    return next(name for name in ("one", "two") if list(cluster.scratch(name).glob(f"work/*/{FOLDER}/events.jsonl")))


def left_on_nodes(cluster: RayCluster) -> list[Path]:
    return [path for name in ("one", "two") for path in cluster.scratch(name).glob("work/*")]


def test_a_study_on_two_machines_ends_like_one_here_whatever_becomes_of_them(
    project: Callable[..., Path], ray_cluster: RayCluster
) -> None:
    calm, root = project("calm", **LONG), project("cluster", **LONG)
    on_ray = (*RUN, "--engine", "ray", "--address", ray_cluster.address)
    work = paths_of(root).work("tiny") / FOLDER

    with started(root, *on_ray) as process:
        wait_for(lambda: epochs(root) >= 1, "the first epoch to come back", 300)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 130, err
        assert err == "error: stopped by SIGINT; every trial is checkpointed, the same command goes on\n"
    assert (work / "checkpoint.pt").exists() and not left_on_nodes(ray_cluster)
    assert records(root)["tiny-0000"].status == "KILLED"
    before = epochs(root)

    with started(root, *on_ray) as process:
        wait_for(lambda: epochs(root) > before, "the next epoch", 300)
        lost = node_of_the_trial(ray_cluster)
        ray_cluster.kill(lost)
        wait_for(lambda: (work / "deaths").exists(), "the loss to be noticed", 120)
        seen = epochs(root)
        out, err = process.communicate(timeout=400)
        assert process.returncode == 0, err
    assert seen < EPOCHS, "the machine was lost in the middle of the trial, or nothing is shown"
    assert "tiny-0000 goes on from its checkpoint" in out and "started again from its last checkpoint" in out
    ray_cluster.start_node(lost)

    assert here(calm, *RUN).code == 0
    disturbed, undisturbed = records(root), records(calm)
    assert set(disturbed) == set(undisturbed) == {"tiny-0000", "tiny-0000-seed1"}
    for name, record in disturbed.items():
        assert record.complete and [record.tags[tag] for tag in TAGS] == [undisturbed[name].tags[tag] for tag in TAGS]
        steps = Tracker.open(paths_of(root)).client.get_metric_history(record.run_id, "epoch/train_loss")
        assert [point.step for point in steps] == list(range(1, EPOCHS + 1))
    again = ocr_sweep(root, *on_ray)
    assert again.code == 0 and records(root)["tiny-0000"].run_id == disturbed["tiny-0000"].run_id, again.err


def test_a_cluster_of_this_machine_alone_comes_and_goes_with_the_study(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name)  # it makes its own
    root = project(trials=1)
    done = ocr_sweep(root, *RUN, "--engine", "ray", "--address", "local", OCR_SWEEP_SCRATCH=str(root / "scratch"))
    assert done.code == 0, done.err
    assert records(root)["tiny-0000"].complete and not list((root / "scratch" / "work").iterdir())
