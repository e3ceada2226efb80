"""Promotion: the file is proven, stage and alias move together, and neither a crash nor a race tears them apart."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from mlflow import MlflowClient
from onnx import numpy_helper
from tiny_study import PROGRAM, environment, here, paths_of, refused

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.disk import write_json
from ocr_sweep.registry.promote import promote
from ocr_sweep.registry.register import holder, register, versions
from ocr_sweep.tracking.record import Outcome, RunRecord
from ocr_sweep.tracking.tracker import Tracker

pytestmark = pytest.mark.slow  # they promote what a real study made


class Crash(BaseException):
    """The process ends here."""


def tracker_of(root: Path) -> Tracker:
    return Tracker.open(paths_of(root))


def record(root: Path, name: str = "tiny-0000") -> RunRecord:
    return next(found for found in tracker_of(root).runs("tiny") if found.name == name)


def file_of(root: Path, name: str, run: str = "tiny-0000") -> Path:
    return root / "mlruns" / "artifacts" / "tiny" / record(root, run).run_id / "artifacts" / name


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def forge(root: Path, *names: str) -> None:
    """Write the hashes of changed files into the manifest and the database, as a thorough forger would."""
    manifest = file_of(root, "manifest.json")
    content = json.loads(manifest.read_text())
    for name in names:
        content["sha256"][name] = file_sha256(file_of(root, name))
    write_json(manifest, content)
    tags = {"model/model.onnx": "ocr_sweep.onnx_sha256", "weights.safetensors": "ocr_sweep.weights_sha256"}
    tracker_of(root).set_tags(record(root).run_id, {tags[name]: content["sha256"][name] for name in names})


def nothing_promoted(root: Path) -> None:
    client = tracker_of(root).client
    assert all(version.current_stage == "None" for version in client.search_model_versions("name = 'ocr-tiny'"))
    assert holder(tracker_of(root), "ocr-tiny", "production") is None


def test_what_is_no_evidence_is_refused(damaged: Path) -> None:
    """One copy, damaged step by step, each step worse than the one before."""
    run_id = record(damaged).run_id
    command = ("models", "promote", "--run", run_id)

    flip(file_of(damaged, "model/model.onnx"))
    refused(here(damaged, *command), 3, "model/model.onnx", "sha256", "changed or damaged")
    manifest = json.loads(file_of(damaged, "manifest.json").read_text())
    manifest["sha256"]["model/model.onnx"] = file_sha256(file_of(damaged, "model/model.onnx"))
    write_json(file_of(damaged, "manifest.json"), manifest)
    refused(here(damaged, *command), 3, "as its tag ocr_sweep.onnx_sha256 says")
    flip(file_of(damaged, "model/model.onnx"))
    forge(damaged, "model/model.onnx")
    assert here(damaged, "models", "promote", "--run", record(damaged, "tiny-0001").run_id).code == 0, "another run is fine"

    other = file_of(damaged, "weights.safetensors", "tiny-0002").read_bytes()
    file_of(damaged, "weights.safetensors").write_bytes(other)
    refused(here(damaged, *command), 3, "weights.safetensors", "sha256")
    forge(damaged, "weights.safetensors")
    refused(here(damaged, *command), 3, "must agree with PyTorch")

    file_of(damaged, "model/model.onnx").unlink()
    refused(here(damaged, *command), 3, "cannot be promoted", "model/model.onnx")
    file_of(damaged, "manifest.json").unlink()
    refused(here(damaged, *command), 3, "cannot be promoted", "manifest.json")
    assert holder(tracker_of(damaged), "ocr-tiny", "production").run_id == record(damaged, "tiny-0001").run_id  # type: ignore[union-attr]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.PRUNED, Outcome.STOPPED])
def test_a_run_that_did_not_complete_is_refused(damaged: Path, outcome: Outcome) -> None:
    tracker_of(damaged).finish(record(damaged).run_id, outcome)
    done = here(damaged, "models", "promote", "--run", record(damaged).run_id)
    refused(done, 3, f"is {outcome.value}")
    nothing_promoted(damaged)


def test_a_charset_that_is_not_the_configurations_is_refused(damaged: Path) -> None:
    path = file_of(damaged, "model/model.onnx")
    model = onnx.load(path)
    for item in model.metadata_props:
        if item.key == "ocr_sweep.charset":
            chars = json.loads(item.value)
            item.value = json.dumps([chars[1], chars[0], *chars[2:]])
    onnx.save(model, path)
    forge(damaged, "model/model.onnx")
    refused(here(damaged, "models", "promote", "--run", record(damaged).run_id), 3, "charset", "part at class 0")
    nothing_promoted(damaged)


def test_a_network_that_answers_otherwise_is_refused(damaged: Path) -> None:
    path = file_of(damaged, "model/model.onnx")
    model = onnx.load(path)
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))
    onnx.save(model, path)
    forge(damaged, "model/model.onnx")
    refused(here(damaged, "models", "promote", "--run", record(damaged).run_id), 3, "must agree with PyTorch within")
    nothing_promoted(damaged)


def test_registering_twice_is_registering_once(damaged: Path) -> None:
    tracker, paths = tracker_of(damaged), paths_of(damaged)
    first = register(tracker, paths, record(damaged, "tiny-0001"))
    assert register(tracker, paths, record(damaged, "tiny-0001")) == first
    assert first.onnx_sha256 == record(damaged, "tiny-0001").tags["ocr_sweep.onnx_sha256"]
    assert [version.number for version in versions(tracker)] == [2, 1]


def test_a_crash_between_stage_and_alias_leaves_the_former_in_production(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, paths = tracker_of(damaged), paths_of(damaged)
    old = promote(tracker, paths, record(damaged, "tiny-0000"), "production").version

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", crash)
        with pytest.raises(Crash):
            promote(tracker, paths, record(damaged, "tiny-0001"), "production")
    assert holder(tracker, old.name, "production").number == old.number  # type: ignore[union-attr]
    again = promote(tracker, paths, record(damaged, "tiny-0001"), "production")
    assert again.changed and again.former is not None and again.former.number == old.number
    assert [(v.number, v.stage) for v in versions(tracker) if v.stage != "None"] == [
        (again.version.number, "Production"), (old.number, "Archived")
    ]  # fmt: skip


def test_four_promotions_at_once_leave_one_in_production(damaged: Path) -> None:
    names = ["tiny-0000", "tiny-0001", "tiny-0002", "tiny-0000-seed1"]
    racers = [
        subprocess.Popen(
            [*PROGRAM, "models", "promote", "--run", record(damaged, name).run_id],
            env=environment(damaged), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in names
    ]  # fmt: skip
    said = [racer.communicate(timeout=180) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4, said
    found = tracker_of(damaged).client.search_model_versions("name = 'ocr-tiny'")
    standing = [version for version in found if version.current_stage == "Production"]
    assert len(standing) == 1
    now = holder(tracker_of(damaged), "ocr-tiny", "production")
    assert now is not None and now.number == int(standing[0].version)
    assert sorted(version.current_stage for version in found if version.run_id in {record(damaged, n).run_id for n in names}) == [
        "Archived", "Archived", "Archived", "Production"
    ]  # fmt: skip
