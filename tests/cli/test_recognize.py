"""`ocr-sweep recognize`: from pictures to characters, by a file or by what the registry holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from tiny_study import CHARS, here, ipaex, paths_of, refused

from ocr_sweep.delivery import Recogniser
from ocr_sweep.registry.model_file import fetch_onnx, find_version
from ocr_sweep.tracking.tracker import Tracker

pytestmark = pytest.mark.slow  # they read with what a real study made


@pytest.fixture(scope="module")
def model(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tracker = Tracker.open(paths_of(finished))
    folder = tmp_path_factory.mktemp("model")
    return fetch_onnx(tracker, find_version(tracker, "ocr-tiny:1"), folder).rename(folder / "tiny.onnx")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of each character, of several kinds, and one that is none."""
    folder = tmp_path_factory.mktemp("scans")
    font = ImageFont.truetype(str(ipaex()), 60)
    for number, (char, suffix) in enumerate(zip(CHARS, ("png", "jpg", "webp", "bmp") * 3, strict=False)):
        image = Image.new("L", (80, 90), 240)
        ImageDraw.Draw(image).text((10, 12), char, fill=20, font=font)
        (folder / "deep").mkdir(exist_ok=True)
        image.save((folder / "deep" if number % 2 else folder) / f"{number}-{char}.{suffix}")
    (folder / "notes.txt").write_text("no picture")
    return folder


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_is_read_as_json(model: Path, scans: Path, tmp_path: Path) -> None:
    done = here(tmp_path, "recognize", str(scans), "--model", str(model), "--json", "--top", "3")
    assert done.code == 0 and done.err == ""
    read = lines(done.out)
    assert sorted(Path(str(line["file"])).name[0] for line in read) == sorted(str(number) for number in range(len(CHARS)))
    expected = Recogniser.open(model).read([Path(str(line["file"])) for line in read])
    assert [line["char"] for line in read] == [reading.char for reading in expected]
    assert all(len(line["top"]) == 3 for line in read)  # type: ignore[arg-type]
    right = sum(line["top"][0]["char"] in str(line["file"]) for line in read)  # type: ignore[index]
    assert right >= 7, "the tiny network reads clean glyphs"


def test_a_table_shows_candidates_and_unknowns(model: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a short name, which stands in one line
    Image.fromarray(np.full((30, 30), 200, np.uint8)).save("blank.png")
    done = here(tmp_path, "recognize", str(scans / "*.png"), "blank.png", "--model", str(model), "--top", "5")
    assert done.code == 0 and "unknown" in done.out and "candidates" in done.out
    assert done.out.count("%") > 5 * 2 and "blank.png" in done.out and "notes.txt" not in done.out


def test_what_cannot_be_read_is_named_and_the_rest_is_read(model: Path, scans: Path, tmp_path: Path) -> None:
    done = here(tmp_path, "recognize", str(scans / "notes.txt"), str(next(scans.glob("*.png"))), "--model", str(model))
    assert "unreadable" in done.out and "%" in done.out
    refused(done, 2, "1 of 2 pictures could not be read", "notes.txt", "not a PNG, JPEG, WebP or BMP picture")
    refused(here(tmp_path, "recognize", str(tmp_path / "none*"), "--model", str(model)), 2, "no pictures at")
    refused(here(tmp_path, "recognize", str(scans), "--model", "none.onnx"), 2, "no such ONNX file: none.onnx")


def test_a_damaged_model_reads_nothing(model: Path, scans: Path, tmp_path: Path) -> None:
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.onnx").write_bytes(content)
    done = here(tmp_path, "recognize", str(scans), "--model", str(tmp_path / "model.onnx"))
    assert done.out == ""
    refused(done, 3, "must have the digest", "changed or damaged")


def test_production_is_found_and_its_file_compared_with_its_record(damaged: Path, scans: Path) -> None:
    picture = str(next(scans.glob("*.png")))
    refused(here(damaged, "recognize", picture), 2, "no model is in production yet", "models promote")
    assert here(damaged, "models", "promote", "--study", "tiny").code == 0
    by_name = [
        here(damaged, "recognize", picture, "--json", "--model", name) for name in ("production", "ocr-tiny", "ocr-tiny:1")
    ]
    assert [done.code for done in by_name] == [0, 0, 0] and len({done.out for done in by_name}) == 1
    refused(here(damaged, "recognize", picture, "--model", "ocr-tiny:9"), 2, "ocr-tiny has no version 9")
    refused(
        here(damaged, "recognize", picture, "--model", "ocr-tiny:staging"), 2, "has no version in 'staging', but in production"
    )
    refused(here(damaged, "recognize", picture, "--model", "ocr-other"), 2, "no registered model 'ocr-other'", "ocr-tiny")
    tracker = Tracker.open(paths_of(damaged))
    version = find_version(tracker, "production")
    stored = damaged / "mlruns" / "artifacts" / "tiny" / version.run_id / "artifacts" / "model" / "model.onnx"
    other = next(path for path in stored.parents[3].glob("*/artifacts/model/model.onnx") if path != stored)
    stored.write_bytes(other.read_bytes())
    refused(here(damaged, "recognize", picture), 3, "sha256", "changed or damaged")


def test_a_file_is_opened_without_torch_or_mlflow(model: Path, scans: Path) -> None:
    script = (
        f"import sys; sys.argv = ['ocr-sweep', 'recognize', {str(next(scans.glob('*.png')))!r}, '--model', {str(model)!r}]\n"
        "from ocr_sweep.cli.app import _run\n"
        "code = _run()\n"
        "heavy = {'torch', 'mlflow', 'optuna', 'timm', 'onnx', 'onnxscript', 'scipy', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
