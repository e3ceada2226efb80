"""A study as a space around its base: which points it has, and which trial each of them is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from ocr_sweep.config.dotted import flatten
from ocr_sweep.config.load import load_study
from ocr_sweep.config.model import TimmConfig
from ocr_sweep.config.space import contains, is_active
from ocr_sweep.config.study import StudyConfig

Edit = Callable[..., None]
Load = Callable[[], StudyConfig]

BASE_POINT = {
    "augment.rendered.strength": 0.2,
    "loss.kind": "cross_entropy",
    "model": "unet",
    "model.decoder": True,
    "optim.lr": 0.003,
    "training.batch_size": 32,
}


def test_the_charset_is_read_into_the_study(load: Load) -> None:
    assert load().base.corpus.charset.chars == "一二三十"


def test_defaults_are_what_the_fields_say(load: Load) -> None:
    study = load()
    assert (study.workers, study.max_failures, study.arms) == (None, 5, None)
    assert study.base.optim.sgd_lr is None
    assert (study.sampler.startup_trials, study.pruner.warmup_epochs, study.pruner.startup_trials) == (5, 2, 4)


def test_trial_0_is_the_base_untouched(load: Load) -> None:
    study = load()
    assert study.base_params() == BASE_POINT
    assert study.trial_config(study.base_params()).model_dump() == study.base.model_dump()
    assert study.trial_config({}).model_dump() == study.base.model_dump()


def test_the_first_points_are_the_base_and_each_other_block(load: Load) -> None:
    study = load()
    other = {key: value for key, value in BASE_POINT.items() if key != "model.decoder"} | {"model": "resnet"}
    assert study.first_points() == [BASE_POINT, other]
    assert study.trial_config(other).model == TimmConfig(kind="timm", name="test_resnet", dropout=0.0)


def test_proposed_values_are_put_in_blocks_first(load: Load) -> None:
    study = load()
    params = {"model.decoder": False, "model": "unet", "optim.lr": 0.02, "training.batch_size": 8, "loss.kind": "bce"}
    came = flatten(study.trial_config(params).model_dump())
    expected = flatten(study.base.model_dump()) | {
        "model.decoder": False,
        "optim.lr": 0.02,
        "training.batch_size": 8,
        "loss.kind": "bce",
    }
    assert came == expected
    assert study.base.model_dump() == study.trial_config({}).model_dump()  # nothing was changed on the way


def test_a_proposed_value_is_checked_like_a_written_one(load: Load) -> None:
    with pytest.raises(ValidationError, match="batch_size"):
        load().trial_config({"training.batch_size": 1})


def test_what_others_depend_on_is_asked_first(load: Load) -> None:
    order = load().ordered_search()
    assert set(order) == set(BASE_POINT)
    assert order.index("model") < order.index("model.decoder") and order[-1] == "model.decoder"


def test_a_parameter_exists_only_under_its_choice(load: Load) -> None:
    space = load().search["model.decoder"]
    assert is_active(space, {"model": "unet"})
    assert not is_active(space, {"model": "resnet"}) and not is_active(space, {})


def test_a_block_that_leaves_a_null_out_is_the_base_that_has_it(sweeps: Path, edit: Edit, load: Load) -> None:
    base = (sweeps / "bases" / "unet.yaml").read_text()
    block = base.split("optim:\n")[1].split("training:")[0].replace("\n  ", "\n").removeprefix("  ")
    (sweeps / "matched.yaml").write_text(block)
    (sweeps / "fixed.yaml").write_text(block.replace("matched", "fixed") + "sgd_lr: 0.1\n")
    edit(
        "optim.lr: {type: float, low: 1e-4, high: 1e-1, log: true}",
        "optim: {type: categorical, choices: [matched.yaml, fixed.yaml]}",
    )
    assert load().base_params()["optim"] == "matched"
    edit("sgd_momentum: 0.9", "sgd_momentum: 0.9\n  sgd_lr: null", "bases/unet.yaml")
    study = load()
    assert study.base_params()["optim"] == "matched"
    assert study.trial_config({"optim": "fixed"}).optim.sgd_lr == 0.1


def test_a_null_choice_goes_by_the_name_null(edit: Edit, load: Load) -> None:
    edit(
        "loss.kind: {type: categorical, choices: [cross_entropy, bce]}",
        "training.images_per_epoch: {type: categorical, choices: [null, 64]}",
    )
    study = load()
    assert study.base_params()["training.images_per_epoch"] == "null"
    assert study.trial_config({"training.images_per_epoch": "null"}).training.images_per_epoch is None
    assert study.trial_config({"training.images_per_epoch": 64}).training.images_per_epoch == 64


def test_an_empty_search_is_a_study_of_the_base(sweeps: Path, edit: Edit) -> None:
    text = (sweeps / "tiny_aug.yaml").read_text()
    (sweeps / "tiny_aug.yaml").write_text(text[: text.index("search:")] + "search: {}\n")
    study = load_study(sweeps / "tiny_aug.yaml", sweeps)
    assert study.base_params() == {} and study.first_points() == [{}]


def test_budgets_and_words_are_no_part_of_a_study_s_identity(edit: Edit, load: Load) -> None:
    before = load().identity()
    edit("trials: 4", "trials: 40")
    edit("Does it help?", "Does it really help?")
    edit("top: 1", "top: 3")
    assert load().identity() == before
    edit("high: 64", "high: 63")
    assert load().identity() != before


def test_a_study_cannot_be_changed(load: Load) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().trials = 5  # type: ignore[misc]


def test_a_range_holds_its_ends_and_numbers_only(load: Load) -> None:
    space = load().search["training.batch_size"]
    assert [contains(space, value) for value in (8, 64, 7, 65, True, "9", None, float("nan"), 10**300)] == [True] * 2 + [
        False
    ] * 7
