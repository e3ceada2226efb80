"""The store of corpora: listed, audited, and cleared of what nobody needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_study import here, refused, write_study

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.disk import read_json, write_json

Project = Callable[..., Path]


def corpora(root: Path) -> list[Path]:
    return [path for path in (root / "mlruns" / "corpora").iterdir() if path.is_dir()]


def test_a_corpus_without_runs_is_listed_and_goes(project: Project) -> None:
    root = project()
    (path,) = corpora(root)
    listed = here(root, "corpus", "list")
    assert listed.code == 0 and path.name[:16] in listed.out and "tiny" in listed.out and "1 corpora" in listed.out
    dry = here(root, "corpus", "gc", "--dry-run")
    assert "1 corpora would free" in dry.out and corpora(root) == [path]
    assert "1 corpora freed" in here(root, "corpus", "gc").out and corpora(root) == []


@pytest.mark.slow
def test_a_corpus_that_runs_learnt_from_stays(damaged: Path) -> None:
    before = corpora(damaged)
    write_study(damaged, base__corpus__seed=9)
    assert here(damaged, "corpus", "build", "tiny").code == 0 and len(corpora(damaged)) == len(before) + 1
    assert here(damaged, "corpus", "gc").code == 0
    assert corpora(damaged) == before


def test_a_corpus_that_a_trial_reads_stays(project: Project) -> None:
    root = project()
    (path,) = corpora(root)
    (root / "mlruns" / "work" / "tiny" / "0000-search").mkdir(parents=True)
    write_json(root / "mlruns" / "work" / "tiny" / "0000-search" / "job.json", {"store": str(path)})
    assert "in progress" in here(root, "corpus", "list").out
    assert "0 corpora freed" in here(root, "corpus", "gc").out and corpora(root) == [path]


def test_a_font_that_teaches_and_judges_is_spoken_of(project: Project) -> None:
    assert "a font that trains, for want of another" in here(project(), "corpus", "build", "tiny").out


def test_an_estimate_builds_nothing(project: Project) -> None:
    root = project(corpus=False)
    done = here(root, "corpus", "build", "tiny", "--estimate")
    assert done.code == 0 and "tiny: at most" in done.out and "kB on disk" in done.out
    assert not (root / "mlruns" / "corpora").exists()


def test_the_audit_passes_a_sound_corpus_and_names_a_planted_leak(project: Project) -> None:
    root = project()
    sound = here(root, "corpus", "audit", "tiny")
    assert sound.code == 0 and "no leak between train, val and test" in sound.out
    (path,) = corpora(root)
    images = np.load(path / "images.npy")
    manifest = read_json(path / "manifest.json")
    images[-1] = images[0]  # a test image is a training image
    np.save(path / "images.npy", images)
    damaged = here(root, "corpus", "audit", "tiny")
    refused(damaged, 3, "found", "build it again")
    assert "images.npy must have sha256" in damaged.out and "same image: " in damaged.out
    manifest["sha256"]["images.npy"] = file_sha256(path / "images.npy")
    manifest["simulated_font_shared"] = False
    write_json(path / "manifest.json", manifest)
    again = here(root, "corpus", "audit", "tiny")
    refused(again, 3, "found", "build it again")
    assert "same image: " in again.out and "trains and draws simulated scans" in again.out and "sha256" not in again.out
    shutil.rmtree(path)
    assert here(root, "corpus", "audit", "tiny").code == 0, "built again"
