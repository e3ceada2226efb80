from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ocr_sweep.metrics import group_accuracies, macro_accuracy
from ocr_sweep.report import ComparedRun, Title, write_comparison
from ocr_sweep.report.arms import gather_arms
from ocr_sweep.report.characters import changes, pairs
from ocr_sweep.report.charts import reliability_chart
from ocr_sweep.report.svg import Scale, padded
from ocr_sweep.report.tables import accuracy_rows, calibration_rows, config_rows, confusable_rows, cost_rows
from ocr_sweep.store import CorpusView

MakeRun = Callable[..., ComparedRun]


def page(path: Path, runs: Sequence[ComparedRun], view: CorpusView) -> str:
    title = Title("Which <b>?", "Who & why?", race=("trial 2 left after round 2", "3 candidates, 4 rounds"))
    read = lambda run_ids: f"{len(run_ids)} runs were read"  # noqa: E731
    found = write_comparison(path / "compare.html", title, runs=runs, view=view, read_test=read).page
    return found.read_text(encoding="utf-8")


@pytest.fixture
def runs(make_run: MakeRun) -> list[ComparedRun]:
    return [make_run("U-Net", w, seed=i, role="confirm") for i, w in enumerate((0.1, 0.1))] + [make_run("ResNet", 0.4)]


class TestPage:
    """The page as a browser gets it."""

    def test_needs_nothing_from_outside(self, tmp_path: Path, runs: list[ComparedRun], view: CorpusView) -> None:
        html = page(tmp_path, runs, view)
        assert "<script" not in html and "@import" not in html and "url(" not in html
        assert all(link.startswith("data:image/png;base64,") for link in re.findall(r'src="([^"]*)"', html))
        assert "href=" not in html  # no run of these has an address

    def test_every_drawing_is_well_formed(self, tmp_path: Path, runs: list[ComparedRun], view: CorpusView) -> None:
        drawings = re.findall(r"<svg.*?</svg>", page(tmp_path, runs, view), flags=re.S)
        assert len([drawing for drawing in drawings if 'class="chart' in drawing]) == 5  # lead, val, test, cost, curve
        for drawing in drawings:
            ET.fromstring(drawing)

    def test_text_of_users_is_escaped(self, tmp_path: Path, runs: list[ComparedRun], view: CorpusView) -> None:
        hostile = "<script>alert('&')</script>"
        changed = [replace(run, arm=hostile, url="javascript:alert(1)") if run.arm == "ResNet" else run for run in runs]
        html = page(tmp_path, changed, view)
        assert "<script" not in html and "&lt;script&gt;" in html
        assert "Which &lt;b&gt;?" in html and "Who &amp; why?" in html
        assert "javascript:" not in html

    def test_runs_are_linked(self, tmp_path: Path, runs: list[ComparedRun], view: CorpusView) -> None:
        html = page(tmp_path, [replace(run, url=f"http://127.0.0.1:5000/#/runs/{run.run_id}") for run in runs], view)
        assert '<a href="http://127.0.0.1:5000/#/runs/id-ResNet-0">ResNet-0</a>' in html

    def test_every_accuracy_heading_says_simulated(
        self, tmp_path: Path, runs: list[ComparedRun], view: CorpusView, simulated: CorpusView
    ) -> None:
        headings = re.findall(r"<h2>(.*?)</h2>", page(tmp_path, runs, simulated))
        about = [heading for heading in headings if re.search("ccuracy|val|test", heading)]
        assert len(about) == 6 and all("(simulated)" in heading for heading in about)
        assert "simulated" not in page(tmp_path, runs, view)

    def test_the_verdict_comes_first(self, tmp_path: Path, runs: list[ComparedRun], view: CorpusView) -> None:
        html = page(tmp_path, runs, view)
        assert 0 < html.index("U-Net is better than ResNet by 30.0 points on val") < html.index("<h2>")

    def test_the_race_is_told_in_lines_and_every_number_of_a_run_has_its_interval(
        self, tmp_path: Path, runs: list[ComparedRun], view: CorpusView
    ) -> None:
        ends = {"val/accuracy_macro_low": 0.871, "val/accuracy_macro_high": 0.924}
        html = page(tmp_path, [replace(run, metrics={**run.metrics, **ends}) for run in runs], view)
        assert "<summary>The race of the confirmation: 3 candidates, 4 rounds</summary>" in html
        assert "<li>trial 2 left after round 2</li>" in html
        assert html.count('<span class="range">87.1 to 92.4</span>') == len(runs)

    def test_whose_test_numbers_it_shows_is_said_before_and_stands_on_the_page(
        self, tmp_path: Path, runs: list[ComparedRun], view: CorpusView
    ) -> None:
        heard: list[Sequence[str]] = []

        def read(run_ids: Sequence[str]) -> str:
            assert not (tmp_path / "read.html").exists()
            heard.append(run_ids)
            return "they were read 7 times"

        write_comparison(tmp_path / "read.html", Title("x"), runs=runs, view=view, read_test=read)
        assert heard == [["id-U-Net-0", "id-U-Net-1", "id-ResNet-0"]]
        assert "This page included, they were read 7 times." in (tmp_path / "read.html").read_text("utf-8")

    def test_same_input_same_page(self, tmp_path: Path, runs: list[ComparedRun], view: CorpusView) -> None:
        assert page(tmp_path, runs, view) == page(tmp_path, runs, view)

    def test_one_run_without_errors_costs_or_curves(self, tmp_path: Path, make_run: MakeRun, view: CorpusView) -> None:
        run = replace(make_run("only", 0.0, 0.0), metrics={}, curves={})
        html = page(tmp_path, [run], view)
        assert "nothing to compare it with" in html and "No errors." in html
        assert "Learning curves" not in html and "Cost against" not in html


