"""Reading pictures with a delivered file, and with nothing but what a customer has installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx_edits import edit, unchanged

from ocr_sweep.delivery import Recogniser
from ocr_sweep.delivery.recogniser import calibrated
from ocr_sweep.errors import DataError, NotFoundError
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.metrics import confidence_and_nll
from ocr_sweep.store import CorpusView

CHARS = "一二三十口日田木"
Draw = Callable[..., NDArray[np.uint8]]

_ALONE = """
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {allowed!r}:
            raise ImportError(f"{name} is not installed at the customer's")
        return None

sys.meta_path.insert(0, Refuse())
from ocr_sweep.delivery import Recogniser
(reading,) = Recogniser.open(sys.argv[1]).read([sys.argv[2]])
print(reading.char, f"{reading.confidence:.6f}", len(reading.top))
"""


def test_a_customer_needs_onnxruntime_numpy_and_opencv_alone(file: Path, picture: Draw, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "scan.png"), picture(4))
    blocked = {
        "torch", "torchvision", "timm", "mlflow", "optuna", "pydantic", "onnx", "onnxscript", "PIL", "scipy", "yaml", "pyarrow",
        "safetensors", "fontTools", "imgaug", "typer", "rich", "jinja2", "matplotlib",
    }  # fmt: skip
    script = _ALONE.replace("{allowed!r}", repr(blocked))
    command = [sys.executable, "-c", script, str(file), str(tmp_path / "scan.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (reading,) = Recogniser.open(file).read([tmp_path / "scan.png"])
    assert done.stdout.split() == [str(reading.char), f"{reading.confidence:.6f}", "5"]


def test_pictures_of_any_size_and_polarity_are_read_in_their_order(file: Path, picture: Draw) -> None:
    recogniser = Recogniser.open(file)
    drawn = [picture(k, times, margin) for times, margin in ((2, 3), (4, 9), (7, 2)) for k in (0, 3, 4, 6)]
    pictures = [levels if number % 2 else 255 - levels for number, levels in enumerate(drawn)]
    pictures[1] = np.dstack([pictures[1]] * 3)
    readings = recogniser.read(pictures)
    assert [reading.top[0][0] for reading in readings] == [CHARS[k] for _ in range(3) for k in (0, 3, 4, 6)]
    assert [recogniser.read([one])[0].top[0][0] for one in pictures] == [reading.top[0][0] for reading in readings]


def test_a_reading_has_five_characters_by_confidence(file: Path, picture: Draw) -> None:
    (reading,) = Recogniser.open(file).read([picture(4)])
    assert len(reading.top) == 5 and reading.char == "口" == reading.top[0][0]
    confidences = [confidence for _, confidence in reading.top]
    assert confidences == sorted(confidences, reverse=True) and reading.confidence == confidences[0] and sum(confidences) <= 1


def test_below_the_threshold_a_picture_is_unknown(file: Path, picture: Draw) -> None:
    (reading,) = Recogniser.open(file).read([picture(4)])
    for threshold, char in ((reading.confidence - 1e-9, "口"), (reading.confidence + 1e-9, None)):
        edit(file, unchanged, metadata=lambda facts, at=threshold: facts["threshold"].update(value=at))  # type: ignore[misc]
        (again,) = Recogniser.open(file).read([picture(4)])
        assert again.char == char and again.top == reading.top


def test_a_blank_picture_is_unknown_and_has_no_candidates(file: Path) -> None:
    (reading,) = Recogniser.open(file).read([np.full((40, 40), 200, np.uint8)])
    assert (reading.char, reading.confidence, reading.top) == (None, 0.0, ())


def test_the_temperature_of_the_file_sets_the_confidence(file: Path, picture: Draw) -> None:
    sharp = Recogniser.open(file).read([picture(4)])[0]
    edit(file, unchanged, metadata=lambda facts: facts.update(temperature=20.0))
    flat = Recogniser.open(file).read([picture(4)])[0]
    assert flat.top[0][0] == sharp.top[0][0] and flat.confidence < sharp.confidence


def test_confidence_is_the_one_that_validation_was_judged_by(file: Path, tiny_corpus: CorpusView) -> None:
    val = tiny_corpus.indices("val")
    logits = Scorer(file, threads=1).corpus_logits(tiny_corpus, val)
    judged, _ = confidence_and_nll(logits, tiny_corpus.class_ids[val], 1.7)
    np.testing.assert_allclose(calibrated(logits, 1.7).max(axis=1), judged, rtol=1e-6)


def test_no_pictures_give_no_readings(file: Path) -> None:
    assert Recogniser.open(file).read([]) == []


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((20, 20), np.float32), "must be an array of uint8 .* but is float32"),
        (np.zeros(20, np.uint8), "must be an array of uint8"),
        ("picture", "no such picture"),
        (np.zeros((20, 20, 5), np.uint8), "must have 1 to 4 channels, but has 5"),
        (np.zeros((3, 20), np.uint8), "20x3 pixels hold no character"),
        (np.zeros((5000, 5000), np.uint8), "5000x5000 pixels are too many"),
        (17, "must be an array of uint8 .* but is int"),
    ],
)
def test_what_is_no_picture_is_refused(image: object, words: str, file: Path) -> None:
    with pytest.raises((DataError, NotFoundError), match=words):
        Recogniser.open(file).read([image])  # type: ignore[list-item]
