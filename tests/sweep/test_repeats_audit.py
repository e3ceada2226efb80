"""What a study trains beside single trials: repeats of each, an audit of what was pruned; and what becomes of it in the end."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_engine import Fate
from rich.console import Console
from searching import end, next_of, session_of, write
from tiny_study import write_study

from ocr_sweep.cli.search_tables import front_table, means_table
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.sweep.confirmation.ranking import ranked_trials
from ocr_sweep.sweep.search.repeats import repeat_config
from ocr_sweep.tracking.record import Outcome, RunRecord
from ocr_sweep.tracking.summary_run import summary_of
from ocr_sweep.tracking.tracker import Tracker

Make = Callable[..., Any]
METRIC = "val/accuracy_macro"


def records(faked: Any) -> dict[str, RunRecord]:
    found = Tracker.open(faked.paths).runs("tiny")
    assert len({record.name for record in found}) == len(found) == len({record.tags["ocr_sweep.key"] for record in found})
    return {record.name: record for record in found}


def told(faked: Any) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="tiny", storage=faked.paths.optuna_url).trials


def text_of(table: Any) -> list[list[str]]:
    out = io.StringIO()
    Console(width=200, file=out).print(table)
    return [line.split() for line in out.getvalue().splitlines()[3:] if line.strip()]


def test_repeats_have_seeds_and_folds_of_their_own(faked: Make) -> None:
    from tiny_study import config_of

    base = config_of(faked().root).base
    configs = [repeat_config(base, repeat) for repeat in range(3)]
    assert configs[0] == base
    assert len({config.seed for config in configs}) == 3
    confirming = {(base.seed + 7919 * seed) % 2**31 for seed in range(1, 101)}
    assert not confirming & {repeat_config(base, repeat).seed for repeat in range(100)}, "fresh seeds stay fresh"
    folded = base.model_copy(update={"corpus": base.corpus.model_copy(update={"folds": 2})})
    assert [repeat_config(folded, repeat).training.fold for repeat in range(4)] == [0, 1, 0, 1]


def test_trials_are_ranked_by_the_mean_over_their_repeats(faked: Make) -> None:
    study = faked(repeats=3)
    shares = {"0001-search": 0.9, "0001-search-repeat2": 0.1, "0001-search-repeat3": 0.2}  # lucky once
    shares |= {"0002-search": 0.6, "0002-search-repeat2": 0.7, "0002-search-repeat3": 0.8}
    engine = study.engine(lambda config, name: Fate(right=shares.get(name, 0.5)))
    finished = study.run()
    assert engine.started[:4] == ["0000-search", "0000-search-repeat2", "0000-search-repeat3", "0001-search"]
    assert engine.started[9:] == ["0000-confirm-seed1", "0002-confirm-seed1"]
    runs = records(study)
    assert [trial.value for trial in told(study)] == pytest.approx(
        [
            sum(runs[name].metrics[METRIC] for name in runs if name.startswith(f"tiny-{trial:04d}") and "seed" not in name) / 3
            for trial in range(3)
        ]
    )
    assert [len(trial.user_attrs["ocr_sweep.repeats"]) for trial in told(study)] == [3, 3, 3]
    config = study.config()
    assert [record.trial for record in ranked_trials(config, finished.records, 0)] == [2, 0, 1]
    assert [row[0] for row in text_of(means_table(config, finished.records))] == ["2", "0", "1"]


@pytest.mark.parametrize("killed_after", ["the run", "the note"])
def test_a_trial_goes_on_at_the_repeat_where_it_was_killed(killed_after: str, root: Path) -> None:
    study = write(root, trials=2, repeats=3)
    search = session_of(root, study)()
    first = next_of(search)
    end(search, first, 0.3)
    second = next_of(search)
    assert (second.trial, second.suffix) == (0, "repeat2")
    if killed_after == "the note":
        end(search, second, 0.6)
    again = session_of(root, study)()
    job = next_of(again)
    assert (job.trial, job.suffix) == (0, "repeat2" if killed_after == "the run" else "repeat3")
    end(again, job, 0.6)
    while (job := next_of(again)).trial == 0:
        end(again, job, 0.6)
    assert again._optuna.get_trials()[0].value == pytest.approx((0.3 + 0.6 + 0.6) / 3)
    assert again.remaining() == 1


def test_a_repeat_that_fails_fails_its_trial(root: Path) -> None:
    search = session_of(root, write(root, trials=2, repeats=3))()
    end(search, next_of(search), 0.3)
    end(search, next_of(search), outcome=Outcome.FAILED)
    assert search._optuna.get_trials()[0].state.name == "FAIL"
    assert next_of(search).trial == 1


def test_wilcoxon_prunes_between_repeats_once_it_can_be_sure(root: Path) -> None:
    heard: list[str] = []
    study = write(root, trials=3, repeats=6, pruner={"kind": "wilcoxon"})
    search = session_of(root, study, heard.append)()
    for trial, shift in ((0, 0.0), (1, -0.1)):
        for repeat in range(6 if trial == 0 else 4):
            job = next_of(search)
            assert (job.trial, job.suffix) == (trial, f"repeat{repeat + 1}" if repeat else "")
            assert not search.on_epoch(job, 1, {f"epoch/{METRIC}": 0.0}), "not by epochs"
            end(search, job, 0.5 + 0.01 * repeat + shift)
    assert heard == ["trial 1 is pruned after 4 of 6 repeats"]
    pruned = search._optuna.get_trials()[1]
    assert pruned.state.name == "PRUNED" and len(pruned.intermediate_values) == 4
    assert next_of(search).trial == 2


def test_the_audit_finds_who_was_pruned_wrongly(faked: Make) -> None:
    pruner = {"kind": "median", "warmup_epochs": 1, "startup_trials": 2, "audit": 1.0}
    study = faked(trials=6, base__training__epochs=4, pruner=pruner)
    fates = {"0003": Fate(right=0.9, early=0.1), "0004": Fate(right=0.2, early=0.1)}  # a slow starter, and a poor one
    engine = study.engine(lambda config, name: fates.get(name[:4], Fate(right=0.5)))
    finished = study.run()
    assert [trial.state.name for trial in told(study)] == ["COMPLETE"] * 3 + ["PRUNED"] * 2 + ["COMPLETE"]
    audits = [name for name in engine.started if "audit" in name]
    assert audits == ["0003-audit-audit1", "0004-audit-audit1"], "after everything that decides"
    assert engine.started[-2:] == audits
    assert finished.audit is not None
    assert (finished.audit.pruned, finished.audit.audited, finished.audit.wrong) == (2, 2, (3,))
    assert 0.0 < finished.audit.low < 0.05 and 0.95 < finished.audit.high < 1.0
    assert finished.audit.sentence.startswith(
        "2 trials were pruned and 2 of them trained to the end: 1 would have been confirmed (trial 3), so 1 to 99 % of all"
    )
    assert finished.verdict.winner != 3 and not any("confirm" in name and name.startswith("0003") for name in engine.started)
    runs = records(study)
    assert runs["tiny-0003-audit1"].role == "audit" and runs["tiny-0003-audit1"].complete
    assert runs["tiny-0003-audit1"].params == runs["tiny-0003"].params, "the very trial that was given up"
    stored = optuna.load_study(study_name="tiny", storage=study.paths.optuna_url).user_attrs["ocr_sweep.audit"]
    assert (stored["pruned"], stored["audited"], stored["wrong"]) == (2, 2, [3])
    tracker = Tracker.open(study.paths)
    summary = summary_of(tracker, "tiny")
    assert summary is not None
    assert f"The pruner: {finished.audit.sentence}." in tracker.client.get_run(summary).data.tags["mlflow.note.content"]
    study.run()
    assert len(engine.started) == len(set(engine.started)), "a finished study trains nothing more"


@pytest.mark.parametrize(("audit", "audited"), [(0.0, 0), (0.1, 1), (0.5, 2)])
def test_the_audit_is_a_share_and_at_least_one(audit: float, audited: int, faked: Make) -> None:
    pruner = {"kind": "median", "warmup_epochs": 1, "startup_trials": 1, "audit": audit}
    study = faked(trials=5, base__training__epochs=3, pruner=pruner)
    engine = study.engine(lambda config, name: Fate(right=0.1) if name[:4] != "0000" else Fate(right=0.9))
    finished = study.run()
    assert sum("audit" in name for name in engine.started) == audited
    assert (finished.audit is None) == (audited == 0)


def test_a_finished_study_of_a_former_version_is_not_audited_afterwards(faked: Make) -> None:
    pruner = {"kind": "median", "warmup_epochs": 1, "startup_trials": 1, "audit": 0.0}
    study = faked(trials=3, base__training__epochs=3, pruner=pruner)
    engine = study.engine(lambda config, name: Fate(right=0.9 if name[:4] == "0000" else 0.1))
    study.run()
    done = list(engine.started)
    write_study(study.root, trials=3, base__training__epochs=3, pruner={**pruner, "audit": 0.5})
    study.run()
    assert engine.started == done, "it prints its winner"
    write_study(study.root, trials=4, base__training__epochs=3, pruner={**pruner, "audit": 0.5})
    study.run()
    assert any("audit" in name for name in engine.started), "one that goes on is audited"


def test_a_second_number_decides_who_is_confirmed_and_what_is_cheaper(faked: Make) -> None:
    study = faked(trials=5, against="cost/parameters", confirm={"top": 2, "seeds": 1})
    points = {"0000": (0.6, 900), "0001": (0.6, 1500), "0002": (0.62, 1200), "0003": (0.3, 100), "0004": (0.5, 950)}
    engine = study.engine(lambda config, name: Fate(right=points[name[:4]][0], parameters=points[name[:4]][1]))
    finished = study.run()
    config = study.config()
    assert [record.trial for record in ranked_trials(config, finished.records, 0)] == [2, 0, 3], "1 and 4 are beaten in both"
    assert [name for name in engine.started if "confirm" in name] == [
        "0000-confirm-seed1",
        "0002-confirm-seed1",
        "0003-confirm-seed1",
    ]
    assert finished.verdict.winner == 0 and "the cheaper one, is kept" in finished.verdict.sentence
    rows = text_of(front_table(config, finished.records))
    assert [row[0] for row in rows] == ["3", "0", "2"], "cheapest first"
    assert all("over" in row for row in rows)


def test_a_grown_study_fences_off_what_other_code_trained(faked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from ocr_sweep.errors import ConflictError
    from ocr_sweep.sweep.search import identity, storage

    study = faked()
    best: Callable[[TrialConfig, str], Fate] = lambda config, name: Fate(right=0.9)  # noqa: E731
    study.engine(best)
    first = study.run()
    for module in (identity, storage):
        monkeypatch.setattr(module, "recipe_sha256", lambda: "f" * 64)
    engine = study.engine(lambda config, name: Fate(right=0.4))
    assert study.run().verdict == first.verdict and engine.started == [], "a finished study prints its winner"
    write_study(study.root, trials=4)
    with pytest.raises(ConflictError, match="was trained by recipe code"):
        study.run()
    assert engine.started == []
    second = study.run(grows=True)
    assert engine.started == [*(f"{trial:04d}-search" for trial in (3, 4, 5, 6)), "0003-confirm-seed1", "0004-confirm-seed1"]
    assert second.verdict.winner in (3, 4) and {record.trial for record in second.records} == {3, 4, 5, 6}
    assert second.verdict.interval.value < 0.5, "numbers of other code are neither best nor confirmed"
    fenced = {name for name, record in records(study).items() if record.fenced}
    assert fenced == {"tiny-0000", "tiny-0001", "tiny-0002", "tiny-0000-seed1", "tiny-0001-seed1"}
    assert records(study)["tiny-0000"].fenced.startswith("other recipe code (")
    monkeypatch.undo()


def test_an_unfinished_run_of_a_fenced_trial_ends_and_leaves_nothing_behind(faked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    from ocr_sweep.errors import StoppedError
    from ocr_sweep.sweep.search import identity, storage

    study = faked()
    engine = study.engine(lambda config, name: Fate())
    engine.at_wait = lambda: os.kill(os.getpid(), signal.SIGTERM) if len(engine.started) == 2 else None
    with pytest.raises(StoppedError):
        study.run()
    engine.at_wait = lambda: None
    assert records(study)["tiny-0001"].tags["ocr_sweep.outcome"] == "stopped"
    for module in (identity, storage):
        monkeypatch.setattr(module, "recipe_sha256", lambda: "f" * 64)
    study.run(grows=True)
    ended = records(study)["tiny-0001"]
    assert (ended.status, ended.tags["ocr_sweep.outcome"]) == ("FAILED", "failed")
    assert ended.tags["ocr_sweep.reason"].startswith("fenced: other recipe code (")
    assert "0001-search" not in engine.started[2:]
