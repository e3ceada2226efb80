"""A study from its file to production, and everything that is said of it, checked against its bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import yaml
from looking import artifact, by_name, client_of, runs_of
from mlflow import MlflowClient
from mlflow.entities import Run
from tiny_study import CHARS, Done, config_of, here, ipaex, ocr_sweep, paths_of, refused

from ocr_sweep.delivery.model_file import ModelFile
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.search.storage import open_study

pytestmark = pytest.mark.slow

ARTIFACTS = {
    "config.yaml", "confusion.png", "errors.png", "losses.npy", "manifest.json", "parity.json", "predictions.npz", "probe.npz",
    "provenance.json", "weights.safetensors", "model",
}  # fmt: skip


def view_of(root: Path, run: Run) -> CorpusView:
    return CorpusView.open(root / "mlruns" / "corpora" / run.data.tags["ocr_sweep.corpus"])


def winner(output: str) -> str:
    found = re.search(r"^run +([0-9a-f]{32}) ", output, re.MULTILINE)
    assert found, output
    return found.group(1)


def test_the_command_ends_with_the_winner_and_three_next_commands(finished: Path) -> None:
    said = (finished / "first_output.txt").read_text()
    run_id = winner(said)
    assert "verdict " in said and "(simulated)" in said
    assert re.search(r"^race +2 candidates, 1 round, 2 trainings: ", said, re.MULTILINE)
    assert re.search(r"^winner +trial \d: .* % \[\d+\.\d, \d+\.\d\] over its seeds", said, re.MULTILINE)
    assert re.search(
        r"^test +test/accuracy \(simulated\) .* % \[.*\]; the test sets of corpus .* read once, of 1 run", said, re.MULTILINE
    )
    assert said.count("test/accuracy") == 1, "no other run's test numbers are shown"
    after = said[said.index("next:") :]
    assert [command for command in ("make ui", "make promote STUDY=tiny", f"make reproduce RUN={run_id}") if command in after]
    assert after.count("make ") == 3
    assert re.search(r"model +ocr-tiny version 1", said)


def test_every_training_is_one_run_with_its_name_tags_and_parameters(finished: Path) -> None:
    runs = runs_of(finished)
    names = [run.info.run_name for run in runs]
    assert names[:3] == ["tiny-0000", "tiny-0001", "tiny-0002"] and len(names) == 5
    assert sorted(names[3:])[0] == "tiny-0000-seed1"
    for run in runs:
        assert run.info.status == "FINISHED"
        tags = run.data.tags
        assert tags["ocr_sweep.study"] == "tiny" and tags["ocr_sweep.outcome"] == "complete"
        assert tags["ocr_sweep.simulated"] == "true"
        assert tags["ocr_sweep.trial"] == str(int(run.info.run_name.split("-")[1]))
        assert tags["ocr_sweep.role"] == ("confirm" if "seed" in run.info.run_name else "search")
        config = yaml.safe_load(artifact(finished, run, "config.yaml").read_text())
        for path in ("optim.lr", "loss.label_smoothing", "model.kind", "training.epochs", "seed", "corpus.name"):
            value = config
            for key in path.split("."):
                value = value[key]
            assert run.data.params[path] == str(value)
        assert config["corpus"]["charset"]["chars"] == CHARS


def test_trial_zero_is_the_base_and_confirming_runs_have_fresh_seeds(finished: Path) -> None:
    base = config_of(finished).base
    first, confirmed = by_name(finished, "tiny-0000"), by_name(finished, "tiny-0000-seed1")
    assert yaml.safe_load(artifact(finished, first, "config.yaml").read_text()) == base.model_dump(mode="json")
    assert confirmed.data.params["seed"] != first.data.params["seed"]
    rest = set(first.data.params.items()) ^ set(confirmed.data.params.items())
    assert {key for key, _ in rest} == {"seed"}


def test_curves_have_one_point_an_epoch(finished: Path) -> None:
    client, run = client_of(finished), by_name(finished, "tiny-0001")
    for name in ("epoch/train_loss", "epoch/lr", "epoch/val/accuracy_macro", "epoch/val/accuracy", "epoch/images_per_second"):
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [1, 2]
    for name in ("val/accuracy", "test/accuracy", "val/accuracy_macro"):
        assert len(client.get_metric_history(run.info.run_id, name)) == 1, "a number of record is no curve"
    selected = int(run.data.metrics["selected/epoch"])
    curve = {point.step: point.value for point in client.get_metric_history(run.info.run_id, "epoch/val/accuracy_macro")}
    assert curve[selected] == max(curve.values())


def test_the_study_has_a_summary_with_its_verdict_and_pictures(finished: Path) -> None:
    (summary,) = runs_of(finished, "summary")
    assert (
        summary.info.run_name == "tiny-summary"
        and summary.data.tags["ocr_sweep.winner"] in (finished / "first_output.txt").read_text()
    )
    for name in ("history.png", "parallel.png", "slices.png"):
        assert artifact(finished, summary, name).read_bytes().startswith(b"\x89PNG")


def test_the_numbers_of_record_are_the_numbers_of_the_exported_file(finished: Path) -> None:
    for run in runs_of(finished):
        view, metrics = view_of(finished, run), run.data.metrics
        session = onnxruntime.InferenceSession(str(artifact(finished, run, "model/model.onnx")))
        squares = {"images": view.images[:][..., None], "prepared": np.array(True)}
        answers = np.load(artifact(finished, run, "predictions.npz"))
        predicted = session.run(None, squares)[0].argmax(axis=1)
        np.testing.assert_array_equal(predicted[answers["index"]], answers["top5"][:, 0])
        np.testing.assert_array_equal(answers["label"], view.class_ids[answers["index"]])
        right = predicted == view.class_ids
        named = {"val/simulated", "test/simulated", "test/simulated_worn"}
        assert named <= set(view.set_names)
        for name in ("val", "test", *named):
            assert metrics[f"{name}/accuracy"] == pytest.approx(right[view.indices(name)].mean(), abs=1e-12)
        for split in ("val", "test"):
            rows = view.indices(split)
            each = [right[rows[view.class_ids[rows] == k]].mean() for k in range(view.num_classes)]
            assert metrics[f"{split}/accuracy_macro"] == pytest.approx(np.mean(each), abs=1e-12)
            assert metrics[f"{split}/accuracy_unseen"] == pytest.approx(np.mean(each), abs=1e-12)  # no class has a real scan
    assert max(run.data.metrics["val/accuracy"] for run in runs_of(finished)) > 0.5, (
        "the tiny networks learn, or nothing is shown"
    )


def test_every_artifact_is_there_and_is_what_the_manifest_says(finished: Path) -> None:
    import hashlib

    for run in runs_of(finished):
        folder = artifact(finished, run, "")
        assert {path.name for path in folder.iterdir()} - {"log.txt"} == ARTIFACTS
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, expected in manifest["sha256"].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected
        assert run.data.tags["ocr_sweep.onnx_sha256"] == manifest["sha256"]["model/model.onnx"]
        parity = json.loads((folder / "parity.json").read_text())
        assert parity["holds"] is True and parity["num_images"] == len(view_of(finished, run).indices("val"))
        assert parity["preparation"]["agreeing"] == parity["preparation"]["pictures"] == 8
        assert {"code", "libraries", "machine", "corpus"} <= set(json.loads((folder / "provenance.json").read_text()))
        assert (folder / "model" / "MLmodel").is_file()
        assert (folder / "confusion.png").read_bytes()[:4] == b"\x89PNG" == (folder / "errors.png").read_bytes()[:4]


def test_the_file_carries_what_validation_says_of_it(finished: Path) -> None:
    for run in runs_of(finished):
        file, metrics = ModelFile.read(artifact(finished, run, "model/model.onnx")), run.data.metrics
        assert file.sha256 == run.data.tags["ocr_sweep.onnx_sha256"]
        assert file.metadata["temperature"] == pytest.approx(metrics["calibration/temperature"])
        assert file.metadata["threshold"]["value"] == pytest.approx(metrics["unknown/threshold"])
        assert file.metadata["threshold"]["accepted"] == pytest.approx(metrics["val/accepted"])
        card = file.metadata["card"]
        assert f"{metrics['test/accuracy']:.2%}" in card and "simulated scans" in card and CHARS[:3] in card
        assert run.info.run_id not in card and run.info.run_name not in card, "the same trial again gives the same bytes"


def test_mlflow_can_load_the_model_with_any_batch_size(finished: Path) -> None:
    import mlflow.pyfunc

    run = by_name(finished, "tiny-0000")
    model = mlflow.pyfunc.load_model(artifact(finished, run, "model").as_uri())
    for batch in (1, 3):
        answer = model.predict(np.zeros((batch, 40, 30, 3), np.uint8))
        assert answer["logits"].shape == (batch, len(CHARS)) and answer["ink"].shape == (batch, 16, 16)


def test_nothing_is_left_running_or_in_progress(finished: Path) -> None:
    assert {run.info.status for run in runs_of(finished)} == {"FINISHED"}
    study = config_of(finished)
    optuna_study = open_study(study, paths_of(finished), by_name(finished, "tiny-0000").data.tags["ocr_sweep.corpus"])
    assert [trial.state.name for trial in optuna_study.trials] == ["COMPLETE"] * 3
    for trial in optuna_study.trials:
        assert trial.value == by_name(finished, f"tiny-{trial.number:04d}").data.metrics["val/accuracy_macro"]
    assert not (finished / "mlruns" / "work" / "tiny").exists()


def test_the_same_command_again_trains_nothing_and_names_the_same_winner(damaged: Path) -> None:
    before = {run.info.run_id: run.info.end_time for run in runs_of(damaged)}
    again = ocr_sweep(damaged, "sweep", "run", "tiny")
    assert again.code == 0 and again.err == ""
    assert winner(again.out) == winner((damaged / "first_output.txt").read_text())
    assert {run.info.run_id: run.info.end_time for run in runs_of(damaged)} == before
    assert len(client_of(damaged).search_model_versions("name = 'ocr-tiny'")) == 1


def test_a_raised_budget_goes_on_with_the_same_study(damaged: Path) -> None:
    file = damaged / "sweeps" / "tiny.yaml"
    file.write_text(file.read_text().replace("trials: 3", "trials: 4"))
    done = here(damaged, "sweep", "run", "tiny")
    assert done.code == 0, done.err
    searched = [run for run in runs_of(damaged) if run.data.tags["ocr_sweep.role"] == "search"]
    assert [run.info.run_name for run in searched] == [f"tiny-{i:04d}" for i in range(4)]
    points = {(run.data.params["loss.label_smoothing"], run.data.params["optim.handover_at"]) for run in searched}
    assert len(points) == 4, "a resumed sampler must not propose its past again"


def test_promotion_moves_stage_and_alias_together(damaged: Path) -> None:
    client, first = client_of(damaged), winner((damaged / "first_output.txt").read_text())
    done = ocr_sweep(damaged, "models", "promote", "--study", "tiny")
    assert done.code == 0 and "production was nobody, is version 1" in done.out and first in done.out
    assert client.get_model_version_by_alias("ocr-tiny", "production").run_id == first
    assert client.get_model_version("ocr-tiny", "1").current_stage == "Production"

    (damaged / "sweeps" / "gates").mkdir()  # fifty test images can rule out no small loss
    (damaged / "sweeps" / "gates" / "production.yaml").write_text("margin: 90\ngroup_margin: 90\nmax_forgotten: 100\n")
    other = by_name(damaged, "tiny-0002").info.run_id
    done = here(damaged, "models", "promote", "--run", other)
    assert done.code == 0 and "version 1 is archived" in done.out and "is version 2" in done.out
    assert [v.current_stage for v in stages(client)] == ["Archived", "Production"]
    assert client.get_model_version_by_alias("ocr-tiny", "production").run_id == other

    done = here(damaged, "models", "promote", "--run", other)
    assert done.code == 0 and "already" in done.out
    assert [v.current_stage for v in stages(client)] == ["Archived", "Production"]
    listed = here(damaged, "models", "list")
    assert listed.code == 0 and other in listed.out and "Production" in listed.out


def stages(client: MlflowClient) -> list[object]:
    return sorted(client.search_model_versions("name = 'ocr-tiny'"), key=lambda version: int(version.version))


def test_staging_is_a_stage_of_its_own(damaged: Path) -> None:
    run_id = by_name(damaged, "tiny-0001").info.run_id
    assert here(damaged, "models", "promote", "--run", run_id, "--stage", "staging").code == 0
    client = client_of(damaged)
    assert client.get_model_version_by_alias("ocr-tiny", "staging").current_stage == "Staging"


def test_reproduction_on_this_machine_is_identical(damaged: Path) -> None:
    old = winner((damaged / "first_output.txt").read_text())
    done = ocr_sweep(damaged, "runs", "reproduce", old)
    assert done.code == 0, done.err
    assert "nothing that is recorded differs" in done.out
    assert "identical: the losses of all 64 steps, weights, predictions and" in " ".join(done.out.split())
    new = next(run for run in runs_of(damaged) if run.data.tags["ocr_sweep.role"] == "reproduce")
    then = next(run for run in runs_of(damaged) if run.info.run_id == old)
    assert new.data.tags["ocr_sweep.reproduces"] == old and new.data.tags["ocr_sweep.verdict"] == "identical"
    assert new.data.tags["ocr_sweep.weights_sha256"] == then.data.tags["ocr_sweep.weights_sha256"]
    assert new.data.tags["ocr_sweep.onnx_sha256"] == then.data.tags["ocr_sweep.onnx_sha256"]
    said = json.loads(artifact(damaged, new, "reproduction.json").read_text())
    assert said["grade"] == "identical" and said["old"] == old and said["differences"] == []
    again = here(damaged, "sweep", "run", "tiny")
    assert winner(again.out) == old, "a reproduction is no candidate"


def test_a_changed_font_is_named_by_a_reproduction(damaged: Path) -> None:
    font = damaged / "data" / "fonts" / "a.ttf"
    font.unlink()
    font.write_bytes(ipaex().read_bytes() + b"\0" * 16)
    done = here(damaged, "runs", "reproduce", by_name(damaged, "tiny-0000").info.run_id)
    assert "what differs from then:" in done.out and "data: " in done.out and "corpus was" in done.out
    assert done.code in (0, 3)


def test_a_changed_seed_in_the_recorded_configuration_is_refused(damaged: Path) -> None:
    run = by_name(damaged, "tiny-0000")
    config = artifact(damaged, run, "config.yaml")
    config.write_text(config.read_text().replace("\nseed: 17", "\nseed: 18"))
    said = ("config.yaml", "was changed after its training", "seed is 18 in the file and 17 in the database")
    refused(here(damaged, "runs", "reproduce", run.info.run_id), 3, *said)
    config.write_text(config.read_text().replace("\nseed: 18", "\nseed:  17"))
    refused(here(damaged, "runs", "reproduce", run.info.run_id), 3, "config.yaml", "sha256", "changed or damaged")


def test_the_comparison_page_opens_without_a_network(damaged: Path) -> None:
    done = here(damaged, "runs", "compare", "--study", "tiny")
    assert done.code == 0, done.err
    page = damaged / "reports" / "tiny.html"
    assert str(page) in done.out
    text = page.read_text(encoding="utf-8")
    loads = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)|url\(([^)]*)\)|@import""", text)
    assert not [link for pair in loads for link in pair if link.startswith(("http", "//"))]
    assert "unet_encoder" in text and "simulated" in text
    two = [by_name(damaged, name).info.run_id for name in ("tiny-0000", "tiny-0001")]
    assert here(damaged, "runs", "compare", *two).code == 0
    read = here(damaged, "runs", "readings").out
    assert all(run_id in read for run_id in two) and "verdict" in read and read.count("comparison") >= 3
    assert f"have been read {read.count('tiny-0')} times" in read


