from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ocr_sweep.report.corpus import write_corpus_page
from ocr_sweep.report.long_tail import group_bounds, long_tail, shares_of_commonest, tail_order
from ocr_sweep.store import CorpusView


def test_classes_stand_by_real_images_then_by_rendered_ones() -> None:
    real, rendered = np.array([0, 5, 150, 5, 0, 20]), np.array([1, 2, 0, 9, 3, 0])
    order = tail_order(real, rendered)
    assert order.tolist() == [2, 5, 3, 1, 4, 0]
    assert group_bounds(real[order]) == [("many", 0, 1), ("medium", 1, 2), ("few", 2, 4), ("unseen", 4, 6)]


def test_the_commonest_hold_what_they_hold() -> None:
    totals = np.array([1] * 10 + [30] + [4] * 10)
    assert shares_of_commonest(totals) == [("1", 0.375), ("10", pytest.approx(66 / 80)), ("20", pytest.approx(79 / 80))]
    assert shares_of_commonest(np.zeros(3, np.int64)) == [("1", 0.0)]


def test_the_long_tail_of_a_large_charset_is_a_short_drawing() -> None:
    rng = np.random.default_rng(0)
    real = np.sort((rng.pareto(0.8, 17_380) * 2).astype(np.int64).clip(0, 50))
    drawing = str(long_tail(real, np.full(17_380, 8)))
    assert len(drawing) < 40_000
    assert "nan" not in drawing and "inf" not in drawing
    for name, first, end in group_bounds(np.sort(real)[::-1]):
        if end - first > 1500:
            assert f"{name} {end - first:,}" in drawing


def test_no_real_image_at_all_can_be_drawn() -> None:
    assert "unseen 40" in str(long_tail(np.zeros(40, np.int64), np.ones(40, np.int64)))


def test_the_page_says_what_is_simulated_and_needs_no_other_file(tiny_corpus: CorpusView, tmp_path: Path) -> None:
    path = write_corpus_page(tmp_path / "pages" / "tiny-corpus.html", view=tiny_corpus)
    page = path.read_text("utf-8")
    rows = dict(re.findall(r'<th scope="row">(\S+?)( <span class="tag">simulated</span>)?</th><td class="n">', page))
    assert {name for name, tag in rows.items() if tag} == {"val/simulated"}
    assert {"train", "val/book", "test/book"} <= set(rows)
    assert "rendered 48, scanned 36" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert write_corpus_page(tmp_path / "again.html", view=tiny_corpus).read_bytes() == path.read_bytes()
