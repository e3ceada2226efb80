"""Hands that change what a project remembers, behind the back of everybody who writes it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml

CORPUS = "mlruns/corpora"


class Hands:
    """A project and its databases, by name of run."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def optuna(self, statement: str, *values: Any) -> list[Any]:
        """Change Optuna's database."""
        return self._execute("optuna.db", statement, values)

    def mlflow(self, statement: str, *values: Any) -> list[Any]:
        """Change MLflow's database."""
        return self._execute("mlflow.db", statement, values)

    def _execute(self, name: str, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.root / "mlruns" / name)) as database, database:
            return database.execute(statement, values).fetchall()

    def run(self, name: str) -> str:
        """The id of a run."""
        return str(self.mlflow("SELECT run_uuid FROM runs WHERE name = ?", name)[0][0])

    @property
    def winner(self) -> str:
        """The run of the verdict, which is in production."""
        verdict = self.optuna("SELECT value_json FROM study_user_attributes WHERE key = 'ocr_sweep.verdict'")
        return str(json.loads(verdict[0][0])["run_id"])

    @property
    def loser(self) -> str:
        """A confirming run that nobody refers to."""
        named = self.mlflow("SELECT run_uuid FROM runs WHERE name LIKE '%-seed1' ORDER BY name")
        return next(str(run) for (run,) in named if run != self.winner)

    @property
    def unconfirmed(self) -> int:
        """A trial that was not trained again."""
        confirmed = {int(name.split("-")[1]) for (name,) in self.mlflow("SELECT name FROM runs WHERE name LIKE '%-seed1'")}
        return next(number for number in (1, 2) if number not in confirmed)

    def name_of(self, run: str) -> str:
        """A run's name."""
        return str(self.mlflow("SELECT name FROM runs WHERE run_uuid = ?", run)[0][0])

    def trial_id(self, number: int) -> int:
        """Optuna's own id of a trial."""
        return int(self.optuna("SELECT trial_id FROM trials WHERE number = ?", number)[0][0])

    def tag(self, run: str, name: str, value: str | None) -> None:
        """Set or remove a tag."""
        self.mlflow("DELETE FROM tags WHERE run_uuid = ? AND key = ?", run, f"ocr_sweep.{name}")
        if value is not None:
            self.mlflow("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", f"ocr_sweep.{name}", value, run)

    def stopped(self, run: str) -> Path:
        """Make a run one that was stopped in its middle; returns its new folder among the trials in progress."""
        self.mlflow("UPDATE runs SET status = 'KILLED' WHERE run_uuid = ?", run)
        self.tag(run, "outcome", "stopped")
        key = str(self.mlflow("SELECT value FROM tags WHERE run_uuid = ? AND key = 'ocr_sweep.key'", run)[0][0])
        folder = self.root / "mlruns" / "work" / key
        (folder / "result").mkdir(parents=True)
        return folder

    def files(self, run: str) -> Path:
        """The artifacts of a run."""
        return self.root / "mlruns" / "artifacts" / "tiny" / run / "artifacts"

    def reseal(self, run: str) -> None:
        """Write the manifest's hashes again, and the tags, as somebody would who hides a change."""
        manifest = json.loads((self.files(run) / "manifest.json").read_text())
        for name in manifest["sha256"]:
            manifest["sha256"][name] = hashlib.sha256((self.files(run) / name).read_bytes()).hexdigest()
        (self.files(run) / "manifest.json").write_text(json.dumps(manifest))
        self.tag(run, "onnx_sha256", manifest["sha256"]["model/model.onnx"])
        self.tag(run, "weights_sha256", manifest["sha256"]["weights.safetensors"])

    @property
    def corpus(self) -> Path:
        """The one corpus."""
        return next(path for path in (self.root / CORPUS).iterdir() if path.is_dir())

    def reseal_corpus(self) -> None:
        """Write the corpus's hashes again."""
        manifest = json.loads((self.corpus / "manifest.json").read_text())
        for name in manifest["sha256"]:
            manifest["sha256"][name] = hashlib.sha256((self.corpus / name).read_bytes()).hexdigest()
        (self.corpus / "manifest.json").write_text(json.dumps(manifest))


