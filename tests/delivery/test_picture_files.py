"""Decoding agrees with the corpus's own, and what is no whole picture is refused with a reason."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ocr_sweep.corpus.pictures import decode_gray
from ocr_sweep.delivery import read_picture
from ocr_sweep.delivery.headers import MAX_PIXELS
from ocr_sweep.errors import DataError, NotFoundError

Draw = Callable[..., NDArray[np.uint8]]
FORMATS = ["png", "jpg", "webp", "bmp"]


def gray_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the preparation makes of a decoded picture."""
    levels = pixels.astype(np.float32)
    gray = levels[..., 0] if levels.shape[2] < 3 else np.round(levels[..., :3] @ np.float32([0.299, 0.587, 0.114]))
    if levels.shape[2] % 2:
        return gray
    return gray * levels[..., -1] / 255 + 255 - levels[..., -1]


@pytest.fixture
def colours(picture: Draw) -> Image.Image:
    gray = picture(6, 5)
    return Image.fromarray(np.dstack([gray, (gray * 0.7).astype(np.uint8), np.roll(gray, 2, 0)]))


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_every_kind_of_picture_is_decoded_as_the_corpus_decodes_it(
    mode: str, suffix: str, colours: Image.Image, tmp_path: Path
) -> None:
    image = colours.convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(np.asarray(colours.convert("L")) // 2 + 100))
    path = tmp_path / f"picture.{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    (image.convert("RGB") if suffix == "jpg" and mode in ("RGBA", "P", "1") else image).save(path, **options)
    difference = np.abs(gray_of(read_picture(path)) - decode_gray(path))
    assert difference.mean() < 0.5 and difference.max() <= 3


def test_sixteen_bits_and_exif_are_understood(picture: Draw, tmp_path: Path) -> None:
    gray = picture(4).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), gray)
    np.testing.assert_array_equal(read_picture(tmp_path / "deep.png")[..., 0], picture(4))
    turned = Image.fromarray(picture(1, 4)[:40])
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    for name, options in {"turned.jpg": {"quality": 95}, "turned.png": {}}.items():
        turned.save(tmp_path / name, exif=exif, **options)
        np.testing.assert_allclose(read_picture(tmp_path / name)[..., 0], decode_gray(tmp_path / name), atol=2)


def saved(colours: Image.Image, suffix: str, folder: Path) -> Path:
    path = folder / f"whole.{suffix}"
    colours.save(path)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_picture_that_ends_too_early_is_refused(suffix: str, colours: Image.Image, tmp_path: Path) -> None:
    content = saved(colours, suffix, tmp_path).read_bytes()
    for share in (0.0, 0.01, 0.3, 0.7, 0.97):
        broken = tmp_path / f"broken.{suffix}"
        broken.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError, match=r"broken\.\w+ cannot be read as a picture: "):
            read_picture(broken)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(DataError, match=f"60000x60000 pixels are more than {MAX_PIXELS // 10**6} million"):
        read_picture(tmp_path / "bomb.png")


def test_a_damaged_part_of_a_png_is_named(colours: Image.Image, tmp_path: Path) -> None:
    path = saved(colours, "png", tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(DataError, match="its part 'IDAT' is damaged"):
        read_picture(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a PNG, JPEG, WebP or BMP picture"),
        (b"GIF89a" + bytes(100), "not a PNG, JPEG, WebP or BMP picture"),
        (b"%PDF-1.4", "not a PNG, JPEG, WebP or BMP picture"),
        (b"\xff\xd8\xff\xe0\x00", "it ends too early"),
        (b"\xff\xd8" + b"\xff\xda" * 101 + b"\xff\xd9", "a JPEG of more than 100 scans"),
        (b"RIFF\x20\x00\x00\x00WEBPJUNK" + bytes(24), "it does not begin with its size"),
        (b"BM" + bytes(80), "it has no pixels"),
    ],
)
def test_what_is_no_picture_has_a_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_picture(tmp_path / "x.png")


def test_a_missing_picture(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such picture"):
        read_picture(tmp_path / "none.png")


@pytest.mark.parametrize("suffix", FORMATS)
def test_mutated_pictures_are_read_or_refused(suffix: str, colours: Image.Image, tmp_path: Path) -> None:
    content = saved(colours, suffix, tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        changed = bytearray(content)
        for place in rng.integers(0, len(content) if rng.random() < 0.5 else 64, rng.integers(1, 8)).tolist():
            changed[place] = int(rng.integers(256))
        (tmp_path / "mutant").write_bytes(changed)
        try:
            assert read_picture(tmp_path / "mutant").dtype == np.uint8
        except DataError:
            refused += 1
    assert refused > 0
