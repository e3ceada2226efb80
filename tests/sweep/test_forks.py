"""Studies whose trials share representations: who shares, what the pruner hears, what is said at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_study import config_of, paths_of, write_study

from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.disk import read_json, write_json
from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.search.storage import open_study
from ocr_sweep.sweep.study_loop import shares_representations
from ocr_sweep.sweep.trials.attempt import PROVENANCE, Attempt
from ocr_sweep.sweep.trials.trial import _representations
from ocr_sweep.sweep.watching.board import Job, Result
from ocr_sweep.sweep.watching.forks import forks_sentence
from ocr_sweep.tracking.provenance import code_sha256
from ocr_sweep.tracking.record import OUTCOME, REPRESENTATION, Outcome, RunRecord

CRT = {"kind": "crt", "bn_mode": "eval", "epochs": 2, "lr": 0.5}


def record(name: str, shared: float | None, seconds: float, key: str = "", outcome: str = "complete") -> RunRecord:
    metrics = {} if shared is None else {"cost/representation_shared": shared, "cost/representation_seconds": seconds}
    return RunRecord(name, name, "FINISHED", {OUTCOME: outcome, REPRESENTATION: key}, {}, metrics)


def test_the_saving_is_said_in_one_sentence() -> None:
    learnt = [record("a", 0.0, 100.0, "k1"), record("b", 0.0, 130.0, "k2"), record("c", None, 0.0)]
    assert forks_sentence(learnt) == ""
    forks = [record("d", 1.0, 100.0, "k1"), record("e", 1.0, 130.0, "k2"), record("f", 1.0, 500.0, "k2")]
    assert forks_sentence([*learnt, *forks]) == "3 trials forked 2 representations: 12 min 10 s not trained again"
    assert forks_sentence(forks[:1]) == "1 trial forked 1 representation: 1 min 40 s not trained again"
    assert forks_sentence([record("g", 1.0, 7260.0, "k1")]).endswith(": 2 h 1 min not trained again")
    assert forks_sentence([record("h", 1.0, 9.0, "k1", outcome="pruned")]) == ""


def test_a_study_shares_where_its_trials_can_differ_behind_the_representation_alone(project: Callable[..., Path]) -> None:
    lr = {"type": "float", "low": 0.001, "high": 0.1}
    assert not shares_representations(config_of(project("plain")))
    within = {"classifier.lr": {**lr, "low": 0.1, "high": 1.0}}
    assert shares_representations(config_of(project("within", base__classifier=CRT, search=within)))
    assert not shares_representations(config_of(project("fixed", base__classifier=CRT, search={"optim.lr": lr})))


def test_a_study_chooses_among_classifiers_and_none(project: Callable[..., Path]) -> None:
    root = project()
    for name, text in {"crt": "kind: crt\nbn_mode: eval\nepochs: 2\nlr: 0.5\n", "ncm": "kind: ncm\nbn_mode: eval\n"}.items():
        (root / "sweeps" / f"{name}.yaml").write_text(text, encoding="utf-8")
    search = {
        "classifier": {"type": "categorical", "choices": [None, "crt.yaml", "ncm.yaml"]},
        "classifier.lr": {"type": "float", "low": 0.1, "high": 1.0, "when": {"classifier": "crt"}},
    }
    write_study(root, search=search)
    study = config_of(root)
    assert shares_representations(study)
    points = study.first_points()
    assert [point["classifier"] for point in points] == ["null", "crt", "ncm"]
    kinds = [study.trial_config(point).classifier for point in points]
    assert [None if kind is None else kind.kind for kind in kinds] == [None, "crt", "ncm"]
    chosen = study.trial_config({"classifier": "crt", "classifier.lr": 0.25}).classifier
    assert chosen is not None and chosen.model_dump()["lr"] == 0.25


@pytest.mark.parametrize("beyond", [{"epoch/stage": 2.0}, {"epoch/stage": 1.0, "epoch/shared": 1.0}])
def test_the_pruner_hears_of_representations_alone_and_once(beyond: dict[str, float], project: Callable[..., Path]) -> None:
    pruner = {"kind": "median", "warmup_epochs": 1, "startup_trials": 1}
    root = project(base__training__epochs=4, base__classifier=CRT, trials=3, pruner=pruner, search={})
    study, paths = config_of(root), paths_of(root)
    optuna_study = open_study(study, paths, "corpus")
    search = Search(study, optuna_study, paths.optuna_url, lambda sentence: None)
    first, second = search.next_job(), search.next_job()
    assert isinstance(first, Job) and isinstance(second, Job)

    def tell(job: Job, epoch: int, value: float, **more: float) -> bool:
        return search.on_epoch(job, epoch, {"epoch/val/accuracy_macro": value, **more})

    for epoch in (1, 2, 3, 4):
        assert not tell(first, epoch, 0.9, **{"epoch/stage": 1.0})
    search.on_end(Result(first, "run", Outcome.COMPLETE, {"val/accuracy_macro": 0.9}, ""))
    for epoch in (1, 2, 3):
        assert not tell(second, epoch, 0.1, **beyond), "as bad as it is"
    assert optuna_study.trials[second.trial].intermediate_values == {}
    assert not tell(second, 2, 0.1, **{"epoch/stage": 1.0, "epoch/handed_over": 1.0}), "what comes after the handover, neither"
    assert tell(second, 3, 0.1, **{"epoch/stage": 1.0}), "a representation of its own is compared"


def test_a_trial_shares_only_while_the_program_is_the_one_that_began_it(tmp_path: Path, make_trial: Callable[..., Any]) -> None:
    attempt = Attempt(tmp_path / "trial")
    attempt.prepare(make_trial(), tmp_path / "corpus", {"code": {"sha256": code_sha256()}}, tmp_path / "representations")
    assert attempt.representations() == tmp_path / "representations" and _representations(attempt) is not None
    write_json(attempt.result / PROVENANCE, {"code": {"sha256": fingerprint("other")}})
    assert _representations(attempt) is None
    alone = Attempt(tmp_path / "alone")
    alone.prepare(make_trial(), tmp_path / "corpus", {"code": {"sha256": code_sha256()}})
    assert alone.representations() is None and _representations(alone) is None
    assert read_json(alone.folder / "job.json") == {"store": str(tmp_path / "corpus")}