@dataclass(frozen=True)
class Plant:
    """One violation and how it is made."""

    invariant: str
    name: str
    make: Callable[[Hands], None]
    mended: bool = False
    quick: bool = True  # whether a quick look finds it


PLANTS: list[Plant] = []


Make = Callable[[Hands], None]


def plant(invariant: str, *, mended: bool = False, quick: bool = True) -> Callable[[Make], Make]:
    """Register a way to break an invariant."""

    def register(make: Make) -> Make:
        PLANTS.append(Plant(invariant, make.__name__, make, mended, quick))
        return make

    return register


@plant("I1")
def a_run_that_was_deleted(hands: Hands) -> None:
    hands.mlflow("UPDATE runs SET lifecycle_stage = 'deleted' WHERE name = ?", f"tiny-000{hands.unconfirmed}")


@plant("I1")
def two_runs_of_one_key(hands: Hands) -> None:
    hands.tag(hands.loser, "key", "tiny/0000-search")


@plant("I1")
def a_run_whose_trial_is_gone(hands: Hands) -> None:
    trial = hands.trial_id(2)
    for table in (
        "trial_params",
        "trial_values",
        "trial_intermediate_values",
        "trial_user_attributes",
        "trial_system_attributes",
    ):
        hands.optuna(f"DELETE FROM {table} WHERE trial_id = ?", trial)
    hands.optuna("DELETE FROM trials WHERE trial_id = ?", trial)


@plant("I1")
def a_trial_that_names_another_run(hands: Hands) -> None:
    hands.optuna("UPDATE trial_user_attributes SET value_json = '\"f00\"' WHERE trial_id = ?", hands.trial_id(1))


@plant("I2", mended=True)
def a_trial_that_was_recorded_and_not_told(hands: Hands) -> None:
    hands.optuna("UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE number = 1")
    hands.optuna("DELETE FROM trial_values WHERE trial_id = ?", hands.trial_id(1))
    hands.optuna("DELETE FROM trial_user_attributes WHERE trial_id = ?", hands.trial_id(1))


@plant("I2", mended=True)
def a_run_that_failed_after_it_was_complete(hands: Hands) -> None:
    hands.mlflow("UPDATE runs SET status = 'FAILED' WHERE name = 'tiny-0001'")


@plant("I2", mended=True)
def a_complete_trial_whose_run_was_stopped(hands: Hands) -> None:
    run = hands.run("tiny-0001")
    hands.mlflow("UPDATE runs SET status = 'KILLED' WHERE run_uuid = ?", run)
    hands.tag(run, "outcome", "stopped")


@plant("I2", mended=True)
def an_outcome_that_is_missing(hands: Hands) -> None:
    hands.tag(hands.loser, "outcome", None)


@plant("I3", mended=True)
def a_run_that_says_running(hands: Hands) -> None:
    hands.mlflow("UPDATE runs SET status = 'RUNNING' WHERE name = 'tiny-0001'")


@plant("I3", mended=True)
def a_confirming_run_that_says_running(hands: Hands) -> None:
    hands.mlflow("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", hands.loser)
    hands.tag(hands.loser, "outcome", None)


@plant("I3", mended=True)
def a_summary_that_says_running(hands: Hands) -> None:
    hands.mlflow("UPDATE runs SET status = 'RUNNING' WHERE name = 'tiny-summary'")


@plant("I4")
def a_number_that_was_left_out(hands: Hands) -> None:
    hands.optuna("UPDATE trials SET number = 9 WHERE number = ?", hands.unconfirmed)
    run = hands.run(f"tiny-000{hands.unconfirmed}")
    hands.tag(run, "trial", "9")
    hands.tag(run, "key", "tiny/0009-search")


