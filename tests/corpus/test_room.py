"""What a corpus will take is said before, and refused where there is no room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus import plan_corpus
from ocr_sweep.corpus.room import BUDGET, check_room, estimate, read_budget, size, size_of
from ocr_sweep.errors import ConfigError, StoreError
from ocr_sweep.store import CorpusView

Recipe = Callable[..., CorpusConfig]
Build = Callable[..., CorpusView]


def test_the_estimate_is_kept(
    recipe: Recipe, book: Callable[..., dict[str, Any]], build: Build, scans: Path, tmp_path: Path
) -> None:
    wanted = recipe(scanned=[book()], image_size=64)
    before = estimate(plan_corpus(wanted, data_root=scans, cache=tmp_path / "cache"))
    view = build(wanted, scans)
    assert before.images == len(view.images)
    pixels = (view.path / "images.npy").stat().st_size
    assert pixels < before.bytes < before.peak_bytes and before.bytes == before.images * (64 * 64 + 60)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    recipe: Recipe, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(StoreError, match=r"needs .* for 48 images, but .* has 1\.0 kB free"):
        build(recipe())
    assert not [path for path in (tmp_path / "corpora").iterdir() if path.is_dir()]


def test_a_budget_is_kept(recipe: Recipe, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(recipe())
    held, cached = size_of(first.path), size_of(tmp_path / "cache")
    adds = estimate(plan_corpus(recipe(seed=8), data_root=Path("/nowhere"), cache=tmp_path / "cache")).bytes
    assert cached > 100
    for budget in (held + adds // 2, held + adds + cached // 2):  # for the corpora alone, the second would do
        monkeypatch.setenv(BUDGET, f"{budget / 1e6} MB")
        with pytest.raises(StoreError, match=r"may take .* with their cache \(OCR_SWEEP_CORPORA_BUDGET\), but hold .*corpus gc"):
            build(recipe(seed=8))
    assert build(recipe()).path == first.path, "what is there may stay"
    monkeypatch.setenv(BUDGET, "1G")
    assert build(recipe(seed=8)).path != first.path


def test_budgets_are_read_and_wrong_ones_refused() -> None:
    assert [read_budget(text) for text in ("50GB", "1.5 tb", "12", "3k", "", None)] == [50e9, 1.5e12, 12, 3000, None, None]
    with pytest.raises(ConfigError, match=r"must be a size like 50GB, but got 'much'"):
        read_budget("much")


def test_sizes_are_for_people() -> None:
    assert [size(n) for n in (500, 2_500_000, 3_000_000_000, 4 * 10**12)] == ["0.5 kB", "2.5 MB", "3.0 GB", "4.0 TB"]


def test_room_is_checked_where_the_store_lies(tmp_path: Path) -> None:
    check_room(estimate_of(1), tmp_path, tmp_path / "no cache yet")


def estimate_of(number: int) -> Any:
    return type("Wanted", (), {"images": number, "bytes": number, "peak_bytes": number})()
