"""The contract of the tracker: what every tracking store must do for a study."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_study import environment, paths_of

from ocr_sweep import disk
from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.disk import write_json
from ocr_sweep.errors import IntegrityError, NotFoundError, StoreError
from ocr_sweep.tracking.mlflow_client import tracking_errors, without_password
from ocr_sweep.tracking.record import ARMS, QUESTION, Outcome
from ocr_sweep.tracking.tracker import Tracker, best_first

TAGS = {"ocr_sweep.study": "s", "ocr_sweep.trial": "0", "ocr_sweep.role": "search"}


@pytest.fixture
def tracker(project: Callable[..., Path]) -> Tracker:
    return Tracker.open(paths_of(project()))


@pytest.fixture
def experiment(tracker: Tracker) -> str:
    return tracker.experiment("s", {QUESTION: "Why?"})


def begin(tracker: Tracker, experiment: str, key: str = "s/0000-search") -> str:
    return tracker.begin(experiment, key=key, name="s-0000", tags=TAGS, params={"optim.lr": 0.1, "note": "x" * 900})


def with_files(tracker: Tracker, run_id: str, folder: Path) -> None:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.onnx").write_bytes(b"weights")
    hashes = {"model/model.onnx": file_sha256(folder / "model" / "model.onnx")}
    write_json(folder / "manifest.json", {"metrics": {}, "sha256": hashes})
    tracker.upload(run_id, folder)


def test_an_experiment_is_made_once_and_keeps_its_question(tracker: Tracker, experiment: str) -> None:
    assert tracker.experiment("s", {QUESTION: "Something else?", ARMS: "optim"}) == experiment
    assert tracker.about("s")[QUESTION] == "Why?" and tracker.about("s")[ARMS] == "optim"
    assert tracker.about("unknown") == {}


def test_a_deleted_experiment_comes_back(tracker: Tracker, experiment: str) -> None:
    tracker.client.delete_experiment(experiment)
    assert tracker.experiment("s", {QUESTION: "Why?"}) == experiment
    begin(tracker, experiment)
    assert len(tracker.runs("s")) == 1


def test_one_key_is_one_run(tracker: Tracker, experiment: str) -> None:
    first = begin(tracker, experiment)
    assert begin(tracker, experiment) == first
    assert begin(tracker, experiment, "s/0001-search") != first
    assert len(tracker.runs("s")) == 2


def test_a_run_is_running_with_its_tags_and_params_from_the_start(tracker: Tracker, experiment: str) -> None:
    record = tracker.run(begin(tracker, experiment))
    assert (record.status, record.name, record.study, record.trial, record.role) == ("RUNNING", "s-0000", "s", 0, "search")
    assert record.params == {"optim.lr": "0.1", "note": "x" * 500}
    assert not record.complete


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome.COMPLETE, "FINISHED"), (Outcome.PRUNED, "FINISHED"), (Outcome.FAILED, "FAILED"), (Outcome.STOPPED, "KILLED")],
)
def test_every_ending_is_true_and_an_adopted_run_forgets_it(
    tracker: Tracker, experiment: str, outcome: Outcome, status: str
) -> None:
    run_id = begin(tracker, experiment)
    tracker.finish(run_id, outcome, "because")
    record = tracker.run(run_id)
    assert (record.status, record.tags["ocr_sweep.outcome"], record.tags["ocr_sweep.reason"]) == (status, outcome, "because")
    assert record.complete == (outcome is Outcome.COMPLETE)
    assert begin(tracker, experiment) == run_id
    record = tracker.run(run_id)
    assert record.status == "RUNNING" and not {"ocr_sweep.outcome", "ocr_sweep.reason"} & set(record.tags)


def test_a_training_that_begins_anew_gets_a_run_of_its_own_and_hides_the_former(tracker: Tracker, experiment: str) -> None:
    """Else its epochs would stand twice in one curve."""

    def again() -> str:
        return tracker.begin(experiment, key="s/0000-search", name="s-0000", tags=TAGS, params={}, anew=True)

    first = begin(tracker, experiment)
    assert again() == first, "it has recorded nothing yet"
    tracker.log_metrics(first, {"loss": 1.0}, step=1, timestamp=1000)
    second = again()
    assert second != first and [record.run_id for record in tracker.runs("s")] == [second]
    former = tracker.run(first)
    assert (former.status, former.tags["ocr_sweep.outcome"], former.metrics) == ("KILLED", "stopped", {"loss": 1.0})
    assert former.tags["ocr_sweep.superseded"] == "s/0000-search" != former.tags["ocr_sweep.key"]
    tracker.log_metrics(second, {"loss": 1.0}, step=1, timestamp=2000)
    tracker.finish(second, Outcome.FAILED, "nan-loss")
    third = again()
    assert tracker.run(second).tags["ocr_sweep.reason"] == "nan-loss", "what it recorded stays"
    assert begin(tracker, experiment) == third


def test_an_upload_that_the_store_did_not_keep_is_an_error(
    tracker: Tracker, experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever uploads deletes his own copy next."""
    run_id = begin(tracker, experiment)
    copied = shutil.copy2

    def torn(source: str, target: str) -> None:
        copied(source, target)
        file = Path(target) / Path(source).name if Path(target).is_dir() else Path(target)
        file.write_bytes(file.read_bytes()[:3])

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", torn)
        with pytest.raises(StoreError, match=r"must keep (manifest\.json|model/model\.onnx) of run .* as it was sent"):
            with_files(tracker, run_id, tmp_path / "files")
    tracker.upload(run_id, tmp_path / "files")
    with monkeypatch.context() as patch:
        patch.setattr(tracker.client, "log_artifact", lambda *_: None)
        with pytest.raises(StoreError, match=r"must keep log\.txt"):
            (tmp_path / "log.txt").write_text("a word")
            tracker.upload_file(run_id, tmp_path / "log.txt")