def test_accuracy_rows_are_those_of_the_metrics_room(view: CorpusView, runs: list[ComparedRun]) -> None:
    arms = gather_arms(runs, view)
    rows = {row.name: row for row in accuracy_rows(arms, view, "val")}
    resnet = next(run for run in runs if run.arm == "ResNet").predictions
    val = resnet.set_id == 1
    label, predicted = resnet.label[val], resnet.top5[val, 0]
    assert rows["val, by character"].intervals[1].value == pytest.approx(macro_accuracy(label, predicted))
    for group, expected in group_accuracies(label, predicted, view.real_counts).items():
        assert rows[group].intervals[1].value == pytest.approx(expected)
    assert list(rows)[2:] == ["unseen", "few", "medium", "many"]
    assert [row.name for row in accuracy_rows(arms, view, "test")][2:4] == ["test/book", "test/hre"]


def test_only_differing_settings_are_listed(view: CorpusView, runs: list[ComparedRun]) -> None:
    changed = [replace(run, config={**run.config, "extra": None}) if run.arm == "ResNet" else run for run in runs]
    rows = dict(config_rows(gather_arms(changed, view)))
    assert rows == {"extra": ["–", "none"], "model.name": ["U-Net", "ResNet"], "seed": ["0, 1", "0"]}


def test_costs_are_means_with_units(view: CorpusView, runs: list[ComparedRun]) -> None:
    timed = [replace(run, metrics={**run.metrics, "cost/train_seconds": 60.0 + 60 * i}) for i, run in enumerate(runs[:2])]
    rows = dict(cost_rows(gather_arms([*timed, runs[2]], view)))
    assert rows == {"parameters": ["5 M", "6 M"], "training time": ["1.5 min", "not measured"]}


