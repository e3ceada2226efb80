"""`make report`: slides and a work log out of a finished study's records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from looking import by_name
from tiny_study import here, refused

pytestmark = pytest.mark.slow


def test_a_report_of_a_finished_study_and_a_promotion(damaged: Path) -> None:
    run = by_name(damaged, "tiny-0000").info.run_id
    assert here(damaged, "models", "promote", "--run", run).code == 0
    tags = dict(by_name(damaged, "tiny-0000").data.tags)
    done = here(damaged, "report", "--since", "1d")
    assert done.code == 0, done.err
    assert "1 study, 5 trainings" in done.out and "tiny: " in done.out
    slides, log = (next((damaged / "reports").glob(f"progress-*.{kind}")) for kind in ("html", "md"))
    assert str(slides) in done.out and str(log) in done.out
    text, page = log.read_text(encoding="utf-8"), slides.read_text(encoding="utf-8")
    assert "Does smoothing help the tiny network?" in text and "5 trainings: 5 complete" in text
    assert "production went to version " in text and "production went to version " in page
    assert page.count('<section class="slide">') == 4 and 'class="chart wide"' in page
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)|@import|url\(""", page), "it opens without a network"
    assert "test/" not in text + page, "it reads no test numbers"
    assert dict(by_name(damaged, "tiny-0000").data.tags) == tags
    assert here(damaged, "report", "--since", "1d").code == 0, "a report of the same day is replaced"


def test_nothing_happened_and_a_begin_that_is_none(damaged: Path, project: object) -> None:
    empty: Path = project()  # type: ignore[operator]
    assert "0 studies, 0 trainings" in here(empty, "report").out
    refused(here(damaged, "report", "--since", "soon"), 2, "must be a number of weeks", "got 'soon'", "2w, 10d or 2026-11-01")