@plant("I5", quick=False)
def a_flipped_bit(hands: Hands) -> None:
    file = hands.files(hands.winner) / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@plant("I5")
def a_file_that_is_gone(hands: Hands) -> None:
    (hands.files(hands.run("tiny-0000")) / "errors.png").unlink()


@plant("I5")
def a_manifest_that_is_torn(hands: Hands) -> None:
    file = hands.files(hands.loser) / "manifest.json"
    file.write_bytes(file.read_bytes()[:100])


@plant("I5", mended=True)
def a_tag_that_is_missing(hands: Hands) -> None:
    hands.tag(hands.run("tiny-0001"), "weights_sha256", None)


@plant("I5")
def a_tag_of_another_file(hands: Hands) -> None:
    hands.tag(hands.run("tiny-0001"), "onnx_sha256", "0" * 64)


@plant("I6")
def a_better_value_in_optuna(hands: Hands) -> None:
    hands.optuna("UPDATE trial_values SET value = 0.999 WHERE trial_id = ?", hands.trial_id(1))


@plant("I6")
def a_better_number_in_mlflow(hands: Hands) -> None:
    hands.mlflow("UPDATE metrics SET value = 0.999 WHERE key = 'test/accuracy' AND run_uuid = ?", hands.run("tiny-0001"))


@plant("I6", quick=False)
def a_better_number_everywhere_but_in_the_predictions(hands: Hands) -> None:
    run = hands.run("tiny-0001")
    hands.mlflow("UPDATE metrics SET value = 0.999 WHERE key = 'test/accuracy' AND run_uuid = ?", run)
    file = hands.files(run) / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["metrics"]["test/accuracy"] = 0.999
    file.write_text(json.dumps(manifest))


@plant("I7")
def a_direction_that_was_turned(hands: Hands) -> None:
    hands.optuna("UPDATE study_directions SET direction = 'MINIMIZE'")


@plant("I7")
def a_value_that_is_infinite(hands: Hands) -> None:
    hands.optuna("UPDATE trial_values SET value = NULL, value_type = 'INF_POS' WHERE trial_id = ?", hands.trial_id(1))


@plant("I7")
def a_verdict_for_a_run_that_does_not_exist(hands: Hands) -> None:
    hands.optuna("UPDATE study_user_attributes SET value_json = replace(value_json, ?, ?)", hands.winner, "f" * 32)


@plant("I8")
def an_epoch_that_was_told_twice(hands: Hands) -> None:
    columns = "key, value, timestamp + 1, run_uuid, step, is_nan"
    hands.mlflow(f"INSERT INTO metrics SELECT {columns} FROM metrics WHERE key = 'epoch/lr' AND run_uuid = ?", hands.loser)


@plant("I8")
def a_first_epoch_that_is_missing(hands: Hands) -> None:
    hands.mlflow("DELETE FROM metrics WHERE key LIKE 'epoch/%' AND step = 1 AND run_uuid = ?", hands.loser)


