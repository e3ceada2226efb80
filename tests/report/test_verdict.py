from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ocr_sweep.errors import DataError
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.metrics import Clusters, Interval, difference_estimate
from ocr_sweep.report import ComparedRun
from ocr_sweep.report.arms import gather_arms, in_split, standing
from ocr_sweep.report.verdict import judge
from ocr_sweep.store import CorpusView

MakeRun = Callable[..., ComparedRun]


def test_a_clear_lead_is_said_in_plain_words(view: CorpusView, make_run: MakeRun) -> None:
    arms = gather_arms([make_run("EfficientFormerV2", 0.4), make_run("U-Net", 0.1)], view)
    verdict = judge(arms, view)
    a, b = arms
    lead = difference_estimate(a.correct[:200], b.correct[:200], Clusters.of(a.label[:200], a.group[:200]), macro=True).interval()
    assert verdict.headline == (
        f"U-Net is better than EfficientFormerV2 by 30.0 points on val "
        f"(95 % interval {100 * lead.low:.1f} to {100 * lead.high:.1f})."
    )
    assert verdict.leads == ((arms[1], lead),)


def test_a_tie_is_called_a_tie_and_the_cheaper_is_named(view: CorpusView, make_run: MakeRun) -> None:
    verdict = judge(gather_arms([make_run("long name", 0.2), make_run("short", 0.2)], view), view)
    assert "long name and short are indistinguishable on val: they differ by 0.0 points" in verdict.headline
    assert "holds 0" in verdict.headline
    assert any("short has the least parameters: 5 M, against up to 9 M" in remark for remark in verdict.remarks)


def test_test_sets_never_move_the_verdict(view: CorpusView, make_run: MakeRun) -> None:
    said = [
        judge(gather_arms([make_run("a", 0.3, test_a), make_run("b", 0.1, 1.0 - test_a)], view), view) for test_a in (0.0, 1.0)
    ]
    assert said[0].headline == said[1].headline
    assert said[0].leads[0][1] == said[1].leads[0][1]
    assert said[0].headline.startswith("b is better than a by 20.0")


def test_seeds_are_averaged_per_image(view: CorpusView, make_run: MakeRun) -> None:
    seeds = [make_run("a", wrong, seed=i, role="confirm") for i, wrong in enumerate((0.1, 0.2, 0.6))]
    (arm,) = gather_arms(seeds, view)
    val = in_split(arm, view, "val")
    assert arm.predicted.shape == (3, 400)
    assert standing([arm], val).accuracy(0).value == pytest.approx(1.0 - 0.3)
    np.testing.assert_allclose(np.unique(arm.correct[val]), [0.0, 1 / 3, 2 / 3, 1.0])
    np.testing.assert_array_equal(arm.label, view.class_ids[arm.index])  # whatever the order of each run


def test_seeds_that_disagree_widen_the_interval(view: CorpusView, make_run: MakeRun) -> None:
    def found(*wrong: float) -> Interval:
        seeds = [make_run("a", w, seed=i, role="confirm") for i, w in enumerate(wrong)]
        arms = gather_arms([*seeds, make_run("b", 0.9)], view)
        return judge(arms, view).leads[0][1]

    agreeing, spread = found(0.2, 0.2, 0.2), found(0.1, 0.2, 0.3)
    assert agreeing.value == pytest.approx(spread.value)
    assert spread.value - spread.low >= 2.4 * 0.1 * np.sqrt(1 / 3 + 1)  # two degrees of freedom, and b is one training
    assert agreeing.high - agreeing.low < 0.5 * (spread.high - spread.low)


def test_the_leads_hold_together(view: CorpusView, make_run: MakeRun) -> None:
    def width(*others: str) -> float:
        lead = judge(gather_arms([make_run("a", 0.1), *(make_run(name, 0.4) for name in others)], view), view).leads[0][1]
        return lead.high - lead.low

    assert width("b") < width("b", "c") < width("b", "c", "d", "e"), "the best of many is ahead of some by luck"


