"""The one run of a study that is no training: what it says, and that nobody takes it for one."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from fake_engine import Fate
from PIL import Image
from tiny_study import here, refused, write_study

from ocr_sweep.errors import TooManyFailuresError
from ocr_sweep.metrics import Interval
from ocr_sweep.sweep.confirmation.judge import Verdict
from ocr_sweep.sweep.summary import summary
from ocr_sweep.sweep.summary.data import Dimension, Point, Trials, short_names
from ocr_sweep.sweep.summary.parallel import parallel
from ocr_sweep.sweep.summary.pictures import history, importances, slices
from ocr_sweep.sweep.summary.style import CannotDrawError, draw
from ocr_sweep.tracking.tracker import Tracker

Make = Callable[..., Any]
VERDICT = Verdict("m", 2, "r", Interval(0.9, 0.8, 0.95), Interval(0.5, 0.4, 0.6), None, True, "trial 2 beats the base", True)
LR = Dimension("optim.lr", "lr", (), log=True)
MODEL = Dimension("model", "model", ("unet", "膠囊網路", "a very long name …"))
DROPOUT = Dimension("model.dropout", "dropout", ())


def summaries(study: Any) -> list[Any]:
    client = Tracker.open(study.paths).client
    experiment = client.get_experiment_by_name("tiny")
    return list(client.search_runs([experiment.experiment_id], "tags.`ocr_sweep.role` = 'summary'"))


def pictures(study: Any) -> set[str]:
    (run,) = summaries(study)
    return {file.path for file in Tracker.open(study.paths).client.list_artifacts(run.info.run_id)}


def points(*states: str) -> tuple[Point, ...]:
    drawn = random.Random(0)
    found = []
    for number, state in enumerate(states):
        model = MODEL.choices[number % 3]
        params: dict[str, object] = {"optim.lr": 10 ** drawn.uniform(-4, -1), "model": model}
        if model == "unet":
            params["model.dropout"] = drawn.random()
        value = None if state == "failed" else drawn.uniform(0.3, 0.9)
        found.append(Point(number, state, params, value, value and value - 0.1, value and value + 0.1))
    return tuple(found)


def trials(*states: str, dimensions: tuple[Dimension, ...] = (MODEL, LR, DROPOUT)) -> Trials:
    return Trials("tiny", "val/accuracy_macro", True, points(*states), dimensions)


def inked(png: bytes) -> float:
    """The share of pixels that are not white."""
    image = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    assert image.shape[0] > 200 and image.shape[1] > 400
    return float((image < 250).mean())


def test_a_study_has_one_summary_however_often_it_ends(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(right=0.4 if "0001" in name else 0.2))
    end = study.run()
    (run,) = summaries(study)
    assert run.info.run_name == "tiny-summary" and run.info.status == "FINISHED"
    assert run.data.tags["ocr_sweep.verdict"] == end.verdict.sentence and run.data.tags["ocr_sweep.winner"] == end.verdict.run_id
    assert run.data.metrics["winner/value"] == end.verdict.interval.value and run.data.metrics["trainings/complete"] == 5
    note = run.data.tags["mlflow.note.content"]
    assert study_question(study) in note and "(simulated)" in note and "`importance.png`" not in note  # drawing is faked here
    study.run()
    (again,) = summaries(study)
    assert again.info.end_time == run.info.end_time, "a summary that would say the same is not made again"
    write_study(study.root, trials=4)
    study.run()
    (more,) = summaries(study)
    assert more.info.run_id == run.info.run_id and more.info.end_time > run.info.end_time
    assert more.data.metrics["trainings/complete"] == 6


def study_question(study: Any) -> str:
    return "Does smoothing help the tiny network?"


def test_a_summary_is_replaced_whole(faked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(right=0.9 if "0001" in name else 0.2))
    study.run()
    (run,) = summaries(study)
    assert "slices.png" in pictures(study) and not math.isnan(run.data.metrics["lead/value"])

    def nothing(picture: Any) -> bytes:
        raise CannotDrawError("the test says so")

    monkeypatch.setattr(summary, "draw", nothing)
    write_study(study.root, trials=4)
    study.engine(lambda config, name: Fate(fails="nan-loss"))
    study.run()
    (run,) = summaries(study)
    assert pictures(study) == set(), "pictures of the former one are gone"
    assert run.data.metrics["trainings/failed"] == 1
    assert run.data.tags["mlflow.note.content"].count("is left out: the test says so") == 4


def test_nobody_takes_a_summary_for_a_training(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(right=0.9 if "0001" in name else 0.2))
    study.run()
    (run,) = summaries(study)
    run_id = run.info.run_id
    assert len(Tracker.open(study.paths).runs()) == 5 and run_id not in {r.run_id for r in Tracker.open(study.paths).runs("tiny")}
    assert not Tracker.open(study.paths).run(run_id).complete
    assert not {"val/accuracy_macro", "test/accuracy"} & set(run.data.metrics), "no table ranks it"
    assert run_id not in here(study.root, "runs", "list").out
    refused(here(study.root, "runs", "reproduce", run_id), 3, "tiny-summary", "a summary of its study")
    refused(here(study.root, "models", "promote", "--run", run_id), 3, "tiny-summary")
    refused(here(study.root, "runs", "compare", run_id), 2, "tiny-summary")


def test_a_study_without_a_winner_is_summarised_too(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(fails="nan-loss"))
    with pytest.raises(TooManyFailuresError):
        study.run()
    (run,) = summaries(study)
    assert "none of its 3 trials" in run.data.tags["ocr_sweep.verdict"] and run.data.metrics["trainings/failed"] == 3


def test_a_bug_in_a_picture_costs_no_study_its_winner(faked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    study = faked()
    study.engine(lambda config, name: Fate())
    monkeypatch.setattr(summary, "draw", lambda picture: [][0])
    assert study.run().verdict.winner == 0
    assert "a bug of ocr-sweep" in summaries(study)[0].data.tags["mlflow.note.content"]


def test_a_real_study_is_drawn(faked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    study = faked()
    monkeypatch.setattr(summary, "draw", draw)
    study.engine(lambda config, name: Fate(right=0.9 if "0001" in name else 0.2))
    study.run()
    assert pictures(study) == {"history.png", "parallel.png", "slices.png"}
    note = summaries(study)[0].data.tags["mlflow.note.content"]
    assert "`importance.png` is left out: PED-ANOVA needs 20 complete trials, and there are 3." in note


@pytest.mark.parametrize(
    "states", [("complete",) * 2, ("complete", "pruned", "failed") * 5, ("complete",) * 90], ids=["two", "mixed", "many"]
)
@pytest.mark.parametrize("dimensions", [(MODEL,), (LR,), (MODEL, LR, DROPOUT)], ids=["choices", "numbers", "conditional"])
def test_every_kind_of_search_is_drawn(states: tuple[str, ...], dimensions: tuple[Dimension, ...]) -> None:
    found = trials(*states, dimensions=dimensions)
    for picture in (lambda: history(found, VERDICT), lambda: parallel(found, 0), lambda: slices(found, None)):
        assert inked(draw(picture)) > 0.005


def test_a_search_whose_trials_are_all_alike_is_drawn() -> None:
    alike = tuple(Point(number, "complete", {"optim.lr": 0.1}, 0.5, 0.5, 0.5) for number in range(3))
    found = Trials("tiny", "m", False, alike, (LR,))
    for picture in (lambda: history(found, None), lambda: parallel(found, None), lambda: slices(found, 1)):
        assert inked(draw(picture)) > 0.005


def test_what_would_show_nothing_is_not_drawn() -> None:
    with pytest.raises(CannotDrawError, match="no trial ended with a result"):
        history(trials("failed", "failed"), None)
    one = trials("complete")
    assert inked(draw(lambda: history(one, None))) > 0.005
    for picture in (parallel, slices):
        with pytest.raises(CannotDrawError, match="two complete trials, and there is one"):
            picture(one, None)
        with pytest.raises(CannotDrawError, match="nothing is searched"):
            picture(trials("complete", "complete", dimensions=()), None)


def test_importance_finds_a_planted_value_and_says_when_there_is_too_little() -> None:
    drawn = random.Random(1)
    study = optuna.create_study(direction="maximize")
    spaces = {name: optuna.distributions.FloatDistribution(0, 1) for name in ("planted", "idle")}
    found = []
    for number in range(40):
        params = {name: drawn.random() for name in spaces}
        value = 1 - (params["planted"] - 0.3) ** 2
        study.add_trial(optuna.trial.create_trial(value=value, params=params, distributions=spaces))
        found.append(Point(number, "complete", params, value))
    dimensions = tuple(Dimension(name, name, ()) for name in spaces)
    shares = importances(Trials("s", "m", False, tuple(found), dimensions), study)
    assert shares["planted"] > 0.8 and math.isclose(sum(shares.values()), 1.0)
    with pytest.raises(CannotDrawError, match="PED-ANOVA needs 20 complete trials, and there are 19"):
        importances(Trials("s", "m", False, tuple(found[:19]), dimensions), study)


def test_names_are_short_where_that_tells_them_apart() -> None:
    names = short_names(["model", "optim.lr", "classifier.lr", "augment.rendered.strength", "loss.label_smoothing"])
    assert list(names.values()) == ["model", "optim lr", "classifier lr", "rendered strength", "label smoothing"]


def test_pictures_have_a_font_for_chinese(tmp_path: Path) -> None:
    import matplotlib.font_manager as fonts

    draw(lambda: history(trials("complete"), None))
    assert "IPAexGothic" in {font.name for font in fonts.fontManager.ttflist}