@plant("I8")
def a_curve_that_the_trial_did_not_write(hands: Hands) -> None:
    events = [{"epoch": epoch, "metrics": {"epoch/lr": 7.0}, "timestamp": 1} for epoch in (1, 2)]
    (hands.stopped(hands.loser) / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


@plant("I9")
def an_epoch_that_the_pruner_saw_otherwise(hands: Hands) -> None:
    hands.optuna(
        "UPDATE trial_intermediate_values SET intermediate_value = 0.1 WHERE step = 1 AND trial_id = ?", hands.trial_id(1)
    )


@plant("I10")
def another_rate_in_mlflow(hands: Hands) -> None:
    hands.mlflow("UPDATE params SET value = '0.33' WHERE key = 'loss.label_smoothing' AND run_uuid = ?", hands.run("tiny-0001"))


@plant("I10", quick=False)
def another_parameter_in_mlflow(hands: Hands) -> None:
    hands.mlflow("UPDATE params SET value = '64' WHERE key = 'training.batch_size' AND run_uuid = ?", hands.loser)


@plant("I10")
def a_proposal_outside_the_space(hands: Hands) -> None:
    hands.optuna("UPDATE trial_params SET param_value = 0.9 WHERE param_name = 'loss.label_smoothing' AND trial_id = ?", 2)


@plant("I10", quick=False)
def another_configuration_under_seal(hands: Hands) -> None:
    run = hands.run("tiny-0001")
    file = hands.files(run) / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["optim"]["clip_norm"] = 4.0
    file.write_text(yaml.safe_dump(config, allow_unicode=True))
    hands.mlflow("UPDATE params SET value = '4.0' WHERE key = 'optim.clip_norm' AND run_uuid = ?", run)
    hands.reseal(run)


@plant("I11")
def a_run_that_learnt_from_another_corpus(hands: Hands) -> None:
    shutil.copytree(hands.corpus, hands.root / CORPUS / ("e" * 64))
    hands.tag(hands.run("tiny-0001"), "corpus", "e" * 64)


@plant("I12", mended=True)
def a_half_written_file(hands: Hands) -> None:
    file = hands.root / "mlruns" / "cache" / ".weights.0123abcd.tmp"
    file.write_bytes(b"half")
    os.utime(file, (time.time() - 7200,) * 2)


@plant("I12", mended=True)
def a_half_removed_folder(hands: Hands) -> None:
    folder = hands.root / "mlruns" / "work" / "tiny" / ".0000-search.0123abcd.tmp"
    (folder / "result").mkdir(parents=True)
    for path in (folder / "result", folder):
        os.utime(path, (time.time() - 7200,) * 2)


@plant("I12")
def files_of_a_run_that_nobody_knows(hands: Hands) -> None:
    shutil.copytree(hands.files(hands.winner).parent, hands.root / "mlruns" / "artifacts" / "tiny" / ("e" * 32))


@plant("I12")
def artifacts_that_lie_elsewhere(hands: Hands) -> None:
    hands.mlflow("UPDATE experiments SET artifact_location = 'file:///elsewhere/artifacts/tiny' WHERE name = 'tiny'")


@plant("I13", quick=False)
def a_checkpoint_that_is_damaged(hands: Hands) -> None:
    (hands.stopped(hands.loser) / "checkpoint.pt").write_bytes(b"weights" + hashlib.sha256(b"weightz").digest())
    hands.mlflow("DELETE FROM metrics WHERE run_uuid = ?", hands.loser)


@plant("I13")
def a_folder_of_a_trial_that_has_ended(hands: Hands) -> None:
    folder = hands.root / "mlruns" / "work" / "tiny" / "0001-search"
    folder.mkdir(parents=True)
    events = hands.mlflow(
        "SELECT step, key, value FROM metrics WHERE key LIKE 'epoch/%' AND run_uuid = ?", hands.run("tiny-0001")
    )
    lines = {step: {key: value for at, key, value in events if at == step} for step, _, _ in events}
    texts = [json.dumps({"epoch": step, "metrics": metrics, "timestamp": 1}) for step, metrics in lines.items()]
    (folder / "events.jsonl").write_text("\n".join(texts) + "\n")


@plant("I14", mended=True)
def a_stage_that_left_its_alias(hands: Hands) -> None:
    hands.mlflow("UPDATE model_versions SET current_stage = 'Archived'")


@plant("I14")
def a_version_of_a_run_that_did_not_complete(hands: Hands) -> None:
    run = hands.run(f"tiny-000{hands.unconfirmed}")
    hands.mlflow("UPDATE model_versions SET run_id = ?", run)
    hands.mlflow("UPDATE runs SET status = 'FAILED' WHERE run_uuid = ?", run)
    hands.tag(run, "outcome", "failed")
    hands.tag(run, "reason", "nan-loss: planted")
    hands.optuna("UPDATE trials SET state = 'FAIL' WHERE number = ?", hands.unconfirmed)
    hands.optuna("DELETE FROM trial_values WHERE trial_id = ?", hands.trial_id(hands.unconfirmed))


@plant("I14")
def a_version_of_another_file(hands: Hands) -> None:
    hands.mlflow("UPDATE model_version_tags SET value = ? WHERE key = 'ocr_sweep.onnx_sha256'", "0" * 64)


@plant("I14")
def an_alias_that_leads_nowhere(hands: Hands) -> None:
    hands.mlflow("UPDATE registered_model_aliases SET version = 9")
    hands.mlflow("UPDATE model_versions SET current_stage = 'None'")


def _history(hands: Hands) -> Path:
    (file,) = (hands.root / "mlruns" / "registry").glob("*.jsonl")
    return file


@plant("I14")
def a_record_of_the_gate_that_was_changed(hands: Hands) -> None:
    (file,) = (hands.files(hands.winner) / "registry").glob("*.gate.json")
    file.write_bytes(file.read_bytes().replace(b'"who": "', b'"who": "not '))


@plant("I15")
def a_history_with_a_changed_entry(hands: Hands) -> None:
    file = _history(hands)
    file.write_bytes(file.read_bytes().replace(b'"forced":false', b'"forced":true'))


@plant("I15")
def a_history_whose_end_was_cut_off(hands: Hands) -> None:
    file = _history(hands)
    file.write_bytes(b"")


@plant("I15")
def a_history_that_was_written_anew(hands: Hands) -> None:
    """The chain is whole and signed by nobody."""
    file = _history(hands)
    entry = json.loads(file.read_bytes().splitlines()[-1])
    entry["why"] = "because I say so"
    kept = {key: value for key, value in entry.items() if key not in ("sha256", "signature")}
    entry["sha256"] = hashlib.sha256(_canonical(kept)).hexdigest()
    file.write_bytes(b"".join(line + b"\n" for line in [*file.read_bytes().splitlines()[:-1], _canonical(entry)]))
    head = f"{entry['number']}:{entry['sha256']}:{hands.winner}"
    hands.mlflow("UPDATE registered_model_tags SET value = ? WHERE key = 'ocr_sweep.history'", head)


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


@plant("I15")
def a_pointer_that_others_took_away(hands: Hands) -> None:
    hands.mlflow("DELETE FROM registered_model_aliases")
    hands.mlflow("UPDATE model_versions SET current_stage = 'None'")


@plant("I16")
def a_certificate_that_does_not_hold(hands: Hands) -> None:
    file = hands.files(hands.loser) / "parity.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "max_difference": 0.5}))
    hands.reseal(hands.loser)


@plant("I16", quick=False)
def a_model_of_another_charset(hands: Hands) -> None:
    file = hands.files(hands.loser) / "model" / "model.onnx"
    model = onnx.load(file)
    for entry in model.metadata_props:
        if entry.key == "ocr_sweep.charset":
            entry.value = json.dumps(list(reversed(json.loads(entry.value))))
    onnx.save(model, file)
    hands.reseal(hands.loser)


@plant("I16", quick=False)
def a_model_that_keeps_its_weights_elsewhere(hands: Hands) -> None:
    file = hands.files(hands.loser) / "model" / "model.onnx"
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="weights.bin", size_threshold=0)
    hands.reseal(hands.loser)


