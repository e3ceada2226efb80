"""What a file does to a picture is what the corpus does to a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper
from PIL import Image

from ocr_sweep.corpus.degrade import EM, degrade, draw_degradation
from ocr_sweep.corpus.glyphs import normalise_ink
from ocr_sweep.corpus.pictures import UnreadableImageError, read_gray, read_ink
from ocr_sweep.export.preparation.check import prepared
from ocr_sweep.export.preparation.graph import preparation

Picture = NDArray[np.uint8]
Prepare = Callable[..., NDArray[np.uint8]]


def prepare_with(stored: int, size: int) -> Prepare:
    """The preparation alone, as a file of its own."""
    node, constants = preparation("images", "prepared", "ink", stored, size)
    images = helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ("batch", "height", "width", "channels"))
    flag = helper.make_tensor_value_info("prepared", onnx.TensorProto.BOOL, ())
    ink = helper.make_tensor_value_info("ink", onnx.TensorProto.UINT8, ("batch", size, size))
    off = helper.make_tensor("prepared", onnx.TensorProto.BOOL, [], [False])
    graph = helper.make_graph([node], "preparation", [images, flag], [ink], [off, *constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def prepare(*pictures: Picture, prepared: bool = False) -> NDArray[np.uint8]:
        stacked = np.stack([picture if picture.ndim == 3 else picture[..., None] for picture in pictures])
        squares: NDArray[np.uint8] = session.run(None, {"images": stacked, "prepared": np.array(prepared)})[0]
        return squares

    return prepare


@pytest.fixture(scope="module")
def prepare() -> Prepare:
    return prepare_with(48, 48)


def strokes(rng: np.random.Generator) -> Picture:
    """Some strokes at the size at which degradation begins."""
    glyph = np.zeros((EM, EM), np.uint8)
    for _ in range(rng.integers(1, 8)):
        first, last = rng.integers(6, EM - 6, (2, 2)).tolist()
        cv2.line(glyph, first, last, 255, int(rng.integers(3, 14)), cv2.LINE_AA)
    return glyph


def pictures(kind: str, count: int = 12) -> Iterator[Picture]:
    rng = np.random.default_rng(sum(map(ord, kind)))
    for _ in range(count):
        gray = degrade(strokes(rng), draw_degradation(rng, rng.uniform(0, 1)))
        side = int(rng.integers(5, 50))
        match kind:
            case "inverted":
                gray = 255 - gray
            case "resized":
                gray = cv2.resize(gray, rng.integers(18, 300, 2).tolist(), interpolation=cv2.INTER_AREA)
            case "large":
                gray = cv2.resize(gray, rng.integers(520, 800, 2).tolist(), interpolation=cv2.INTER_LINEAR)
            case "padded":
                gray = np.pad(gray, side, constant_values=float(rng.choice([0, 255, 128, 230])))
            case "cut":
                gray = gray[side:, :-side]
            case "digital":
                gray = np.where(gray < 128, 0, 255)
            case "faint":
                gray = gray * rng.uniform(0.05, 0.5) + rng.uniform(0, 100)
            case "sloping":
                gray = gray * np.linspace(0.3, 1, gray.shape[1])[None]
            case "noise":
                gray = rng.integers(0, 256, rng.integers(4, 120, 2))
            case "narrow":
                gray = gray[:, : int(rng.integers(4, 30))]
        yield np.clip(np.round(gray), 0, 255).astype(np.uint8)


KINDS = ["plain", "inverted", "resized", "large", "padded", "cut", "digital", "faint", "sloping", "noise", "narrow"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_prepared_as_the_corpus_prepares_a_scan(kind: str, prepare: Prepare) -> None:
    for picture in pictures(kind, 4 if kind == "large" else 12):
        expected = prepared(picture, 48, 48)
        (came,) = prepare(picture)
        assert came.any() == expected.any()
        assert np.abs(came.astype(int) - expected).max() <= 2, picture.shape


def drawn(*boxes: tuple[int, int, int, int]) -> Picture:
    """Ink in the boxes (left, top, right, bottom), beside a character in the middle that keeps clear of the edges."""
    gray = np.full((200, 200), 225, np.uint8)
    for left, top, right, bottom in ((60, 60, 140, 76), (92, 60, 108, 140), (60, 124, 140, 140), *boxes):
        gray[top:bottom, left:right] = 20
    return gray


@pytest.mark.parametrize(
    ("strokes", "stays"),
    [
        ([(80, 0, 110, 12)], False),
        ([(80, 188, 110, 200)], False),
        ([(0, 80, 12, 110)], False),
        ([(188, 80, 200, 110)], False),
        ([(180, 0, 200, 14)], False),
        ([(80, 0, 110, 12), (90, 190, 130, 200)], False),
        ([(95, 0, 105, 60)], True),
        ([(80, 0, 110, 54)], True),
        ([(0, 20, 200, 40)], True),
        ([(80, 3, 110, 15)], True),
        ([(10, 0, 18, 62)], True),
    ],
)
def test_a_neighbours_stroke_is_erased_and_the_characters_own_stays(
    strokes: list[tuple[int, int, int, int]], stays: bool, prepare: Prepare
) -> None:
    picture = drawn(*strokes)
    (came,) = prepare(picture)
    assert np.abs(came.astype(int) - prepared(picture, 48, 48)).max() <= 2
    difference = np.abs(came.astype(int) - prepare(drawn())[0]).max()
    assert difference > 100 if stays else difference <= 2


def test_a_picture_does_not_depend_on_the_others_of_its_batch(prepare: Prepare) -> None:
    some = [*pictures("plain", 3), np.full((160, 160), 90, np.uint8), *pictures("inverted", 3)]
    together = prepare(*some)
    np.testing.assert_array_equal(together, np.concatenate([prepare(one) for one in some]))
    assert not together[3].any(), "a blank one gives no ink"


def test_prepared_squares_pass_through(prepare: Prepare) -> None:
    squares = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    np.testing.assert_array_equal(prepare(*squares, prepared=True), squares)
    with pytest.raises(Exception, match="cannot be reshaped"):
        prepare(np.zeros((48, 40), np.uint8), prepared=True)


@pytest.mark.parametrize(("stored", "size"), [(48, 32), (32, 48), (64, 16)])
def test_a_network_of_another_size_gets_what_training_gives_it(stored: int, size: int) -> None:
    other = prepare_with(stored, size)
    for picture in pictures("plain", 4):
        assert np.abs(other(picture)[0].astype(int) - prepared(picture, stored, size)).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_colours_and_transparency_are_read_as_the_corpus_reads_them(mode: str, prepare: Prepare, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    gray = next(pictures("plain", 1))
    coloured = np.stack([gray, np.roll(gray, 1, 0), (gray * 0.8).astype(np.uint8)], axis=-1)
    alpha = np.where(gray < 140, 255, rng.integers(0, 40, gray.shape)).astype(np.uint8)
    layers = {"L": gray[..., None], "LA": np.dstack([gray, alpha]), "RGB": coloured, "RGBA": np.dstack([coloured, alpha])}[mode]
    Image.fromarray(layers.squeeze(), mode).save(tmp_path / "picture.png")
    expected = normalise_ink(read_ink(tmp_path / "picture.png"), 48)
    assert np.abs(prepare(layers)[0].astype(int) - expected).max() <= 2


def test_white_ink_on_nothing_is_ink(prepare: Prepare) -> None:
    glyph = strokes(np.random.default_rng(5))
    white = np.dstack([np.full_like(glyph, 255), glyph])
    (came,) = prepare(white)
    assert came.any() and np.abs(came.astype(int) - prepared(glyph, 48, 48)).max() <= 2


def test_the_reference_itself_refuses_blank_pictures() -> None:
    with pytest.raises(UnreadableImageError):
        read_gray(np.full((30, 30), 7, np.float32))
    assert not prepared(np.full((30, 30), 7, np.uint8), 48, 48).any()


def test_loops_and_branches_give_one_value_so_that_every_process_writes_the_same_bytes() -> None:
    waiting, seen = [preparation("images", "prepared", "ink", 48, 48)[0]], 0
    while waiting:
        node = waiting.pop()
        if node.op_type in ("If", "Loop"):
            assert len(node.output) == 1
            seen += 1
        waiting += [inner for attribute in node.attribute for inner in attribute.g.node]
    assert seen >= 8


@pytest.mark.data
def test_real_scans_are_prepared_alike(prepare: Prepare, real_data: Path) -> None:
    files = sorted(real_data.glob("*/*/*.png"))
    chosen = np.random.default_rng(0).choice(len(files), 40, replace=False)
    for path in (files[i] for i in chosen):
        gray = np.asarray(Image.open(path).convert("L"))
        assert np.abs(prepare(gray)[0].astype(int) - prepared(gray, 48, 48)).max() <= 3, path.name