def test_confirmations_count_and_the_luckiest_trial_does_not(view: CorpusView, make_run: MakeRun) -> None:
    runs = [make_run("a", 0.0, seed=9), make_run("a", 0.3, seed=1, role="confirm"), make_run("a", 0.5, seed=2, role="confirm")]
    (arm,) = gather_arms(runs, view)
    assert [run.run_id for run in arm.runs] == ["id-a-1", "id-a-2"]
    assert arm.confirmed and arm.num_searched == 3


def test_without_confirmation_the_best_run_counts_and_its_luck_is_said(view: CorpusView, make_run: MakeRun) -> None:
    runs = [make_run("a", 0.3, seed=1), make_run("a", 0.1, seed=2), make_run("b", 0.4)]
    arms = gather_arms(runs, view)
    assert arms[0].runs[0].run_id == "id-a-2"
    assert any("Selection bias: a: best of 2 runs" in remark for remark in judge(arms, view).remarks)


def test_the_repeats_of_a_trial_count_together(view: CorpusView, make_run: MakeRun) -> None:
    lucky_once = [make_run("a", wrong, seed=seed, role="search", trial=0) for seed, wrong in ((1, 0.1), (2, 0.5))]
    better = [make_run("a", wrong, seed=seed, role="search", trial=1) for seed, wrong in ((3, 0.2), (4, 0.2))]
    (arm,) = gather_arms([*lucky_once, *better], view)
    assert [run.run_id for run in arm.runs] == ["id-a-3", "id-a-4"]


def test_unequal_numbers_of_runs_are_flagged(view: CorpusView, make_run: MakeRun) -> None:
    runs = [make_run("a", 0.1, seed=1, role="confirm"), make_run("a", 0.1, seed=2, role="confirm"), make_run("b", 0.4)]
    assert any("different numbers of runs (a 2, b 1)" in remark for remark in judge(gather_arms(runs, view), view).remarks)


def test_simulated_scans_are_named_in_the_verdict(simulated: CorpusView, make_run: MakeRun) -> None:
    verdict = judge(gather_arms([make_run("a", 0.1), make_run("b", 0.4)], simulated), simulated)
    assert "points on val (simulated) (95 % interval" in verdict.headline


def test_one_arm_is_described(view: CorpusView, make_run: MakeRun) -> None:
    verdict = judge(gather_arms([make_run("a", 0.1)], view), view)
    assert verdict.headline.startswith("a reads 90.0 % of val right (95 % interval ")
    assert verdict.leads == ()


def test_other_images_are_an_error(view: CorpusView, make_run: MakeRun) -> None:
    run = make_run("b", 0.1)
    p = run.predictions
    fewer = replace(run, predictions=Predictions(p.index[:9], p.set_id[:9], p.label[:9], p.top5[:9], p.prob5[:9]))
    with pytest.raises(DataError, match="the same images, but id-a-0 has 400 and id-b-0 9 that are not the same"):
        gather_arms([make_run("a", 0.1), fewer], view)


def test_no_run_is_an_error(view: CorpusView) -> None:
    with pytest.raises(DataError, match="at least one run, but got none"):
        gather_arms([], view)


def test_no_val_image_is_an_error(view: CorpusView, make_run: MakeRun) -> None:
    run = make_run("a", 0.1)
    p, test = run.predictions, run.predictions.set_id > 1
    only = Predictions(p.index[test], p.set_id[test], p.label[test], p.top5[test], p.prob5[test])
    with pytest.raises(DataError, match="no predictions of val images"):
        gather_arms([replace(run, predictions=only)], view)


def test_a_lead_that_is_not_the_networks_alone_is_called_so(view: CorpusView, make_run: MakeRun) -> None:
    def said(strength: float) -> str:
        runs = [
            replace(make_run(name, wrong), config={"model.kind": name, "seed": seed, "augment.rendered.strength": value})
            for name, wrong, seed, value in (("a", 0.1, 1, 0.5), ("b", 0.4, 2, strength))
        ]
        return " ".join(judge(gather_arms(runs, view), view).remarks)

    assert "a and b differ in more than the network: augment.rendered.strength." in said(0.2)
    assert "differ in more than the network" not in said(0.5)
