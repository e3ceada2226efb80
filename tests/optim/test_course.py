"""The course of the optimiser: who steps at which rate, and when one hands over to the next."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ocr_sweep.config.optim import OptimConfig
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.optim import Course

BASE: dict[str, Any] = {
    "lr": 0.01,
    "weight_decay": 0.0,
    "warmup": 0.2,
    "clip_norm": 1e9,
    "handover_at": 0.6,
    "handover_patience": 0,
    "handover_rate": "matched",
    "handover_kappa": 1.0,
    "sgd_momentum": 0.9,
}
ADAMW = [0.1, 0.55, *(0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * i / 8)) for i in range(8))]  # of 10 steps, 2 of warm-up
FIXED = {"handover_rate": "fixed", "sgd_lr": 0.5}
NO_SCALER = torch.amp.GradScaler("cpu", enabled=False)


class Bowl(nn.Module):
    """A quadratic with a curvature of its own in each direction."""

    def __init__(self, curvatures: list[float], start: float = 100.0) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.full((len(curvatures),), start, dtype=torch.float64))
        self.curvatures = torch.tensor(curvatures, dtype=torch.float64)

    def loss(self) -> Tensor:
        return 0.5 * (self.curvatures * self.place.square()).sum()


def course_of(model: nn.Module, num_steps: int = 10, **changes: Any) -> Course:
    course = Course(OptimConfig.model_validate({**BASE, **changes}), model, num_steps=num_steps)
    for group in course.optimizer.param_groups:
        if "eps" in group:
            group["eps"] = 0.0
    return course


def walk(course: Course, model: Bowl, steps: range, scale: float = 1.0) -> list[tuple[str, float, float]]:
    """Phase, rate and length of each step."""
    walked = []
    for step in steps:
        if course.due(step, stale_epochs=0):
            course.hand_over(step)
        before = model.place.detach().clone()
        course.optimizer.zero_grad()
        (scale * model.loss()).backward()
        course.update(step, NO_SCALER)
        rate = float(course.optimizer.param_groups[0]["lr"])
        walked.append((course.phase, rate, float((model.place.detach() - before).norm())))
    return walked


@pytest.mark.parametrize(
    ("changes", "phases", "rates"),
    [
        ({"handover_at": 1.0}, ["adamw"] * 10, [0.01 * factor for factor in ADAMW]),
        (
            {"handover_to": "slower_adamw"},
            ["adamw"] * 6 + ["slower_adamw"] * 4,
            [0.01 * factor for factor in ADAMW[:6]] + [0.001 * factor for factor in ADAMW[6:]],
        ),
        (
            FIXED,
            ["adamw"] * 6 + ["sgd"] * 4,
            [0.01 * factor for factor in ADAMW[:6]] + [0.5 * 0.5 * (1 + np.cos(np.pi * i / 4)) for i in range(4)],
        ),
        (
            {"handover_rate": "inherit"},
            ["adamw"] * 6 + ["sgd"] * 4,
            [0.01 * factor for factor in ADAMW[:6]] + [0.01 * ADAMW[5] * 0.5 * (1 + np.cos(np.pi * i / 4)) for i in range(4)],
        ),
        (
            {"handover_at": 0.0, **FIXED},
            ["sgd"] * 10,
            [0.05, 0.275, *(0.5 * 0.5 * (1 + np.cos(np.pi * i / 8)) for i in range(8))],
        ),
    ],
    ids=["adamw", "slower_adamw", "fixed", "inherit", "sgd alone"],
)
def test_golden_curves(changes: dict[str, Any], phases: list[str], rates: list[float]) -> None:
    model = Bowl([1e-3, 1e-3])
    walked = walk(course_of(model, **changes), model, range(10))
    assert [phase for phase, _, _ in walked] == phases
    assert [rate for _, rate, _ in walked] == pytest.approx(rates)


def test_a_stop_keeps_the_curve_of_the_whole_and_ends_where_adamw_would_make_way() -> None:
    model = Bowl([1.0])
    course = course_of(model, handover_to="stop")
    assert [course.ends(step, stale_epochs=0) for step in (0, 5, 6, 7)] == [False, False, True, True]
    assert [course.rate(step) for step in range(6)] == pytest.approx([0.01 * factor for factor in ADAMW[:6]])
    late = course_of(model, handover_to="stop", handover_at=1.0, handover_patience=2)
    assert [late.ends(9, stale_epochs=stale) for stale in (0, 1, 2, 3)] == [False, False, True, True]
    assert not course_of(model).ends(6, stale_epochs=0) and course_of(model).due(6, stale_epochs=0)


@pytest.mark.parametrize("curvatures", [[1e-3], [1e3], [1.0, 1.0, 1.0], [0.1, 1.0, 10.0]])
@pytest.mark.parametrize("kappa", [1.0, 10.0])
def test_a_warm_matched_sgd_begins_with_kappa_steps_of_adamw(curvatures: list[float], kappa: float) -> None:
    """So far from the bottom that the gradient hardly changes, SGD's first step is as long as the settled ones."""
    model = Bowl(curvatures, start=1e6)
    course = course_of(model, 100, handover_momentum="warm", handover_kappa=kappa)
    walked = walk(course, model, range(61))
    assert [phase for phase, _, _ in walked[59:]] == ["adamw", "sgd"]
    assert walked[60][2] == pytest.approx(kappa * walked[59][2], rel=1e-3)