def test_the_doctor_finds_nothing_wrong(finished: Path) -> None:
    done = here(finished, "doctor")
    assert done.code == 0, done.out
    assert "wrong" not in done.out and "records of tiny: 3 trials and 5 runs, all agree" in done.out


def test_doctor_names_runs_that_nobody_runs_and_moved_artifacts(damaged: Path) -> None:
    client = client_of(damaged)
    client.update_run(by_name(damaged, "tiny-0002").info.run_id, status="RUNNING")
    done: Done = here(damaged, "doctor")
    assert done.code == 3 and "I3 tiny, tiny-0002" in done.out and "nobody runs the study" in done.out
    (damaged / "mlruns" / "mlflow.db").write_bytes(b"not a database" * 100)
    done = here(damaged, "doctor")
    assert done.code == 3 and "is damaged" in done.out and "from a backup" in done.out and "Traceback" not in done.err


def test_a_moved_project_is_told_where_its_artifacts_lie(finished: Path, tmp_path: Path) -> None:
    import shutil

    moved = shutil.copytree(finished, tmp_path / "moved", symlinks=True)
    done = here(moved, "doctor")
    assert done.code == 3 and "was it moved?" in done.out


def test_two_networks_are_both_tried_and_both_confirmed(project: Callable[..., Path]) -> None:
    root = project()
    (root / "sweeps" / "models").mkdir()
    for name, channels in (("small", 4), ("wide", 6)):
        block = {**yaml.safe_load((root / "sweeps" / "tiny.yaml").read_text())["base"]["model"], "base_channels": channels}
        (root / "sweeps" / "models" / f"{name}.yaml").write_text(yaml.safe_dump(block))
    data = yaml.safe_load((root / "sweeps" / "tiny.yaml").read_text())
    data["base"]["model"] = "models/small.yaml"
    data["search"]["model"] = {"type": "categorical", "choices": ["models/small.yaml", "models/wide.yaml"]}
    data |= {"trials": 2}
    (root / "sweeps" / "tiny.yaml").write_text(yaml.safe_dump(data, allow_unicode=True))
    done = here(root, "sweep", "run", "tiny")
    assert done.code == 0, done.err
    assert by_name(root, "tiny-0000").data.params["model.base_channels"] == "4"
    assert by_name(root, "tiny-0001").data.params["model.base_channels"] == "6"
