"""A finished study gets a wider space: refused, then grown, and all of it replayed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_study import STUDY, here, ocr_sweep, refused, write_study


@pytest.mark.slow
def test_a_study_grows_where_it_is_asked_to(damaged: Path) -> None:
    search = {**STUDY["search"], "optim.warmup": {"type": "float", "low": 0.0, "high": 0.3}}
    write_study(damaged, search=search, trials=4)
    refused(here(damaged, "sweep", "run", "tiny"), 5, "goes on with all of its 3 trials, because these only grow it")
    done = ocr_sweep(damaged, "sweep", "run", "tiny", "--grow")
    assert done.code == 0, done.err
    assert "study 'tiny' goes on as its version 2, with 3 trials of before" in done.out
    assert "tiny-0003" in done.out and "winner    trial" in done.out
    assert here(damaged, "sweep", "replay", "tiny").out == "identical: 4 proposals of tiny, over 2 versions of the study\n"
    history = here(damaged, "sweep", "history", "tiny").out
    assert "search.optim.warmup.high: null -> 0.3" in history
    checked = here(damaged, "doctor")
    assert checked.code == 0, checked.err


@pytest.mark.slow
def test_what_another_corpus_taught_is_set_aside(damaged: Path) -> None:
    write_study(damaged, trials=2, base__corpus__seed=4)
    refused(here(damaged, "sweep", "run", "tiny"), 5, "goes on with 0 of its 3 trials and sets aside 3 for another corpus")
    done = ocr_sweep(damaged, "sweep", "run", "tiny", "--grow")
    assert done.code == 0, done.err
    assert "with 0 trials of before; not comparable and set aside: 3 for another corpus" in done.out
    assert "winner    trial 3" in done.out or "winner    trial 4" in done.out, done.out
    checked = here(damaged, "doctor")
    assert checked.code == 0, checked.err
