"""What is cached beside the corpora is counted, and goes when nothing refers to it."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_study import here

from ocr_sweep.config.paths import Paths
from ocr_sweep.corpus.archives import unpack
from ocr_sweep.disk import file_lock
from ocr_sweep.sweep.stored.caches import collect_cache, stored_caches

DAY = 24 * 3600


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A project whose recipe names the archive books.zip, and which has unpacked it a year ago."""
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "books.yaml").write_text("scanned:\n  - path: old/books.zip\n", encoding="utf-8")
    (tmp_path / "data" / "old").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "data" / "old" / "books.zip", "w") as archive:
        archive.writestr("天/1.png", b"0" * 5000)
    found = Paths.find({"OCR_SWEEP_HOME": str(tmp_path)})
    unpack(found.data / "old" / "books.zip", found.cache)
    age(found.cache, 365)
    return found


def age(folder: Path, days: float) -> None:
    """Let everything in a folder be as old as that."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (time.time() - days * DAY,) * 2)


def gone(paths: Paths, *, dry_run: bool = False) -> list[str]:
    return [one.kind for one in collect_cache(paths, [], dry_run=dry_run)]


def test_an_archive_that_a_recipe_names_stays_unpacked(paths: Paths) -> None:
    (only,) = stored_caches(paths, [])
    assert only.needed == "a recipe names old/books.zip" and only.bytes > 5000 and only.origin == "old/books.zip"
    assert gone(paths) == [] and only.path.is_dir()


@pytest.mark.parametrize("change", ["recipe", "archive", "archive bytes"])
def test_an_unpacked_archive_goes_with_its_recipe_or_its_bytes(change: str, paths: Paths) -> None:
    archive = paths.data / "old" / "books.zip"
    match change:
        case "recipe":
            (paths.sweeps / "books.yaml").unlink()
        case "archive":
            archive.unlink()
        case _:
            archive.write_bytes(archive.read_bytes() + b"\0")
    assert gone(paths, dry_run=True) == ["archives"] and len(list((paths.cache / "archives").glob("[!.]*"))) == 2
    assert gone(paths) == ["archives"] and list((paths.cache / "archives").glob("[!.]*")) == []
    assert gone(paths) == []


def test_what_was_used_today_or_is_being_unpacked_stays(paths: Paths) -> None:
    (paths.sweeps / "books.yaml").unlink()
    unpack(paths.data / "old" / "books.zip", paths.cache)  # somebody opens a corpus whose recipe lies elsewhere
    (only,) = stored_caches(paths, [])
    assert only.needed == "used in the last day" and gone(paths) == []
    age(paths.cache, 2)
    assert only.lock is not None
    with file_lock(only.lock, wait=False):
        assert gone(paths) == []
    assert gone(paths) == ["archives"]


def test_what_a_killed_unpacking_left_goes(paths: Paths) -> None:
    (paths.cache / "archives" / ".abc.tmp").mkdir()
    age(paths.cache, 2)
    assert gone(paths) == ["archives"] and not (paths.cache / "archives" / ".abc.tmp").exists()


def test_checkpoints_of_the_gan_stay_while_their_images_do(paths: Paths) -> None:
    (paths.cache / "gan").mkdir()
    for name in ("known.generator", "known.recogniser", "lost.generator"):
        (paths.cache / "gan" / name).write_bytes(b"0" * 100)
    (paths.data / "generated" / "kai").mkdir(parents=True)
    report = {"checkpoints": {"generator": "known", "recogniser": "known"}}
    (paths.data / "generated" / "kai" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert gone(paths) == [], "an unfinished training may go on"
    age(paths.cache, 8)
    assert gone(paths) == ["gan"] and not (paths.cache / "gan" / "lost.generator").exists()
    (paths.data / "generated" / "kai" / "report.json").unlink()
    assert gone(paths) == ["gan", "gan"]


def test_shared_first_stages_stay_while_a_trial_is_in_progress(paths: Paths) -> None:
    (paths.cache / "representations" / "abc").mkdir(parents=True)
    (paths.cache / "representations" / "abc" / "representation.pt").write_bytes(b"0")
    age(paths.cache, 8)
    job = paths.mlruns / "work" / "study" / "0000" / "job.json"
    job.parent.mkdir(parents=True)
    job.write_text("{}", encoding="utf-8")
    assert gone(paths) == []
    job.unlink()
    assert gone(paths) == ["representations"] and not (paths.cache / "representations" / "abc").exists()


def test_coverage_that_nobody_asked_for_in_a_month_goes(paths: Paths) -> None:
    (paths.cache / "coverage").mkdir()
    for name, days in (("used", 29), ("unused", 31)):
        (paths.cache / "coverage" / f"{name}.json").write_text("{}", encoding="utf-8")
        age(paths.cache / "coverage" / f"{name}.json", days)
    assert gone(paths) == ["coverage"] and (paths.cache / "coverage" / "used.json").exists()


def test_the_commands_list_count_and_clear_the_cache(project: Callable[..., Path]) -> None:
    root = project()
    (root / "mlruns" / "cache" / "gan").mkdir(parents=True, exist_ok=True)
    (root / "mlruns" / "cache" / "gan" / "lost.generator").write_bytes(b"0" * 2_000_000)
    age(root / "mlruns" / "cache" / "gan", 8)
    listed = here(root, "corpus", "list")
    assert listed.code == 0 and "a generator" in listed.out and "2.0 MB" in listed.out and " cached, " in listed.out
    dry = here(root, "corpus", "gc", "--dry-run")
    assert "gan: a generator, 2.0 MB" in dry.out and "1 cached would free 2.0 MB" in dry.out
    assert "1 cached freed 2.0 MB" in here(root, "corpus", "gc").out
    assert not (root / "mlruns" / "cache" / "gan" / "lost.generator").exists()
