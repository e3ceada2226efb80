"""Published numbers beside ours: which differences mean something, and whether ours agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ocr_sweep.config.study import ReportedConfig
from ocr_sweep.report import ComparedRun
from ocr_sweep.report.arms import gather_arms
from ocr_sweep.report.reported import Reported, beside_reported
from ocr_sweep.store import CorpusView

MakeRun = Callable[..., ComparedRun]


@pytest.fixture
def beside(view: CorpusView, make_run: MakeRun) -> Callable[..., Reported]:
    """Three arms of ours, 90, 60 and 90 % right on 200 val images, beside what somebody has published."""
    runs = [make_run("a", 0.1), make_run("b", 0.4), make_run("c", 0.1)]

    def beside(values: dict[str, float], images: int | None = None) -> Reported:
        config = ReportedConfig(source="a report", metric="validation accuracy", images=images, values=values)
        return beside_reported(config, gather_arms(runs, view), view)

    return beside


def test_a_difference_means_something_only_beyond_the_luck_of_the_images(beside: Callable[..., Reported]) -> None:
    # by hand: 1.96 sqrt((.9654 .0346 + .93 .07) / n) is 4.35 points at n = 200 and 1.38 at n = 2,000
    values = {"a": 0.9654, "b": 0.93, "c": 0.9655}
    assert [row.telling for row in beside(values).rows] == [False, False, False]
    assert [row.telling for row in beside(values, images=2000).rows] == [False, True, False]


def test_ours_are_set_against_the_same_first_arm(beside: Callable[..., Reported]) -> None:
    first, b, c = beside({"a": 0.97, "b": 0.80, "c": 0.971}, images=1000).rows
    assert first.lead is None and first.accuracy is not None and first.accuracy.value == pytest.approx(0.9)
    assert b.lead is not None and b.lead.value == pytest.approx(-0.3) and b.lead.high < 0
    assert c.lead is not None and c.lead.low < 0 < c.lead.high
    assert b.reported_lead == pytest.approx(-0.17)


@pytest.mark.parametrize(
    ("values", "conclusion"),
    [
        ({"a": 0.97, "b": 0.80}, "reported behind; here behind, too"),
        ({"a": 0.80, "b": 0.97}, "reported ahead; here behind: the other way round"),
        ({"a": 0.97, "b": 0.971}, "reported: a tie; here behind"),
        ({"a": 0.97, "c": 0.971}, "reported: a tie; here a tie, too"),
        ({"a": 0.97, "c": 0.80}, "reported behind; here undecided"),
        ({"a": 0.97, "z": 0.80}, "not trained here"),
    ],
)
def test_the_conclusion_in_words(beside: Callable[..., Reported], values: dict[str, float], conclusion: str) -> None:
    assert beside(values, images=1000).rows[1].conclusion == conclusion


def test_the_note_says_on_how_many_images_the_numbers_were_read(beside: Callable[..., Reported]) -> None:
    assert "on as many images as here (200; theirs are not said)" in beside({"a": 0.9, "b": 0.8}).note
    note = beside({"a": 0.9, "b": 0.8}, images=5000).note
    assert "on the 5,000 images that are named, two of them must lie 1.2 points apart" in note
