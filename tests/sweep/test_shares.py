"""Every arm gets at least half of an equal share of the budget, whatever the sampler prefers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from optuna.samplers import BaseSampler, PartialFixedSampler, RandomSampler
from searching import drive, session_of, with_blocks, write

from ocr_sweep.config.sampler import SamplerConfig
from ocr_sweep.sweep.search import proposals
from ocr_sweep.sweep.search.shares import arm_to_serve


@pytest.mark.parametrize("num_arms", [2, 3, 5, 8, 12])
def test_no_preference_takes_an_arm_its_share(num_arms: int) -> None:
    arms = list(range(num_arms))
    for budget in (num_arms, num_arms + 1, 2 * num_arms, 2 * num_arms + 1, 5 * num_arms, 97, 300):
        started = dict.fromkeys(arms, 1)  # each is tried first
        freely = 0
        for total in range(num_arms, budget):
            assert all(started[arm] >= total / (2 * num_arms) for arm in arms), (total, started)
            served = arm_to_serve(arms, started, budget)
            freely += served is None
            started[0 if served is None else served] += 1  # a sampler that only likes the first
        assert all(started[arm] >= budget / (2 * num_arms) for arm in arms), (budget, started)
        assert 2 * freely >= budget - 2 * num_arms, "and half of the budget is the sampler's"


def test_before_each_arm_was_tried_the_first_points_decide() -> None:
    assert arm_to_serve(["a", "b"], {}, 9) is None
    assert arm_to_serve(["a", "b"], {"a": 1}, 9) is None


def test_an_arm_that_the_sampler_never_wants_is_tried_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "make_sampler", _only_four)
    search = {
        "model.base_channels": {"type": "categorical", "choices": [4, 5, 6, 7, 8]},
        "loss.label_smoothing": {"type": "float", "low": 0.0, "high": 0.2},
    }
    found = {}
    for name, arms in (("named", "model.base_channels"), ("unnamed", None)):
        place = root / name
        (place / "sweeps").mkdir(parents=True)
        study = write(place, trials=24, search=search, arms=arms)
        jobs = drive(session_of(place, study), slots=2, sessions=3)
        found[name] = Counter(job.params["model.base_channels"] for job in jobs)
    assert found["unnamed"] == {4: 24}
    assert min(found["named"].values()) >= 24 / (2 * 5) and len(found["named"]) == 5, found
    assert found["named"][4] >= 12, "half of the budget is the sampler's"


def test_without_arms_the_networks_share(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        proposals, "make_sampler", lambda config, trial: PartialFixedSampler({"model": "small"}, RandomSampler(trial))
    )
    jobs = drive(session_of(root, with_blocks(root).model_copy(update={"trials": 18})), slots=2)
    assert Counter(job.params["model"] for job in jobs) == {"small": 12, "middle": 3, "wide": 3}


def test_where_every_arm_is_out_the_sampler_may_choose() -> None:
    assert arm_to_serve([], {"a": 3}, 9) is None


def _only_four(config: SamplerConfig, trial: int) -> BaseSampler:
    return PartialFixedSampler({"model.base_channels": 4}, RandomSampler(seed=trial))
