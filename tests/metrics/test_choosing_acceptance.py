from __future__ import annotations

import numpy as np
import pytest

from ocr_sweep.metrics import choose_acceptance


def test_the_lowest_threshold_with_the_wanted_precision_is_chosen() -> None:
    confidence = np.linspace(1, 0.01, 100)
    correct = np.ones(100, bool)
    correct[[60, 62, 70, 75, 80, 90]] = False
    chosen = choose_acceptance(confidence, correct, wanted=0.97)
    # 63 answers with two mistakes have 96.8 %, but 70 with two have 97.1 %, and no longer run reaches 97 % again
    assert chosen.reached and chosen.accepted == 0.7 and chosen.precision == pytest.approx(68 / 70)
    assert confidence[70] < chosen.value < confidence[69]


def test_equal_confidences_are_accepted_together() -> None:
    confidence = np.repeat([0.9, 0.5], 50)
    correct = np.ones(100, bool)
    correct[50] = False
    assert choose_acceptance(confidence, correct, wanted=0.985).accepted == 1.0
    correct[51] = False
    assert choose_acceptance(confidence, correct, wanted=0.985).accepted == 0.5


def test_what_cannot_be_reached_is_said_and_the_most_precise_is_taken() -> None:
    rng = np.random.default_rng(0)
    confidence = np.sort(rng.random(400))[::-1]
    correct = np.zeros(400, bool)
    correct[:30:2] = True  # half of the first thirty
    chosen = choose_acceptance(confidence, correct)
    assert not chosen.reached and chosen.wanted == 0.99
    counts = np.arange(1, 401)
    precision = np.cumsum(correct) / counts
    assert chosen.precision == precision[counts >= 20].max()
    assert (confidence >= chosen.value).mean() == chosen.accepted


def test_few_lucky_images_prove_nothing() -> None:
    confidence = np.linspace(1, 0.5, 100)
    correct = np.ones(100, bool)
    correct[10:] = False
    assert choose_acceptance(confidence, correct).accepted >= 0.2, "ten right answers are no 99 %"


@pytest.mark.parametrize("count", [1, 2, 19])
def test_a_tiny_set_is_taken_as_a_whole(count: int) -> None:
    chosen = choose_acceptance(np.linspace(0.9, 0.3, count), np.ones(count, bool))
    assert chosen.reached and chosen.accepted == 1.0 and chosen.as_dict()["value"] < 0.9


def test_the_threshold_parts_what_it_was_chosen_on() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(1000).astype(np.float32)
    correct = rng.random(1000) < confidence
    chosen = choose_acceptance(confidence, correct, wanted=0.9)
    given = confidence >= chosen.value
    assert given.mean() == pytest.approx(chosen.accepted) and correct[given].mean() == pytest.approx(chosen.precision)
    assert chosen.precision >= 0.9
