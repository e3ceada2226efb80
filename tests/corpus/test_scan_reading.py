"""Every way a picture can come: the ink that comes out is the same, or the picture is refused with a reason."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from ocr_sweep.corpus.glyphs import MARGIN, Gray, draw_glyph, ink_box, normalise_ink
from ocr_sweep.corpus.pictures import UnreadableImageError, ink_of_gray, read_ink

Picture = Callable[..., Image.Image]


def read(image: Image.Image, path: Path, **options: object) -> Gray:
    image.save(path, **options)
    return normalise_ink(read_ink(path), 48)


def difference(a: Gray, b: Gray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


@pytest.fixture
def plain(picture: Picture, tmp_path: Path) -> Gray:
    return read(picture("國"), tmp_path / "plain.png")


def test_paper_is_zero_and_ink_is_full(plain: Gray) -> None:
    assert np.percentile(plain, 30) == 0 and plain.max() == 255 and 0.1 < (plain > 128).mean() < 0.5
    assert len(np.unique(plain)) > 30  # not binarised


@pytest.mark.parametrize("char", ["國", "一", "口", "龍"])
def test_either_polarity_gives_the_same_ink(char: str, picture: Picture, tmp_path: Path) -> None:
    image = picture(char)
    assert difference(read(image, tmp_path / "a.png"), read(ImageOps.invert(image), tmp_path / "b.png")) < 1


@pytest.mark.parametrize(("paper", "brush"), [(230, 30), (30, 230)])
def test_a_tightly_cropped_box_is_ink_and_not_paper(paper: int, brush: int) -> None:
    gray = np.full((60, 60), paper, np.float32)
    gray[:6] = gray[-6:] = gray[:, :6] = gray[:, -6:] = brush
    ink = ink_of_gray(gray)
    assert ink[30, 30] == 0 and ink[2, 30] > 250


def test_sloping_paper_comes_out_flat(picture: Picture, tmp_path: Path) -> None:
    image = np.asarray(picture("天", side=128), dtype=float)
    slope = np.linspace(0.55, 1, 128)[None, :]
    ink = read_ink_of(Image.fromarray((image * slope).astype(np.uint8)), tmp_path)
    assert np.median(ink[:, :20]) == 0 and np.median(ink[:, -20:]) == 0


def read_ink_of(image: Image.Image, folder: Path) -> Gray:
    image.save(folder / "x.png")
    return read_ink(folder / "x.png")


@pytest.mark.parametrize("shade", [0, 255])
def test_the_shape_may_lie_in_the_alpha_channel(shade: int, picture: Picture, tmp_path: Path, plain: Gray) -> None:
    alpha = ImageOps.invert(picture("國")).point(lambda v: max(0, v - 40))
    shape = Image.merge("LA", (Image.new("L", alpha.size, shade), alpha))
    assert difference(read(shape, tmp_path / "a.png"), plain) < 8


@pytest.mark.parametrize(
    ("name", "convert"),
    [
        ("palette.png", lambda image: image.convert("P")),
        ("rgb.bmp", lambda image: image.convert("RGB")),
        ("cmyk.jpg", lambda image: image.convert("CMYK")),
        ("lossless.webp", lambda image: image.convert("RGB")),
        ("deep.png", lambda image: Image.fromarray(np.asarray(image).astype(np.uint16) * 257)),
        ("opaque.png", lambda image: image.convert("RGBA")),
        ("bits.png", lambda image: image.point(lambda v: 255 * (v > 128)).convert("1")),
    ],
)
def test_every_mode_gives_the_same_ink(
    name: str, convert: Callable[[Image.Image], Image.Image], picture: Picture, tmp_path: Path, plain: Gray
) -> None:
    assert difference(read(convert(picture("國")), tmp_path / name), plain) < 12


def test_a_rotated_photo_is_turned_upright(picture: Picture, tmp_path: Path, plain: Gray) -> None:
    turned = picture("國").rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen turned by 90 degrees clockwise
    assert difference(read(turned, tmp_path / "a.jpg", exif=exif, quality=95), plain) < 12


def test_the_first_frame_of_an_animation_counts(picture: Picture, tmp_path: Path, plain: Gray) -> None:
    assert difference(read(picture("國"), tmp_path / "a.png", save_all=True, append_images=[picture("一")]), plain) < 1


def test_rows_cut_a_watermark_away(picture: Picture, tmp_path: Path) -> None:
    image = np.vstack([np.asarray(picture("國")), np.tile([0, 255], (20, 48)).astype(np.uint8)])
    Image.fromarray(image).save(tmp_path / "a.png")
    assert read_ink(tmp_path / "a.png", (0, 96)).shape == (92, 96)


def _png_of_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a PNG"),
        (b"just text", "not a PNG"),
        (b"%PDF-1.4 renamed", "not a PNG"),
        (_png_of_size(5000, 5000), "more than 16 million"),
        (_png_of_size(60000, 60000), "exceeds limit|more than 16"),
        (_png_of_size(100, 100), "truncated|image file"),
    ],
)
def test_what_is_no_whole_picture_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=reason):
        read_ink(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_truncated_pictures_are_refused(kind: str, picture: Picture, tmp_path: Path) -> None:
    whole = BytesIO()
    picture("國").convert("RGB").save(whole, kind)
    (tmp_path / "a.png").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises(UnreadableImageError):
        read_ink(tmp_path / "a.png")


@pytest.mark.parametrize(("image", "reason"), [(Image.new("L", (1, 1)), "1x1"), (Image.new("L", (50, 50), 200), "no ink")])
def test_pictures_without_a_character_are_refused(image: Image.Image, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        read_ink_of(image, tmp_path)


def test_damaged_pictures_never_crash(picture: Picture, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "WEBP"):
        whole = BytesIO()
        picture("國").convert("RGB").save(whole, kind)
        for _ in range(60):
            mutant = bytearray(whole.getvalue())
            for place in rng.integers(0, len(mutant), 5):
                mutant[place] = rng.integers(256)
            (tmp_path / "a.png").write_bytes(mutant)
            try:
                read_ink(tmp_path / "a.png")
            except UnreadableImageError as error:
                assert str(error)


def test_the_longer_side_fills_the_square_less_its_margin(ipaex: Path) -> None:
    for char in "國一龍":
        _, _, width, height = ink_box(draw_glyph(ipaex, 0, char, 64)) or (0, 0, 0, 0)
        assert abs(max(width, height) - 64 * (1 - 2 * MARGIN)) <= 1


def test_small_marks_stay_small_and_centred(ipaex: Path) -> None:
    x, y, width, height = ink_box(draw_glyph(ipaex, 0, "。", 64)) or (0, 0, 0, 0)
    assert 15 < max(width, height) < 40
    assert abs(2 * x + width - 64) <= 2 and abs(2 * y + height - 64) <= 2


def test_specks_and_strays_do_not_stretch_the_box() -> None:
    ink = np.zeros((200, 200), np.uint8)
    ink[80:120, 80:120] = 255
    ink[76:78, 90:98] = 255  # a small piece near by belongs to the character
    ink[5, 5] = 255  # a speck
    ink[100:106, 190:194] = 255  # a stray
    assert ink_box(ink) == (80, 76, 40, 44)


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(picture: Picture, tmp_path: Path) -> None:
    buffer = BytesIO()
    picture("國").save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    second, third = [i for i in range(len(content)) if content[i : i + 2] == b"\xff\xda"][1:3]
    path = tmp_path / "one.jpg"
    path.write_bytes(content[:second] + 30 * content[second:third] + content[third:])
    read_ink(path)
    path.write_bytes(content[:second] + 3000 * content[second:third] + content[third:])
    with pytest.raises(UnreadableImageError, match="a JPEG of more than 100 scans"):
        read_ink(path)


def test_a_file_far_larger_than_its_picture_is_refused(picture: Picture, tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    picture("國").save(path)
    os.truncate(path, 127_000_000)  # a hole: it takes no room on the disk
    read_ink(path)
    os.truncate(path, 129_000_000)
    with pytest.raises(UnreadableImageError, match="a file of more than 128 million bytes"):
        read_ink(path)
