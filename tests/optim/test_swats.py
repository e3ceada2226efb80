from __future__ import annotations

import numpy as np
import pytest

from ocr_sweep.optim import Swats


def test_under_a_constant_rate_it_is_the_papers_recursion() -> None:
    rng, swats, mean, count = np.random.default_rng(0), Swats(), 0.0, 0
    for _ in range(300):
        step, gradient = rng.normal(size=5), rng.normal(size=5)
        dot = float(step @ gradient)
        swats.add(float(step @ step), dot, adamw_lr=0.02)
        if dot < 0:
            mean = 0.999 * mean + 0.001 * float(step @ step) / -dot
            count += 1
    assert 100 < count < 200  # some of the steps did not descend
    assert swats.rate(adamw_lr=0.02, momentum=0.9) == pytest.approx(0.1 * mean / (1 - 0.999**count), rel=1e-9)


def test_a_rate_that_declined_gives_the_estimate_of_now() -> None:
    swats = Swats()
    for lr in np.geomspace(1.0, 0.01, 500):
        swats.add((lr * 3) ** 2, -(lr * 3) * 2.0, lr)  # steps of 3 lr against a gradient of 2
    assert swats.rate(adamw_lr=0.01, momentum=0.0) == pytest.approx(0.01 * 3 / 2)


@pytest.mark.parametrize("dot", [0.0, 1.0, float("nan")])
def test_a_step_that_does_not_descend_says_nothing(dot: float) -> None:
    swats = Swats()
    swats.add(1.0, dot, 0.1)
    assert swats.rate(adamw_lr=0.1, momentum=0.9) == 0.0
