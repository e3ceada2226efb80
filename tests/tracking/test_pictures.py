from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from store_files import save_store

from ocr_sweep.store import CorpusView, Source
from ocr_sweep.tracking.pictures import confusion_picture, error_sheet

NUM_CLASSES, PER_CLASS, SIZE = 12, 6, 32


@pytest.fixture
def view(tmp_path: Path) -> CorpusView:
    """Twelve classes; class k is k + 1 bars. One glyph each in training (none of class 11), six images each in val."""
    rows = [(k, Source.RENDERED, 0, k) for k in range(NUM_CLASSES - 1)]
    rows += [(k, Source.SCANNED, 1, 1000 + k * PER_CLASS + i) for k in range(NUM_CLASSES) for i in range(PER_CLASS)]
    images = np.zeros((len(rows), SIZE, SIZE), dtype=np.uint8)
    for image, row in zip(images, rows, strict=True):
        for bar in range(row[0] + 1):
            image[4 + 2 * bar, 4:28] = 255
    recipe = {"charset": {"chars": "一二三王五六七八九十日曰"}}
    save_store(tmp_path, images, rows, sets=["train", "val/book"], recipe=recipe, name="f")
    return CorpusView.open(tmp_path)


def pixels(png: bytes) -> NDArray[np.uint8]:
    assert png.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def simulated(view: CorpusView) -> CorpusView:
    return replace(view, manifest={**view.manifest, "sets": ["train", "val/simulated"]})


def title_width(png: bytes) -> int:
    return int(np.argwhere(pixels(png)[:40, :, 0] < 128)[:, 1].max())


def contains(page: NDArray[np.uint8], image: NDArray[np.uint8]) -> bool:
    """Whether a 72-pixel thumbnail of the image stands somewhere on the page."""
    ink = Image.fromarray(255 - image).convert("RGB").resize((72, 72), Image.Resampling.BICUBIC)
    wanted = np.asarray(ink)
    windows = np.lib.stride_tricks.sliding_window_view(page, (72, 72, 3))[:, :, 0]
    corners = np.argwhere((windows[:, :, ::9, ::9] == wanted[::9, ::9]).all(axis=(2, 3, 4)))
    return any(np.array_equal(windows[y, x], wanted) for y, x in corners)


def one_hot(view: CorpusView) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Perfect predictions on val."""
    indices = view.indices("val")
    labels = view.class_ids[indices]
    top5 = (labels[:, None] + np.arange(5)) % NUM_CLASSES
    return indices, labels, top5, np.tile([0.6, 0.1, 0.1, 0.1, 0.1], (len(labels), 1))


def test_confusion_is_hot_where_the_mistakes_are(view: CorpusView) -> None:
    labels = np.array([0, 0, 0, 1, 2, 2, 3])
    page = pixels(confusion_picture(view, labels, np.array([1, 1, 1, 1, 3, 2, 3]))).astype(int)
    # Classes in order 0, 1, 2, 3; the cell of row r and column c starts at (92 + 52 (r + 1), 24 + 52 (c + 1)).
    cells = page[92 + 52 : 92 + 5 * 52, 24 + 52 : 24 + 5 * 52].reshape(4, 52, 4, 52, 3)
    backs = cells[:, 2, :, 2]
    assert backs[0, 1].tolist() == [213, 94, 0]  # three errors: the darkest
    assert backs[0, 1, 2] < backs[2, 3, 2] < 255  # one error: paler
    assert backs[1, 1, 2] > backs[1, 1, 0] and backs[0, 2].tolist() == [246, 248, 250]  # read right; nothing


def test_confusion_shows_at_most_top_characters(view: CorpusView) -> None:
    labels = np.arange(10)
    sides = [pixels(confusion_picture(view, labels, (labels + 1) % 10, top=top)).shape[0] for top in (4, 10)]
    assert sides == [92 + 5 * 52 + 24, 92 + 11 * 52 + 24]


def test_sheet_shows_image_truth_and_reading_of_errors_only(view: CorpusView) -> None:
    indices, labels, top5, prob5 = one_hot(view)
    top5[7, :2] = 4, 1  # the second image of class 1 is read as class 4
    page = pixels(error_sheet(view, indices, labels, top5, prob5))
    shown = [contains(page, np.asarray(view.images[view.glyph_indices[k]])) for k in range(NUM_CLASSES - 1)]
    assert shown == [k in (1, 4) for k in range(NUM_CLASSES - 1)]


def test_sheet_begins_with_the_most_confident_errors(view: CorpusView) -> None:
    indices, labels, top5, prob5 = one_hot(view)
    top5[:, 0] = (labels + 1) % (NUM_CLASSES - 1)
    prob5[:, 0] = np.linspace(0.2, 0.9, len(labels))
    page = pixels(error_sheet(view, indices, labels, top5, prob5, limit=12))  # classes 10 and 11, read as 0 and 1
    shown = [contains(page, np.asarray(view.images[view.glyph_indices[k]])) for k in (0, 1, 2, 9, 10)]
    assert shown == [True, True, False, False, True]


def test_no_errors_is_said(view: CorpusView) -> None:
    indices, labels, top5, prob5 = one_hot(view)
    nothing, wrong = error_sheet(view, indices, labels, top5, prob5), top5.copy()
    wrong[0, 0] = 3
    assert pixels(nothing).shape[0] < 200 < pixels(error_sheet(view, indices, labels, wrong, prob5)).shape[0] + 50
    assert pixels(confusion_picture(view, labels, labels)).shape[0] < 200


def test_title_tells_simulated_scans_from_scans(view: CorpusView) -> None:
    indices, labels, top5, prob5 = one_hot(view)
    for real, faked in [
        (confusion_picture(view, labels, labels), confusion_picture(simulated(view), labels, labels)),
        (error_sheet(view, indices, labels, top5, prob5), error_sheet(simulated(view), indices, labels, top5, prob5)),
    ]:
        assert title_width(faked) > title_width(real) + 40


def test_same_input_same_bytes_and_fast(view: CorpusView) -> None:
    indices, labels, top5, prob5 = one_hot(view)
    top5[:, 0] = (labels + 1) % NUM_CLASSES  # class 11 has no glyph: its code point stands for it
    start = perf_counter()
    first = error_sheet(view, indices, labels, top5, prob5), confusion_picture(view, labels, top5[:, 0])
    assert perf_counter() - start < 2.0  # 0.1 s alone; the machine may be busy
    assert first == (error_sheet(view, indices, labels, top5, prob5), confusion_picture(view, labels, top5[:, 0]))