def test_changed_characters_are_found(view: CorpusView, make_run: MakeRun) -> None:
    good, bad = make_run("good", 0.0), make_run("bad", 0.0)
    p = bad.predictions
    top5 = p.top5.copy()
    top5[(p.label == 3) & (p.set_id == 1), 0] = 4  # bad reads every val image of class 3 as class 4
    some = np.flatnonzero((p.label == 7) & (p.set_id == 1))[:5]
    top5[some, 0] = 6  # and half of class 7 as class 6
    top5[(p.label == 9) & (p.set_id == 2), 0] = 1  # errors on test are not shown
    arms = gather_arms([good, replace(bad, predictions=replace(p, top5=top5))], view)
    better, worse = changes(arms[0], arms[1], view)
    assert [(c.character.code, c.before, c.after, c.num_images, len(c.samples)) for c in better] == [
        ("U+672B", 0.0, 1.0, 10, 3),
        ("U+5DF2", 0.5, 1.0, 10, 3),
    ]
    assert worse == []
    mixed_up = [(pair.written.char, pair.read.char, pair.count) for pair in pairs(arms[1], view)]
    assert mixed_up == [("末", "土", 10.0), ("已", "己", 5.0)]
    swapped_better, swapped_worse = changes(arms[1], arms[0], view)
    assert (swapped_better, [c.character for c in swapped_worse]) == ([], [c.character for c in better])


def test_pairs_are_averaged_over_seeds(view: CorpusView, make_run: MakeRun) -> None:
    (arm,) = gather_arms([make_run("a", w, seed=i, role="confirm") for i, w in enumerate((0.1, 0.4))], view)
    assert {pair.count for pair in pairs(arm, view)} == {2.5}


def test_a_class_without_training_image_is_shown_by_its_code(view: CorpusView, make_run: MakeRun) -> None:
    run = make_run("a", 0.0)
    top5 = run.predictions.top5.copy()
    top5[(run.predictions.label == 0) & (run.predictions.set_id == 1), 0] = 19
    (arm,) = gather_arms([replace(run, predictions=replace(run.predictions, top5=top5))], view)
    (pair,) = pairs(arm, view)
    assert (pair.read.char, pair.read.code, pair.read.picture) == ("犬", "U+72AC", None)
    assert pair.written.picture is not None and pair.written.picture.startswith("data:image/png;base64,")


def test_scales_map_and_tick() -> None:
    scale = Scale(0.0, 1.0, 10.0, 110.0)
    assert (scale(0.0), scale(0.5), scale(1.0)) == (10.0, 60.0, 110.0)
    np.testing.assert_allclose(scale.ticks(), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    log = Scale(1.0, 100.0, 0.0, 100.0, log=True)
    assert log(10.0) == pytest.approx(50.0)
    np.testing.assert_allclose(log.ticks(), [1, 2, 5, 10, 20, 50, 100])
    low, high = padded([3.0, 3.0])
    assert low < 3.0 < high


class TestConfusable:
    """Pairs, and what confidence is worth."""

    def test_the_lead_of_a_pair_is_paired(self, make_run: MakeRun, view: CorpusView) -> None:
        arms = gather_arms([make_run("good", 0.1), make_run("bad", 0.3)], view)
        rows = confusable_rows(arms, view)
        assert len(rows) == 8 and rows[0].note == "mixed up 4 times" and rows[0].num_images == 20
        for row in rows:
            assert row.lead is not None and row.lead.value == pytest.approx(0.2)
            assert [found.value for found in row.intervals] == pytest.approx([0.9, 0.7])

    def test_one_arm_leads_nobody(self, make_run: MakeRun, view: CorpusView) -> None:
        arms = gather_arms([make_run("good", 0.1)], view)
        assert all(row.lead is None for row in [*confusable_rows(arms, view), *accuracy_rows(arms, view, "val")])
        assert confusable_rows(gather_arms([make_run("perfect", 0.0)], view), view) == []

    def test_confidence_is_drawn_where_it_is_known(self, make_run: MakeRun, view: CorpusView, tmp_path: Path) -> None:
        run = make_run("sure", 0.2)
        arms = gather_arms([run], view)
        assert reliability_chart(arms, view) is None and calibration_rows(arms) == []
        sure = replace(run.predictions, confidence=np.full(len(run.predictions.index), 0.95, np.float32))
        run = replace(run, predictions=sure, metrics={**run.metrics, "val/ece": 0.15})
        arms = gather_arms([run], view)
        chart = str(reliability_chart(arms, view))
        assert chart.count('class="mark a0"') == 1, "all images are in one bin"
        assert calibration_rows(arms)[0][1] == ["0.150"]
        assert "Confidence against accuracy" in page(tmp_path, [run], view)
