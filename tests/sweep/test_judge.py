"""Who is trained again, and who wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_engine import Fate
from tiny_study import config_of, draw_book

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.report.collect import compare_study
from ocr_sweep.sweep.confirmation.confirm import Confirmation
from ocr_sweep.tracking.record import ARM, ARMS
from ocr_sweep.tracking.tracker import Tracker

Make = Callable[..., Any]


def rights(cost: dict[str, int] | None = None, **by_trial: float) -> Callable[[object, str], Fate]:
    """Shares read right by trial (t0, t1, ...), and parameters likewise."""
    return lambda config, name: Fate(right=by_trial[f"t{int(name[:4])}"], parameters=(cost or {}).get(f"t{int(name[:4])}", 1000))


def test_a_clear_winner_beats_the_base(faked: Make) -> None:
    study = faked()
    study.engine(rights(t0=0.2, t1=0.9, t2=0.4))
    verdict = study.run().verdict
    assert (verdict.winner, verdict.clear) == (1, True)
    assert verdict.difference.low > 0 and verdict.difference.value == pytest.approx(0.7, abs=0.05)
    assert verdict.sentence.startswith("trial 1 beats the base clearly: +")
    assert verdict.simulated


@pytest.mark.parametrize(
    ("cost", "winner", "why"), [({}, 1, "which leads"), ({"t0": 500}, 0, "the cheaper one"), ({"t1": 500}, 1, "which leads")]
)
def test_of_indistinguishable_ones_the_cheaper_is_kept_and_at_one_cost_the_leader(
    faked: Make, cost: dict[str, int], winner: int, why: str
) -> None:
    study = faked()
    study.engine(rights(cost, t0=0.5, t1=0.54, t2=0.1))
    verdict = study.run().verdict
    assert (verdict.winner, verdict.clear) == (winner, False)
    assert verdict.difference.low <= 0 < verdict.difference.value
    assert "indistinguishable" in verdict.sentence and f"trial {winner}, {why}, is kept" in verdict.sentence


def test_a_much_better_rival_is_kept_before_a_cheaper_base_though_nothing_is_clear(faked: Make) -> None:
    study = faked()
    study.engine(rights({"t0": 500}, t0=0.5, t1=0.62, t2=0.1))
    verdict = study.run().verdict
    assert (verdict.winner, verdict.clear) == (1, False), "more than one standard error ahead"


def test_the_base_may_be_the_best(faked: Make) -> None:
    study = faked()
    study.engine(rights(t0=0.9, t1=0.2, t2=0.3))
    verdict = study.run().verdict
    assert (verdict.winner, verdict.clear) == (0, False) and verdict.difference.high < 0
    assert verdict.sentence.startswith(
        "trial 0, the base, beats the best 1 of the search clearly; trial 2 is nearest: -60.0 points"
    )


def test_a_study_whose_base_failed_names_no_base(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(right=0.8, fails="nan-loss" if name == "0000-search" else ""))
    verdict = study.run().verdict
    assert verdict.winner in (1, 2)
    assert "the base has no result to compare it with" in verdict.sentence


def test_a_lucky_search_does_not_survive_its_confirmation(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(right={"0001-search": 1.0, "0001-confirm-seed1": 0.1}.get(name, 0.5)))
    verdict = study.run().verdict
    assert verdict.winner == 0


def test_the_delivered_run_is_the_best_seed_and_the_number_is_the_mean(faked: Make) -> None:
    study = faked(confirm={"top": 1, "seeds": 2})
    by_name = {"0000-confirm-seed1": 0.2, "0000-confirm-seed2": 0.8, "0001-search": 0.4}
    study.engine(lambda config, name: Fate(right=by_name.get(name, 0.3)))
    end = study.run()
    delivered = next(record for record in end.records if record.run_id == end.verdict.run_id)
    assert delivered.name == "tiny-0000-seed2"
    assert end.verdict.interval.value == pytest.approx(0.5, abs=0.05)
    assert end.verdict.interval.low <= 0.2 + 0.05, "two seeds that far apart say little"


def test_the_base_and_the_best_others_are_confirmed_with_fresh_seeds(faked: Make) -> None:
    study = faked(trials=4, confirm={"top": 2, "seeds": 2})
    engine = study.engine(rights(t0=0.1, t1=0.2, t2=0.9, t3=0.5))
    view = study.run().view
    confirmed = [name for name in engine.started if "confirm" in name]
    assert sorted(confirmed) == [f"{trial:04d}-confirm-seed{seed}" for trial in (0, 2, 3) for seed in (1, 2)]
    records = Tracker.open(study.paths).runs("tiny")
    seeds = {record.params["seed"] for record in records if record.trial == 2}
    assert len(seeds) == 3
    config: StudyConfig = config_of(study.root)
    assert list(Confirmation(config, Tracker.open(study.paths), view).jobs(records)) == [], "nothing is left to confirm"


def test_with_folds_each_seed_validates_on_its_own_and_the_verdict_pairs_them(faked: Make) -> None:
    book = {"name": "book", "path": "book", "split": {"train": 0.6, "val": 0.2, "test": 0.2}, "group": None, "max_bad": 0.0}
    confirm = {"top": 1, "seeds": 3, "min_seeds": 3}
    study = faked(base__corpus__scanned=[book], base__corpus__simulated=[], base__corpus__folds=3, confirm=confirm)
    draw_book(study.root)
    study.engine(rights(t0=0.3, t1=0.9, t2=0.4))
    end = study.run()
    folds = {(record.trial, record.params["training.fold"]) for record in end.records if record.role == "confirm"}
    assert folds == {(trial, fold) for trial in (0, 1) for fold in "012"}
    verdict = end.verdict
    assert (verdict.winner, verdict.clear) == (1, True) and verdict.difference.value == pytest.approx(0.6, abs=0.1)
    page = compare_study("tiny", Tracker.open(study.paths), study.paths).page
    assert page.is_file()


def test_every_arm_is_confirmed_and_goes_by_its_own_name(faked: Make) -> None:
    kinds = {"type": "categorical", "choices": ["cross_entropy", "bce"]}
    study = faked(trials=2, arms="loss.kind", search={"loss.kind": kinds}, confirm={"top": 1, "seeds": 1})
    study.engine(lambda config, name: Fate(right=0.8 if config.loss.kind == "cross_entropy" else 0.3))
    records = study.run().records
    assert {r.tags[ARM] for r in records if r.role == "confirm"} == {"cross_entropy", "bce"}, "the worse arm, too"
    made = compare_study("tiny", Tracker.open(study.paths), study.paths)
    assert made.headline.startswith("cross_entropy is better than bce by")
    text = made.page.read_text()
    assert text.count("<td>yes</td>") == text.count("<td>confirm</td>") + text.count("<td>search</td>"), "all of them count"
    assert "differ in more than" not in made.page.read_text(), "they differ in what they are compared by"
    assert Tracker.open(study.paths).about("tiny")[ARMS] == "loss.kind"


def test_published_numbers_of_a_study_stand_in_its_comparison(faked: Make) -> None:
    kinds = {"type": "categorical", "choices": ["cross_entropy", "bce"]}
    reported = {"source": "a report", "metric": "accuracy", "images": 2000, "values": {"bce": 0.7, "cross_entropy": 0.9}}
    study = faked(trials=2, arms="loss.kind", reported=reported, search={"loss.kind": kinds}, confirm={"top": 1, "seeds": 1})
    study.engine(lambda config, name: Fate(right=0.8 if config.loss.kind == "cross_entropy" else 0.3))
    study.run()
    made = compare_study("tiny", Tracker.open(study.paths), study.paths)
    assert made.reported is not None and made.reported.rows[1].conclusion == "reported ahead; here ahead, too"
    assert "reported ahead; here ahead, too" in made.page.read_text()


@pytest.mark.parametrize(("arms", "mean"), [("loss.kind", 0.7), (None, 0.5)])
def test_where_only_arms_are_searched_every_training_counts(faked: Make, arms: str | None, mean: float) -> None:
    kinds = {"type": "categorical", "choices": ["cross_entropy", "bce"]}
    right = {"0000-search": 0.9, "0000-confirm-seed1": 0.5, "0001-search": 0.2, "0001-confirm-seed1": 0.4}
    study = faked(trials=2, arms=arms, search={"loss.kind": kinds}, confirm={"top": 1, "seeds": 1})
    study.engine(lambda config, name: Fate(right=right[name]))
    verdict = study.run().verdict
    assert verdict.winner == 0 and verdict.interval.value == pytest.approx(mean, abs=0.03)