def test_metrics_that_are_told_twice_are_stored_once(tracker: Tracker, experiment: str) -> None:
    run_id = begin(tracker, experiment)
    for _ in range(2):
        for step in (2, 1, 3):
            tracker.log_metrics(run_id, {"loss": 1.0 / step}, step=step, timestamp=1000 + step)
    assert tracker.curve(run_id, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert len(tracker.client.get_metric_history(run_id, "loss")) == 3
    assert tracker.run(run_id).metrics["loss"] == 1 / 3


def test_more_params_than_a_batch_holds(tracker: Tracker, experiment: str) -> None:
    params = {f"p{i}": i for i in range(230)}
    run_id = tracker.begin(experiment, key="k", name="n", tags=TAGS, params=params)
    assert tracker.run(run_id).params == {key: str(value) for key, value in params.items()}


def test_an_artifact_comes_back_as_it_was_or_not_at_all(tracker: Tracker, experiment: str, tmp_path: Path) -> None:
    run_id = begin(tracker, experiment)
    with pytest.raises(NotFoundError, match=r"no artifact 'manifest\.json'"):
        tracker.artifact(run_id, "model/model.onnx", tmp_path / "a")
    with_files(tracker, run_id, tmp_path / "files")
    for _ in range(2):
        assert tracker.artifact(run_id, "model/model.onnx", tmp_path / "a").read_bytes() == b"weights"
    with pytest.raises(NotFoundError, match=r"has recorded no artifact 'other\.txt'"):
        tracker.artifact(run_id, "other.txt", tmp_path / "a")
    stored = Path(tracker.client.get_run(run_id).info.artifact_uri.removeprefix("file://")) / "model" / "model.onnx"
    stored.write_bytes(b"weightS")
    with pytest.raises(IntegrityError, match=r"must have sha256 .* changed or damaged"):
        tracker.artifact(run_id, "model/model.onnx", tmp_path / "a")
    stored.unlink()
    with pytest.raises(NotFoundError, match=r"no artifact 'model/model\.onnx': its files are missing"):
        tracker.artifact(run_id, "model/model.onnx", tmp_path / "a")


def test_artifacts_lie_under_the_project(tracker: Tracker, experiment: str) -> None:
    assert [name for name in tracker.artifact_places()] == ["s"]
    assert tracker.artifact_places()["s"].endswith("/mlruns/artifacts/s")


def test_an_unknown_run(tracker: Tracker) -> None:
    with pytest.raises(NotFoundError, match=r"no run 'f{32}' in this project"):
        tracker.run("f" * 32)


def test_runs_that_are_not_ours_are_not_read(tracker: Tracker, experiment: str) -> None:
    tracker.client.create_run(experiment, run_name="by hand")
    begin(tracker, experiment)
    assert [record.name for record in tracker.runs()] == ["s-0000"]
    assert tracker.runs("another") == []


def test_best_first_takes_complete_runs_that_have_the_metric(tracker: Tracker, experiment: str) -> None:
    for number, value in enumerate((0.5, 0.9, 0.9, 0.1)):
        run_id = tracker.begin(
            experiment, key=f"s/{number}", name=f"{number}", tags={**TAGS, "ocr_sweep.trial": str(number)}, params={}
        )
        tracker.log_metrics(run_id, {"m": value}, timestamp=1)
        tracker.finish(run_id, Outcome.FAILED if number == 3 else Outcome.COMPLETE)
    assert [record.trial for record in best_first(tracker.runs("s"), "m")] == [1, 2, 0]
    assert best_first(tracker.runs("s"), "other") == []


def test_four_processes_that_make_the_database_at_once_all_succeed(tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    script = (
        "from ocr_sweep.config.paths import Paths\n"
        "from ocr_sweep.tracking.tracker import Tracker\n"
        "print(Tracker.open(Paths.find()).experiment('of ' + str(__import__('os').getpid()), {}))"
    )
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", script], env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    said = [maker.communicate(timeout=120) for maker in makers]
    assert [maker.returncode for maker in makers] == [0] * 4, said
    assert len(Tracker.open(paths_of(tmp_path)).artifact_places()) == 4


def test_failures_of_the_store_are_told_in_our_words() -> None:
    from mlflow.exceptions import MlflowException
    from requests import ConnectionError
    from sqlalchemy.exc import OperationalError

    database = OperationalError("SELECT 1", {}, Exception("down"))
    for error in (MlflowException("down"), ConnectionError("down"), database, PermissionError(13, "no")):
        with pytest.raises(StoreError, match="tracking store"), tracking_errors("http://u:p@host"):
            raise error


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:pa/ss@host/db", "postgresql://***@host/db"),
        ("sqlite:////home/x/mlflow.db", "sqlite:////home/x/mlflow.db"),
        ("http://host:5000", "http://host:5000"),
        ("a call to http://me:pw@host/api failed", "a call to http://***@host/api failed"),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    assert without_password(text) == shown


@pytest.mark.slow
def test_a_database_that_was_killed_while_it_was_made_is_made_again(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow itself would never open it again."""
    paths = paths_of(project())
    paths.mlflow_db.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(disk, "give_name", _killed)
        with pytest.raises(_Killed):
            Tracker.open(paths)
    (aside,) = paths.mlruns.glob(".mlflow.db.*.tmp")
    assert not paths.mlflow_db.exists()
    aside.write_bytes(aside.read_bytes()[:8192])  # only a part of it had been written
    assert Tracker.open(paths).runs() == []
    assert paths.mlflow_db.exists() and not aside.exists()


class _Killed(BaseException):
    pass


def _killed(*_: object) -> None:
    raise _Killed
