"""What a verdict is worth, on the simulated sweeps of `benchmarks/confirmation.py`: few of them, and bounds that luck meets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from confirmation import Kind, table

SWEEPS = 60


@pytest.fixture(scope="module")
def alike() -> dict[str, float]:
    return table(Kind("alike", 0.0), SWEEPS)


@pytest.fixture(scope="module")
def apart() -> dict[str, float]:
    return table(Kind("apart", 0.015), SWEEPS)


def test_the_reported_intervals_cover_the_truth_and_those_of_the_largest_number_do_not(
    alike: dict[str, float], apart: dict[str, float]
) -> None:
    for found in (alike, apart):
        assert found["covered"] >= 0.9 and found["difference_covered"] >= 0.9
        assert found["argmax_covered"] < 0.85, "the test would notice an interval that forgets choice and seeds"


def test_of_configurations_that_are_all_alike_none_is_called_clearly_better(alike: dict[str, float]) -> None:
    assert alike["clear"] <= 0.07
    assert alike["argmax_clear"] > 0.2, "as it is where choice and seeds are forgotten"


def test_what_is_chosen_is_nearer_to_the_best_than_the_largest_number_of_a_longer_search(apart: dict[str, float]) -> None:
    assert apart["regret"] < apart["argmax_regret"]


def test_a_race_takes_fewer_trainings_than_the_full_grid(alike: dict[str, float], apart: dict[str, float]) -> None:
    assert alike["saved"] > 0.1 and apart["saved"] > 0.1


def test_a_rival_that_is_no_better_is_rarely_called_clearly_better_after_two_seeds() -> None:
    found = table(Kind("alike, one rival", 0.0, trials=8, top=1, seeds=2), 2 * SWEEPS)
    assert found["clear"] <= 0.08 < found["argmax_clear"]


def test_where_each_round_judges_a_fold_of_its_own_images_are_not_counted_twice(apart: dict[str, float]) -> None:
    found = table(Kind("apart, five folds", 0.015, folds=True), SWEEPS)
    assert found["covered"] >= 0.9 and found["difference_covered"] >= 0.9
    assert found["width"] < 1.5 * apart["width"], "the images are the same in all, and each training saw a fifth of them"
