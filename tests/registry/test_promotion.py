"""Promotion: the gate judges, stage and alias move together, and neither a crash nor a race tears them apart."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from mlflow import MlflowClient
from onnx import numpy_helper
from onnx_edits import edit, unchanged
from tiny_study import here, paths_of, refused

from ocr_sweep.config.fingerprint import file_sha256, fingerprint
from ocr_sweep.delivery.model_file import charset_sha256, code_points
from ocr_sweep.disk import write_json
from ocr_sweep.registry.history import History
from ocr_sweep.registry.register import holder, register, versions
from ocr_sweep.registry.signed import read_signed
from ocr_sweep.registry.verify import verify
from ocr_sweep.tracking.record import Outcome, RunRecord
from ocr_sweep.tracking.tracker import Tracker

pytestmark = pytest.mark.slow  # they promote what a real study made

WIDE = {"margin": 90.0, "group_margin": 90.0, "max_forgotten": 100.0}  # fifty test images can show no less


def tracker_of(root: Path) -> Tracker:
    return Tracker.open(paths_of(root))


def record(root: Path, name: str = "tiny-0000") -> RunRecord:
    return next(found for found in tracker_of(root).runs("tiny") if found.name == name)


def file_of(root: Path, name: str, run: str = "tiny-0000") -> Path:
    return root / "mlruns" / "artifacts" / "tiny" / record(root, run).run_id / "artifacts" / name


def gate(root: Path, alias: str = "production", **asked: Any) -> None:
    """Write what the gate of an alias asks."""
    (root / "sweeps" / "gates").mkdir(exist_ok=True)
    (root / "sweeps" / "gates" / f"{alias}.yaml").write_text(yaml.safe_dump(asked))


def promote(root: Path, name: str, *more: str) -> Any:
    return here(root, "models", "promote", "--run", record(root, name).run_id, *more)


def production(root: Path, alias: str = "production") -> str | None:
    """The name of the run that holds a pointer."""
    version = holder(tracker_of(root), "ocr-tiny", alias)
    return None if version is None else tracker_of(root).run(version.run_id).name


def history(root: Path) -> list[tuple[str, int | None]]:
    return [(entry.what, entry.version) for entry in History(tracker_of(root), paths_of(root), "ocr-tiny").entries()]


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
    hashes = {name: file_sha256(file_of(root, name)) for name in [*content["sha256"], "manifest.json"]}
    hashes |= {path: file_sha256(file_of(root, path)) for path in _beside(root)}
    changed = {tags[name]: content["sha256"][name] for name in names if name in tags}
    tracker_of(root).set_tags(record(root).run_id, {**changed, "ocr_sweep.files_sha256": fingerprint(hashes)})


def _beside(root: Path) -> list[str]:
    return [f"model/{path.name}" for path in file_of(root, "model").iterdir()]


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
    write_json(file_of(damaged, "manifest.json"), {**manifest, "metrics": {**manifest["metrics"], "test/accuracy": 0.99}})
    refused(here(damaged, *command), 3, "says test/accuracy 0.99, but the database says")
    write_json(file_of(damaged, "manifest.json"), manifest)
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


def test_a_run_that_runs_or_was_deleted_is_refused(damaged: Path) -> None:
    client = tracker_of(damaged).client
    client.update_run(record(damaged).run_id, status="RUNNING")
    client.delete_tag(record(damaged).run_id, "ocr_sweep.outcome")
    refused(promote(damaged, "tiny-0000"), 3, "is running")
    run_id = record(damaged, "tiny-0001").run_id
    client.delete_run(run_id)
    refused(here(damaged, "models", "promote", "--run", run_id), 3, "is deleted")
    nothing_promoted(damaged)


def test_a_charset_that_is_not_the_configurations_is_refused(damaged: Path) -> None:
    def swap(facts: dict[str, Any]) -> None:
        charset = facts["charset"]
        charset[:2] = charset[1::-1]
        facts |= {"charset_sha256": charset_sha256(charset), "labels": [code_points(char) for char in charset]}

    edit(file_of(damaged, "model/model.onnx"), unchanged, metadata=swap)
    forge(damaged, "model/model.onnx")
    refused(here(damaged, "models", "promote", "--run", record(damaged).run_id), 3, "charset", "part at class 0")
    nothing_promoted(damaged)


def test_a_network_that_answers_otherwise_is_refused(damaged: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))

    edit(file_of(damaged, "model/model.onnx"), change)
    forge(damaged, "model/model.onnx")
    refused(here(damaged, "models", "promote", "--run", record(damaged).run_id), 3, "must agree with PyTorch within")
    nothing_promoted(damaged)


def test_registering_twice_is_registering_once(damaged: Path) -> None:
    tracker, paths = tracker_of(damaged), paths_of(damaged)
    first = register(tracker, paths, record(damaged, "tiny-0001"))
    assert register(tracker, paths, record(damaged, "tiny-0001")) == first
    assert first.onnx_sha256 == record(damaged, "tiny-0001").tags["ocr_sweep.onnx_sha256"]
    assert [version.number for version in versions(tracker)] == [2, 1]


def test_a_first_version_has_no_rival_and_a_second_is_compared(damaged: Path) -> None:
    done = promote(damaged, "tiny-0000")
    assert done.code == 0 and "the first one is compared with nobody" in done.out, done.err
    assert "production was nobody, is version" in done.out and production(damaged) == "tiny-0000"
    assert "of a former version" not in done.out
    tracker_of(damaged).client.delete_tag(record(damaged).run_id, "ocr_sweep.files_sha256")
    done = promote(damaged, "tiny-0000")
    assert done.code == 0 and "is in production already" in done.out and "of a former version" in done.out, done.err
    refused(
        promote(damaged, "tiny-0001"), 3, "is not promoted to production", "test sets that can tell: 0 of 2", "raise `margin`"
    )
    assert production(damaged) == "tiny-0000"
    gate(damaged, **WIDE)
    done = promote(damaged, "tiny-0001")
    assert done.code == 0 and "version it replaces" in done.out and "test/simulated_worn" in done.out, done.err
    assert re.search(r"earlier readings of test sets +[3-9], of 3 runs", done.out), "the winner's at the study's end, and these"
    assert "promotion" in here(damaged, "runs", "readings").out
    assert history(damaged) == [("promote", 2), ("refuse", 3), ("promote", 3)]
    assert here(damaged, "models", "verify").code == 0


def test_a_worse_version_is_refused_with_numbers_and_force_needs_a_reason(damaged: Path) -> None:
    gate(damaged, **{**WIDE, "margin": 0.1, "max_latency_ms": None})
    assert promote(damaged, "tiny-0000").code == 0
    gate(damaged, max_megabytes=0.001, max_latency_ms=0.0001)
    done = promote(damaged, "tiny-0001")
    refused(done, 3, "latency of one image", "but must be <= 0.0001 ms", "size of the ONNX", "--force --because")
    assert "failed" in done.out and "limit" in done.out, "the table is shown before the refusal"
    refused(promote(damaged, "tiny-0001", "--force"), 2, "--force needs a reason")
    refused(promote(damaged, "tiny-0001", "--because", "x"), 2, "a reason needs --force")
    assert production(damaged) == "tiny-0000"
    done = promote(damaged, "tiny-0001", "--force", "--because", "[/b]the customer | waits\n")
    assert done.code == 0 and "forced: " in done.out and production(damaged) == "tiny-0001"
    last = History(tracker_of(damaged), paths_of(damaged), "ocr-tiny").entries()[-1]
    assert last.forced and last.why == "[/b]the customer | waits"
    name = next(name for name in last.evidence if name.endswith(".gate.json"))
    kept, _ = read_signed(file_of(damaged, name, "tiny-0001"))
    assert kept["because"] == "[/b]the customer | waits" and not kept["passed"]
    assert "[/b]the customer | waits" in here(damaged, "models", "history", "ocr-tiny").out
    assert "A failed check was overruled" in file_of(damaged, name.replace("gate.json", "card.md"), "tiny-0001").read_text()
    assert here(damaged, "models", "verify").code == 0


def test_nobody_can_force_files_that_are_not_what_was_recorded(damaged: Path) -> None:
    flip(file_of(damaged, "model/model.onnx"))
    refused(promote(damaged, "tiny-0000", "--force", "--because", "now"), 3, "changed or damaged")
    nothing_promoted(damaged)


def test_a_version_in_production_that_is_damaged_can_be_replaced_by_force_alone(damaged: Path) -> None:
    gate(damaged, **WIDE)
    assert promote(damaged, "tiny-0000").code == 0
    flip(file_of(damaged, "model/model.onnx"))
    refused(promote(damaged, "tiny-0001"), 3, "version it replaces", "cannot be compared with", "changed or damaged")
    assert promote(damaged, "tiny-0001", "--force", "--because", "it is damaged").code == 0
    assert production(damaged) == "tiny-0001"
    refused(here(damaged, "models", "verify"), 3, "entry 1 of ocr-tiny (version 2)", "model/model.onnx")


def test_predictions_of_another_run_are_refused(damaged: Path) -> None:
    other = file_of(damaged, "predictions.npz", "tiny-0002").read_bytes()
    file_of(damaged, "predictions.npz").write_bytes(other)
    refused(promote(damaged, "tiny-0000"), 3, "predictions.npz", "sha256")
    forge(damaged, "predictions.npz")
    refused(promote(damaged, "tiny-0000"), 3, "must hold what its ONNX says")


def test_a_card_goes_with_the_version(damaged: Path) -> None:
    assert promote(damaged, "tiny-0000").code == 0
    version = tracker_of(damaged).client.get_model_version_by_alias("ocr-tiny", "production")
    for words in (
        "# ocr-tiny version 2",
        "## Accuracy (simulated)",
        "| test/simulated |",
        "10 unseen",
        "models:/ocr-tiny@production",
        "`ocr-sweep recognize scans/ --model ocr-tiny:production`",
        "or is unknown: below a confidence of",
    ):
        assert words in version.description, words
    shown = here(damaged, "models", "show", "ocr-tiny")
    assert shown.code == 0 and "Replaces nobody" in shown.out
    card = next(file_of(damaged, "registry").glob("*.card.md"))
    assert card.read_text().startswith(version.description)
    card.write_text("# a better one")
    refused(here(damaged, "models", "show", "ocr-tiny"), 3, "card.md", "as the history says")


def test_what_was_in_production_on_a_day(damaged: Path) -> None:
    gate(damaged, **WIDE)
    for name in ("tiny-0000", "tiny-0001"):
        assert promote(damaged, name).code == 0
    entries = History(tracker_of(damaged), paths_of(damaged), "ocr-tiny").entries()
    shown = here(damaged, "models", "show", "ocr-tiny", "--on", entries[0].when)
    assert "ocr-tiny version 2 (production)" in shown.out and record(damaged, "tiny-0000").run_id in shown.out
    assert "version 3 (production)" in here(damaged, "models", "show", "ocr-tiny", "--on", entries[1].when[:10]).out
    refused(here(damaged, "models", "show", "ocr-tiny", "--on", "2020-01-31"), 2, "nothing of ocr-tiny is known to have been in")
    refused(here(damaged, "models", "show", "ocr-tiny", "--on", "soon"), 2, "--on must be a day or a time", "'soon'")
    assert "version 2 (production)" in here(damaged, "models", "show", "ocr-tiny", "--version", "2").out
    refused(here(damaged, "models", "show", "ocr-tiny", "--version", "9"), 2, "version 9 of ocr-tiny was never in production")
    listed = here(damaged, "models", "history", "ocr-tiny").out
    assert "promote" in listed and "the gate passed" in listed
    done = here(damaged, "models", "rollback", "ocr-tiny", "--because", "a test")
    assert done.code == 0 and "production was version 3, is version 2 again" in done.out, done.err
    assert production(damaged) == "tiny-0000"


def test_a_customer_has_a_production_of_his_own(damaged: Path) -> None:
    gate(damaged, **WIDE)
    assert promote(damaged, "tiny-0000").code == 0
    done = promote(damaged, "tiny-0001", "--for", "acme")
    assert done.code == 0 and "production-acme was nobody" in done.out and "2, production" in done.out, done.err
    assert (production(damaged), production(damaged, "production-acme")) == ("tiny-0000", "tiny-0001")
    assert (
        "version 3 (production-acme beside version 2 of the base)"
        in here(damaged, "models", "show", "ocr-tiny", "--for", "acme").out
    )
    gate(damaged, "production-acme", max_megabytes=0.001)
    refused(promote(damaged, "tiny-0002", "--for", "acme"), 3, "size of the ONNX")
    refused(promote(damaged, "tiny-0002", "--for", "a/b"), 2, "--for", "a/b")
    refused(promote(damaged, "tiny-0002", "--model", "ocr-tinny"), 2, "no registered model 'ocr-tinny'", "ocr-tiny")


def test_a_version_has_one_stage_only(damaged: Path) -> None:
    gate(damaged, **WIDE)
    assert promote(damaged, "tiny-0000", "--stage", "staging").code == 0
    assert promote(damaged, "tiny-0000").code == 0
    assert (production(damaged), production(damaged, "staging")) == ("tiny-0000", None)
    refused(promote(damaged, "tiny-0000", "--stage", "staging"), 5, "is in production; it cannot be in staging besides")


def test_a_pointer_that_was_moved_elsewhere_stops_a_promotion(damaged: Path) -> None:
    gate(damaged, **WIDE)
    for name in ("tiny-0000", "tiny-0001"):
        assert promote(damaged, name).code == 0
    tracker_of(damaged).client.set_registered_model_alias("ocr-tiny", "production", "2")
    refused(promote(damaged, "tiny-0002"), 3, "another program moved them: production stands at version 2, not at version 3")
    assert promote(damaged, "tiny-0002", "--force", "--because", "it was me").code == 0
    assert history(damaged)[-2:] == [("found", 2), ("promote", 4)]


def test_who_was_overtaken_is_told(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ocr_sweep.registry import promote as room

    gate(damaged, **WIDE)
    assert promote(damaged, "tiny-0000").code == 0
    real, faster = room.judge, []

    def judge(*arguments: Any, **named: Any) -> Any:
        if not faster:
            faster.append(True)
            assert promote(damaged, "tiny-0002").code == 0
        return real(*arguments, **named)

    monkeypatch.setattr(room, "judge", judge)
    refused(promote(damaged, "tiny-0001"), 5, "overtaken: the gate compared with version 2", "now it is version", "again")
    assert production(damaged) == "tiny-0002" and len(history(damaged)) == 2


def test_a_corpus_that_is_gone_is_built_again_or_named(damaged: Path) -> None:
    import shutil

    corpora = damaged / "mlruns" / "corpora"
    shutil.rmtree(corpora)
    assert promote(damaged, "tiny-0000").code == 0
    shutil.rmtree(corpora)
    font = damaged / "data" / "fonts" / "a.ttf"
    content = font.read_bytes()
    font.unlink()
    font.write_bytes(content + b"\0" * 16)
    refused(promote(damaged, "tiny-0001"), 3, "the corpus of run", "the store lacks it", "fonts, scans or code have changed")


def test_a_crash_between_stage_and_alias_leaves_the_former_in_production(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate(damaged, **WIDE)
    assert promote(damaged, "tiny-0000").code == 0

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", crash)
        assert promote(damaged, "tiny-0001").code == 130
    assert production(damaged) == "tiny-0000"
    assert not verify(tracker_of(damaged), paths_of(damaged), "ocr-tiny").problems
    again = promote(damaged, "tiny-0001")
    assert again.code == 0 and production(damaged) == "tiny-0001", again.err
    assert [(v.number, v.stage) for v in versions(tracker_of(damaged)) if v.stage != "None"] == [
        (3, "Production"),
        (2, "Archived"),
    ]