def test_a_cold_matched_sgd_begins_with_a_fifth_of_it() -> None:
    model = Bowl([1.0, 2.0], start=1e6)
    walked = walk(course_of(model, 100), model, range(61))
    assert walked[60][2] == pytest.approx((1 + 0.9) * (1 - 0.9) * walked[59][2], rel=1e-3)  # Nesterov from an empty buffer


@pytest.mark.parametrize(("how", "same"), [("matched", True), ("inherit", False)])
def test_a_louder_loss_changes_what_is_inherited_and_not_what_is_matched(how: str, same: bool) -> None:
    ends = []
    for scale in (1.0, 1000.0):
        model = Bowl([1e-4, 2e-4, 5e-4])
        course = course_of(model, 100, handover_rate=how)
        walk(course, model, range(60), scale)
        under_adamw = model.place.detach().clone()
        walk(course, model, range(60, 70), scale)
        ends.append((under_adamw, model.place.detach().clone()))
    torch.testing.assert_close(ends[0][0], ends[1][0], rtol=1e-9, atol=0)
    assert torch.allclose(ends[0][1], ends[1][1], rtol=1e-9, atol=0) is same


def test_swats_rate_on_a_quadratic_is_the_known_one() -> None:
    """AdamW walks lr in each of n directions, so p'p = n lr^2 and p'g = -lr sum |g|."""
    curvatures, start = [0.1, 1.0, 10.0], 1e6
    model = Bowl(curvatures, start)
    course = course_of(model, 1000)
    adamw_rate = course.rate(599)
    walk(course, model, range(601))
    expected = (1 - 0.9) * adamw_rate * 3 / (start * sum(curvatures))
    assert course.swats_lr == pytest.approx(expected, rel=1e-3)
    norm_match = (1 - 0.9) * adamw_rate * 3**0.5 / (start * float(np.linalg.norm(curvatures)))
    assert course.sgd_lr == pytest.approx(norm_match, rel=1e-3) and course.swats_lr != pytest.approx(norm_match, rel=0.1)


def test_sgd_alone_shrinks_the_weights_as_adamw_at_its_rate_would() -> None:
    model = nn.Linear(1, 1, bias=False)
    course = course_of(model, handover_at=0.0, weight_decay=0.5, **FIXED)
    assert course.optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.01 * 0.5 * (1 - 0.9) / 0.5)


@pytest.mark.parametrize(
    "changes", [{}, {"handover_to": "slower_adamw"}, {"handover_at": 0.0, **FIXED}, {"handover_momentum": "warm"}]
)
@pytest.mark.parametrize("at", [3, 6, 7])
def test_a_course_goes_on_where_it_was_put_away(changes: dict[str, Any], at: int) -> None:
    whole, torn = (Bowl([1e-3, 2.0]) for _ in range(2))
    expected = walk(course_of(whole, **changes), whole, range(10))
    first = course_of(torn, **changes)
    begun = walk(first, torn, range(at))
    second = course_of(torn, **changes)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert begun + walk(second, torn, range(at, 10)) == expected and torch.equal(whole.place, torn.place)


def test_steps_without_a_gradient_cannot_be_matched() -> None:
    model = Bowl([1.0], start=0.0)
    course = course_of(model)
    with pytest.raises(TrialFailedError, match=r"^no-gradient: the handover at step 6 found no step to match"):
        for group in course.optimizer.param_groups:
            group["eps"] = 1e-8
        walk(course, model, range(10))


@pytest.mark.parametrize("changes", [{"handover_at": 1.0}, {"handover_to": "stop"}, {"handover_to": "slower_adamw"}])
def test_nothing_is_measured_where_sgd_never_comes(changes: dict[str, Any]) -> None:
    assert course_of(Bowl([1.0]), **changes).recorder is None
