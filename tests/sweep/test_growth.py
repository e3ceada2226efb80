"""A live study grows: what is comparable comes along, what is not is kept on record and out of everything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from searching import end, next_of, session_of, smooth, write
from tiny_study import here, paths_of, refused

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.errors import ConflictError
from ocr_sweep.sweep.search import growth, identity, storage
from ocr_sweep.sweep.search.replay import Replayed, replay
from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.search.storage import find_verdict, open_study

SMOOTHING = {"type": "float", "low": 0.0, "high": 0.2}
SAMPLING = {"type": "categorical", "choices": ["instance", "square_root"]}
SEARCH: dict[str, Any] = {"loss.label_smoothing": SMOOTHING, "training.sampling": SAMPLING}
GROWN: dict[str, Any] = {
    "loss.label_smoothing": {**SMOOTHING, "high": 0.3},
    "training.sampling": {"type": "categorical", "choices": ["class_balanced", "instance", "square_root"]},
    "optim.warmup": {"type": "float", "low": 0.0, "high": 0.2},
}


def grown_session(
    root: Path, study: StudyConfig, corpus: str = "corpus", say: Callable[[str], None] = lambda sentence: None
) -> Search:
    paths = paths_of(root)
    return Search(study, open_study(study, paths, corpus, grows=True, say=say), paths.optuna_url, lambda sentence: None)


def search_some(search: Search, count: int) -> None:
    for _ in range(count):
        job = next_of(search)
        end(search, job, smooth(job)[1])


def numbers(search: Search, **attrs: object) -> list[int]:
    """The comparable trials whose user attributes are these."""
    found = search._journal.comparable
    return [trial.number for trial in found if attrs.items() <= {k.split(".")[1]: v for k, v in trial.user_attrs.items()}.items()]


def other_code(monkeypatch: pytest.MonkeyPatch, code: str = "f" * 64) -> None:
    for module in (identity, storage):
        monkeypatch.setattr(module, "recipe_sha256", lambda: code)


def test_a_study_that_would_only_grow_says_so_and_refuses(root: Path) -> None:
    search_some(session_of(root, write(root, trials=4, search=SEARCH))(), 3)
    with pytest.raises(ConflictError) as caught:
        session_of(root, write(root, trials=8, search=GROWN))()
    for words in (
        "study 'tiny' exists and must keep its meaning, but these differ: ",
        "search.loss.label_smoothing.high: 0.2 -> 0.3",
        "Give the file another `name:` to ask a new question, or put it back as it was",
        "--grow (make: GROW=1) goes on with all of its 3 trials, because these only grow it",
    ):
        assert words in str(caught.value), words
    assert len(optuna.get_all_study_names(paths_of(root).optuna_url)) == 1, "nothing was written"


def test_a_refusal_says_what_would_be_lost(root: Path) -> None:
    search_some(session_of(root, write(root, trials=9, search=SEARCH))(), 6)
    narrowed = {**SEARCH, "loss.label_smoothing": {**SMOOTHING, "high": 0.1}}
    with pytest.raises(ConflictError, match=r"goes on with \d of its 6 trials and sets aside 1 for loss.label_smoothing 0\.1"):
        session_of(root, write(root, search=narrowed))()
    with pytest.raises(ConflictError, match=r"goes on with 0 of its 6 trials and sets aside 6 for another metric: val/accuracy"):
        session_of(root, write(root, search=SEARCH, metric="val/accuracy"))()
    with pytest.raises(ConflictError, match=r"6 for training\.epochs 2 is not the base's 3"):
        session_of(root, write(root, search=SEARCH, base__training__epochs=3))()


def test_all_trials_of_a_grown_study_come_along(root: Path) -> None:
    search = session_of(root, write(root, trials=9, search=SEARCH))()
    search_some(search, 4)
    cut_short = next_of(search)
    before = search._optuna.get_trials()
    heard: list[str] = []
    study = write(root, trials=9, search=GROWN)
    again = grown_session(root, study, say=heard.append)
    assert heard == ["study 'tiny' goes on as its version 2, with 5 trials of before"]
    carried = again._optuna.get_trials()
    assert [(trial.number, trial.state, trial.value) for trial in carried] == [(t.number, t.state, t.value) for t in before]
    assert all(was.user_attrs.items() <= now.user_attrs.items() for was, now in zip(before, carried, strict=True))
    assert {trial.user_attrs["ocr_sweep.origin"] for trial in carried} == {1}
    assert all(trial.params == {**was.params, "optim.warmup": 0.1} for was, trial in zip(before, carried, strict=True))
    assert again.remaining() == 5
    job = next_of(again)
    assert (job.trial, job.config, job.folder) == (cut_short.trial, cut_short.config, cut_short.folder), "it goes on"
    end(again, job)
    search_some(again, 4)
    assert again.next_job() is None
    assert len({tuple(trial.params.values()) for trial in again._optuna.get_trials()}) == 9
    assert session_of(root, study)().next_job() is None, "the grown study is the study now"
    assert [trial.value for trial in optuna.load_study(study_name="tiny", storage=paths_of(root).optuna_url).trials] == [
        trial.value for trial in before
    ], "the former version is as it was"
    assert replay(study, paths_of(root)) == Replayed(proposals=9, unknown=0, versions=2)


def test_a_new_arm_and_a_new_base_are_tried_next(root: Path) -> None:
    settings = {"trials": 9, "arms": "training.sampling"}
    search_some(session_of(root, write(root, search=SEARCH, **settings))(), 3)
    study = write(root, search=GROWN, base__loss__label_smoothing=0.25, **settings)
    search = grown_session(root, study)
    first, second = next_of(search), next_of(search)
    assert first.config == study.base, "the trials of before are comparable, and none of them is the base any more"
    assert [second.params["training.sampling"], next_of(search).params["training.sampling"]] == ["class_balanced", "square_root"]
    assert second.params["loss.label_smoothing"] == 0.25, "at the new base"


def test_four_versions_keep_every_comparable_trial_and_exclude_every_other(root: Path) -> None:
    first = session_of(root, write(root, trials=4, search=SEARCH))()
    search_some(first, 4)
    grown = write(root, trials=7, search=GROWN)
    second = grown_session(root, grown)
    assert numbers(second, origin=1) == [0, 1, 2, 3] and not second.fenced()
    search_some(second, 3)
    third = grown_session(root, grown, "another corpus")
    assert numbers(third) == [], "another corpus"
    assert third.fenced() == dict.fromkeys(range(7), "another corpus")
    assert third.remaining() == 7, "they cost nothing of the budget"
    job = next_of(third)
    assert (job.trial, job.config) == (7, grown.base), "and the base is tried anew"
    end(third, job, 0.99)
    search_some(third, 2)
    running = next_of(third)
    wider = {**GROWN, "optim.warmup": {"type": "float", "low": 0.0, "high": 0.5}}
    study = write(root, trials=10, search=wider)
    fourth = grown_session(root, study)
    assert numbers(fourth) == list(range(7)), "on their corpus again"
    assert fourth.fenced() == dict.fromkeys(range(7, 11), "another corpus")
    states = [trial.state.name for trial in fourth._optuna.get_trials()]
    assert states == ["COMPLETE"] * 7 + ["FAIL"] * 4, "an unfinished one of another corpus does not go on"
    assert fourth.remaining() == 3
    shown = fourth._journal.seen(10).trials
    assert running.trial == 10 and all(trial.number < 7 for trial in shown) and max(trial.value or 0.0 for trial in shown) < 0.99
    search_some(fourth, 3)
    assert fourth.next_job() is None
    assert numbers(fourth) == [*range(7), 11, 12, 13]
    assert replay(study, paths_of(root)) == Replayed(proposals=14, unknown=0, versions=4)
    done = here(root, "sweep", "history", "tiny")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.out.splitlines() if line.startswith("│")]
    told = [[version, proposed, kept, aside] for version, _, proposed, kept, aside, _ in rows if version]
    assert told == [
        ["1", "4", "0", ""],
        ["2", "3", "4", ""],
        ["3", "4", "0", "7: another corpus"],
        ["4", "3", "7", "4: another corpus"],
    ]
    assert "search.optim.warmup.high: 0.2 -> 0.5" in done.out


def test_a_version_whose_making_was_cut_short_is_made_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write(root, trials=6, search=SEARCH)
    search_some(session_of(root, study)(), 3)
    grown = write(root, trials=6, search=GROWN)
    with monkeypatch.context() as patch:
        patch.setattr(growth, "settle", _killed)
        with pytest.raises(KeyboardInterrupt):
            grown_session(root, grown)
    names = optuna.get_all_study_names(paths_of(root).optuna_url)
    assert sorted(names) == ["tiny", "tiny@2"]
    with pytest.raises(ConflictError, match="goes on with all of its 3 trials"):
        session_of(root, grown)()
    assert session_of(root, write(root, trials=6, search=SEARCH))().remaining() == 3, "the former one is the study"
    assert numbers(grown_session(root, write(root, trials=6, search=GROWN))) == [0, 1, 2]


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_other_recipe_code_is_refused_where_something_is_left_to_train(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write(root, trials=4, search=SEARCH)
    search = session_of(root, study)()
    search_some(search, 2)
    unfinished = next_of(search)
    with monkeypatch.context() as patch:
        other_code(patch)
        again = session_of(root, study)()
        with pytest.raises(
            ConflictError, match=r"study 'tiny' was trained by recipe code .{12} and must go on with it"
        ) as caught:
            again.next_job()
        assert "Go back to that code" in str(caught.value) and "--grow (make: GROW=1)" in str(caught.value)
        anew = grown_session(root, study)
        assert len(anew.fenced()) == 3 and all(why.startswith("other recipe code (") for why in anew.fenced().values())
        job = next_of(anew)
        assert (job.trial, job.config) == (3, study.base)
    back = grown_session(root, study)
    assert set(back.fenced()) == {3}, "back at the former code, the former trials are the study"
    assert next_of(back).trial == unfinished.trial
    end(back, unfinished)
    search_some(back, 1)
    with monkeypatch.context() as patch:
        other_code(patch)
        assert session_of(root, study)().next_job() is None, "a study with nothing left to train needs no code"


def test_a_study_of_a_former_version_takes_the_code_that_it_meets(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write(root, trials=4, search=SEARCH)
    first = session_of(root, study)()
    search_some(first, 1)
    written = json.loads(first._optuna.user_attrs["ocr_sweep.identity"])
    for key in ("code", "against", "repeats", "arms"):
        del written[key]
    del written["sampler"]["population"]
    for space in written["search"].values():
        space.pop("step", None)
    first._optuna.set_user_attr("ocr_sweep.identity", json.dumps(written))
    search_some(session_of(root, study)(), 1)
    other_code(monkeypatch)
    with pytest.raises(ConflictError, match="was trained by recipe code"):
        session_of(root, study)().next_job()


def test_the_verdict_is_that_of_the_latest_version(root: Path) -> None:
    first = session_of(root, write(root, trials=2, search=SEARCH))()
    first._optuna.set_user_attr(storage.VERDICT, {"run_id": "of the first"})
    assert find_verdict("tiny", paths_of(root)) == {"run_id": "of the first"}
    second = grown_session(root, write(root, trials=2, search=GROWN))
    assert find_verdict("tiny", paths_of(root)) is None
    second._optuna.set_user_attr(storage.VERDICT, {"run_id": "of the second"})
    assert find_verdict("tiny", paths_of(root)) == {"run_id": "of the second"}


def test_history_needs_a_study_that_ran(root: Path) -> None:
    write(root)
    refused(here(root, "sweep", "history", "tiny"), 2, "study 'tiny' never ran; run it first: make sweep STUDY=tiny")