@plant("I16", quick=False)
def a_model_with_a_foreign_operator_in_a_branch(hands: Hands) -> None:
    file = hands.files(hands.loser) / "model" / "model.onnx"
    model = onnx.load(file)
    branch = next(attribute.g for node in model.graph.node if node.op_type == "If" for attribute in node.attribute)
    branch.node[0].domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    onnx.save(model, file)
    hands.reseal(hands.loser)


@plant("I17", quick=False)
def an_image_in_two_splits(hands: Hands) -> None:
    images = np.load(hands.corpus / "images.npy")
    images[-1] = images[0]
    np.save(hands.corpus / "images.npy", images)
    hands.reseal_corpus()


@plant("I18")
def a_font_with_two_hashes(hands: Hands) -> None:
    file = hands.corpus / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["fonts"][0]["sha256"] = "0" * 64
    file.write_text(json.dumps(manifest))


@plant("I19")
def a_row_that_refers_to_none(hands: Hands) -> None:
    hands.mlflow("DELETE FROM runs WHERE run_uuid = ?", hands.loser)


@plant("I19")
def a_database_that_is_damaged(hands: Hands) -> None:
    file = hands.root / "mlruns" / "mlflow.db"
    content = bytearray(file.read_bytes())
    content[8192 : 8192 + 4096 * 40] = b"\xff" * 4096 * 40
    file.write_bytes(content)


