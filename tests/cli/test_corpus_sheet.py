"""The sheet of augmentation: whose policy it shows, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image
from tiny_study import here, refused, write_study

Project = Callable[..., Path]
BLUR = {"op": "gaussian_blur", "probability": 0.5, "sigma_range": [0.0, 0.05]}
EROSION = {"op": "erosion", "probability": 0.5, "radius_range": [0.0, 0.2]}


def sheet(root: Path, source: str) -> Image.Image:
    assert here(root, "corpus", "sheet", "tiny", "--source", source).code == 0
    (path,) = (root / "reports").glob(f"*-augmentation-{source}-*.png")
    return Image.open(path)


def test_the_sheet_shows_the_policy_of_the_source_and_the_studys_own(project: Project) -> None:
    root = project()
    rows = {source: sheet(root, source).height for source in ("rendered", "scanned", "generated")}
    assert rows["rendered"] == rows["generated"] > rows["scanned"]
    write_study(root, base__augment__scanned={"strength": 0.5, "policy": [BLUR]})
    assert sheet(root, "scanned").height < rows["scanned"] and sheet(root, "rendered").height == rows["rendered"]


def test_an_unknown_source_and_a_policy_that_harms_scans_are_refused(project: Project) -> None:
    root = project()
    refused(here(root, "corpus", "sheet", "tiny", "--source", "fonts"), 2, "--source must be one of rendered, scanned, generated")
    write_study(root, base__augment__scanned={"strength": 0.5, "policy": [BLUR, EROSION]})
    refused(here(root, "corpus", "sheet", "tiny"), 2, "must leave the strokes of scans as they are, but got erosion")
    assert not (root / "reports").exists()
