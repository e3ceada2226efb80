"""The progress report: its time, its questions, its words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocr_sweep.errors import NotFoundError
from ocr_sweep.metrics import Interval
from ocr_sweep.report.progress.news import News, StudyNews, Training
from ocr_sweep.report.progress.period import Period
from ocr_sweep.report.progress.questions import Facts, Range, next_questions
from ocr_sweep.report.progress.write import log_lines, picture
from ocr_sweep.sweep.confirmation.judge import Verdict

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("2w", NOW - timedelta(days=14)),
        ("10d", NOW - timedelta(days=10)),
        ("36h", NOW - timedelta(hours=36)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_a_begin(text: str, since: datetime) -> None:
    period = Period.parse(text, NOW)
    assert (period.since, period.until) == (since, NOW)
    assert period.holds(since) and not period.holds(since - timedelta(seconds=1)) and not period.holds(None)


@pytest.mark.parametrize("text", ["", "two weeks", "0w", "-3d", "2026-13-01", "2026-12-01", "1999999w", "2 w"])
def test_no_begin(text: str) -> None:
    with pytest.raises(NotFoundError, match=r"the report's begin must .*"):
        Period.parse(text, NOW)


def verdict(low: float, high: float, *, clear: bool) -> Verdict:
    middle = Interval((low + high) / 2, low, high)
    some = Interval(0.9, 0.88, 0.92)
    return Verdict("val/accuracy_macro", 3, "r3", some, some, middle, clear, "trial 3 *wins*", simulated=False)


FACTS = Facts("s", "val/accuracy_macro", verdict(0.01, 0.05, clear=True), (), (), {}, 0, 9)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"verdict": None, "stopped": 2}, ["What is the answer? 9 trainings are complete, 2 of them stopped"]),
        ({"verdict": verdict(-0.01, 0.05, clear=False)}, ["Is there a difference at all? −1.0 to 5.0 points"]),
        ({"verdict": verdict(-0.05, -0.01, clear=False)}, []),
        (
            {"ranges": (Range("optim.lr", 9.8e-2, 1e-4, 1e-1, log=True),)},
            ["Is optim.lr better still higher? The winner has 0.098"],
        ),
        ({"ranges": (Range("a.b", 0.01, 0.0, 1.0, log=False),)}, ["Is a.b better still lower?"]),
        ({"ranges": (Range("a.b", 0.5, 0.0, 1.0, log=False), Range("c", 1.0, 1.0, 1.0, log=False))}, []),
        ({"groups": {"unseen": 0.4, "many": 0.9}}, ["What would help the classes that are unseen? The winner reads 40.0 %"]),
        ({"groups": {"few": 0.88, "many": 0.9}}, []),
        ({"failures": (("nan-loss", 2),)}, ["Why did 2 trainings fail with `nan-loss`?"]),
    ],
)
def test_a_question_rests_on_a_number(changes: dict[str, Any], said: list[str]) -> None:
    found = list(next_questions(replace(FACTS, **changes)))
    assert len(found) == len(said) and all(map(str.startswith, found, said)), found


EVIL = "<script>alert(1)</script> | # *x*\n- y"


def study(**changes: Any) -> StudyNews:
    best = Training("s-0003", "unet", "search", 0.9, 0.88, 0.92, winner=True)
    given: dict[str, Any] = {
        "study": "s", "question": EVIL, "metric": "val/accuracy_macro", "began": NOW, "ended": NOW,
        "outcomes": {"complete": 3, "failed": 1}, "hours": 1.25, "verdict": FACTS.verdict, "best": best, "trainings": (best,),
        "arms": (), "failures": ((EVIL, 1),), "reproductions": {"identical": 2}, "simulated": True, "questions": ("Why?",),
    }  # fmt: skip
    return StudyNews(**{**given, **changes})


def test_an_entry_says_all_and_quotes_others_safely() -> None:
    text = "\n".join(log_lines(News(Period.parse("2w", NOW), (study(),), ())))
    for words in (
        "1 study, 4 trainings, 1.2 hours",
        "## 2026-11-26 s\n",
        "4 trainings: 3 complete, 1 failed",
        "Learnt: trial 3 \\*wins\\* (simulated)",
        "Winner: s-0003, val/accuracy_macro (simulated) 90.0 % [88.0, 92.0]",
        "Reproduced: 2 identical",
        "Next: Why?",
    ):
        assert words in text, text
    assert "<script" not in text.replace("\\<", "") and "\n- y" not in text


def test_a_picture_has_a_row_for_each_arm_or_training() -> None:
    other = Training("s-0001", "resnet", "search", 0.8, None, None, winner=False)
    drawn = str(picture(study(arms=(study().best, other))))
    assert ">unet<" in drawn and ">resnet<" in drawn and "flattered" in drawn
    assert ">s-0003<" in str(picture(study())) and str(picture(study(trainings=()))) == ""