@plant("I19")
def a_database_that_is_none(hands: Hands) -> None:
    (hands.root / "mlruns" / "optuna.db").write_bytes(b"not a database" * 100)


@plant("I19")
def a_database_of_the_future(hands: Hands) -> None:
    hands.optuna("UPDATE alembic_version SET version_num = 'v9.9.9.a'")


@plant("I21")
def more_trials_than_allowed(hands: Hands) -> None:
    file = hands.root / "sweeps" / "tiny.yaml"
    file.write_text(file.read_text().replace("trials: 3", "trials: 2"))


@plant("I22")
def a_point_that_was_tried_before(hands: Hands) -> None:
    hands.optuna("INSERT INTO trials SELECT 99, 3, study_id, 'RUNNING', datetime_start, NULL FROM trials WHERE number = 1")
    columns = "param_name, param_value, distribution_json"
    copied = f"INSERT INTO trial_params (trial_id, {columns}) SELECT 99, {columns} FROM trial_params WHERE trial_id = ?"
    hands.optuna(copied, hands.trial_id(1))
    (hands.root / "sweeps" / "tiny.yaml").unlink()


@plant("I23")
def a_run_that_ended_before_it_began(hands: Hands) -> None:
    hands.mlflow("UPDATE runs SET end_time = start_time - 5000 WHERE run_uuid = ?", hands.loser)


@plant("I23")
def a_trial_that_ended_before_it_began(hands: Hands) -> None:
    hands.optuna("UPDATE trials SET datetime_complete = '2020-01-01 00:00:00.000000' WHERE number = 1")


def _failed(hands: Hands, reason: str) -> None:
    number = hands.unconfirmed
    run = hands.run(f"tiny-000{number}")
    hands.mlflow("UPDATE runs SET status = 'FAILED' WHERE run_uuid = ?", run)
    hands.tag(run, "outcome", "failed")
    hands.tag(run, "reason", reason)
    hands.optuna("UPDATE trials SET state = 'FAIL' WHERE number = ?", number)
    hands.optuna("DELETE FROM trial_values WHERE trial_id = ?", hands.trial_id(number))


@plant("I24", mended=True)
def a_failure_without_a_reason_of_the_list(hands: Hands) -> None:
    _failed(hands, "it did not work")


@plant("I24")
def a_bug_without_its_traceback(hands: Hands) -> None:
    _failed(hands, "bug: ValueError: planted")


@plant("I25", mended=True)
def a_file_that_everybody_may_write(hands: Hands) -> None:
    (hands.root / "mlruns" / "optuna.db").chmod(0o666)


@plant("I25")
def a_password_in_a_tag(hands: Hands) -> None:
    hands.tag(hands.loser, "reason", "no answer from http://me:correct-horse@host")


@plant("I25", quick=False)
def a_password_in_a_log(hands: Hands) -> None:
    (hands.files(hands.loser) / "log.txt").write_text("Traceback: http://me:correct-horse@host")


@plant("I27")
def a_corpus_that_is_gone(hands: Hands) -> None:
    shutil.rmtree(hands.corpus)


@plant("I27", quick=False)
def a_corpus_that_was_changed(hands: Hands) -> None:
    with (hands.corpus / "images.npy").open("ab") as file:
        file.write(b"\0")
