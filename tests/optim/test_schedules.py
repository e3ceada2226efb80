from __future__ import annotations

import pytest

from ocr_sweep.optim import cosine, warmup_cosine


def test_golden_curve() -> None:
    came = [warmup_cosine(step, num_steps=10, warmup_steps=2) for step in range(11)]
    half = [1.0, 0.9619398, 0.8535534, 0.6913417, 0.5, 0.3086583, 0.1464466, 0.0380602, 0.0]  # (1 + cos(pi i / 8)) / 2
    assert came == pytest.approx([0.1, 0.55, *(0.01 + 0.99 * value for value in half)], abs=1e-6)


def test_sgd_declines_from_one_to_nothing() -> None:
    assert [cosine(step, num_steps=4) for step in range(5)] == pytest.approx([1.0, 0.8535534, 0.5, 0.1464466, 0.0])
    assert cosine(0, num_steps=0) == 1.0


@pytest.mark.parametrize(("num_steps", "warmup_steps"), [(1, 0), (1, 1), (7, 0), (100, 50), (100, 1)])
def test_the_factor_rises_then_falls_and_is_never_zero(num_steps: int, warmup_steps: int) -> None:
    came = [warmup_cosine(step, num_steps=num_steps, warmup_steps=warmup_steps) for step in range(num_steps)]
    rise, fall = came[:warmup_steps], came[warmup_steps:]
    assert all(0.01 <= factor <= 1 for factor in came)
    assert rise == sorted(rise) and fall == sorted(fall, reverse=True)
    assert not rise or rise[0] == pytest.approx(0.1)
    assert not fall or fall[0] == pytest.approx(1.0)
