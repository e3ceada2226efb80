"""One scanned file to one map of its ink: decoding that distrusts the file, polarity, and flattening of the paper."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from ocr_sweep.corpus.glyphs import Gray, ink_box
from ocr_sweep.corpus.intrusions import content_window, keep_box, remove_intrusions

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
MAX_PIXELS = 16_000_000
MAX_PAGE_PIXELS = 80_000_000  # A3 at 600 dots an inch has 70 million
MAX_PIXEL_BYTES = 8  # in the file, for each pixel that is allowed: four channels of 16 bits, uncompressed
MAX_JPEG_SCANS = 100
"""Passes over a progressive JPEG; libjpeg makes some ten. Each costs time for the whole picture and 200 bytes of the file.

What a hostile picture may cost is counted and not clocked, so that a busy machine gives the same verdict as a quiet one.
"""
_ORIENTATION = 0x0112  # of EXIF; 5 to 8 are turned by a quarter
_MIN_SIDE = 4  # pixels
_WORKING_SIDE = 512  # larger pictures are shrunk before the ink is measured
_MIN_CONTRAST = 24.0  # gray levels between ink and paper below which a picture is blank
_PAPER_SIDE = 48  # the paper's level varies slowly: it is estimated on a picture of this size
_CUT_INWARD = 4  # rows beside a cut that may still show the edge of the strip
_DECODER_ERRORS = (
    OSError, ValueError, LookupError, SyntaxError, TypeError, AttributeError, AssertionError, ArithmeticError, EOFError,
    MemoryError, NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip

Levels = NDArray[np.float32]


class UnreadableImageError(Exception):
    """This picture cannot be used; the text is the reason. It never leaves the room."""


@dataclass(frozen=True)
class Unreadable:
    """Instead of an image: why there is none."""

    reason: str


def read_ink(path: Path, rows: tuple[int, int] | None = None) -> Gray:
    """Read a scan of one character as a map of its ink.

    Transparency is laid on paper; of an animation the first frame counts; EXIF rotation is applied; 16-bit, palette and
    CMYK pictures become gray. Dark on bright and bright on dark give the same map.

    Args:
        rows: keep only the rows from the first to before the second, e.g. without a watermark strip.

    Returns:
        (h, w), 0 paper, 255 full ink, longer side at most 512.

    Raises:
        UnreadableImageError: the file is no whole PNG, JPEG, BMP or WebP picture, is too large or too small, or holds no ink.
    """
    gray = decode_gray(path)
    return read_gray(gray if rows is None else _cut(gray, *rows))


def read_gray(gray: Levels, box: tuple[int, int, int, int] | None = None, dark_paper: bool | None = None) -> Gray:
    """Turn the gray levels of one character into a map of its ink, without pieces of its neighbours.

    Args:
        gray: (h, w), 0 black to 255 white.
        box: x, y, width and height in pixels of where the character is known to stand.
        dark_paper: whether the ink is the brighter part; None: decide from the picture.

    Returns:
        (h, w), 0 paper, 255 full ink, longer side at most 512.

    Raises:
        UnreadableImageError: the picture is too small or holds no ink.
    """
    if min(gray.shape) < _MIN_SIDE:
        raise UnreadableImageError(f"{gray.shape[1]}x{gray.shape[0]} pixels hold no character")
    shrink = _WORKING_SIDE / max(gray.shape)
    if shrink < 1:
        size = (max(_MIN_SIDE, round(gray.shape[1] * shrink)), max(_MIN_SIDE, round(gray.shape[0] * shrink)))
        gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA))
    ink = ink_of_gray(gray, dark_paper)
    if box is not None:
        left, top, width, height = (value * min(1.0, shrink) for value in box)
        ink = keep_box(ink, (left, top, width, height))
    cleared = remove_intrusions(ink, content_window(gray, ink))
    if ink_box(cleared) is None:
        raise UnreadableImageError("no ink stands in its box")
    return cleared


def _cut(gray: Levels, first: int, end: int) -> Levels:
    top = first + _CUT_INWARD if first > 0 else 0
    bottom = end - _CUT_INWARD if end < len(gray) else len(gray)
    return gray[top : max(top, bottom)]


def decode_gray(path: Path) -> Levels:
    """Decode a picture to (h, w) gray levels, 0 black to 255 white.

    Raises:
        UnreadableImageError: see `read_ink`.
    """
    return _gray(open_picture(path, MAX_PIXELS))


def open_picture(path: Path, max_pixels: int) -> Image.Image:
    """Decode a picture, and turn it upright as its EXIF data say.

    Raises:
        UnreadableImageError: see `read_ink`.
    """
    assert not ImageFile.LOAD_TRUNCATED_IMAGES, "some library switched on LOAD_TRUNCATED_IMAGES: half pictures would pass"
    with _distrusted(path) as image:
        if image.width * image.height > max_pixels:
            raise UnreadableImageError(f"{image.width}x{image.height} pixels are more than {max_pixels // 10**6} million")
        _check_bytes(path, image, max_pixels)
        image.load()
        return ImageOps.exif_transpose(image)


def _check_bytes(path: Path, image: Image.Image, max_pixels: int) -> None:
    """Refuse what a decoder would swallow for minutes without a pixel to show for it."""
    if path.stat().st_size > MAX_PIXEL_BYTES * max_pixels:
        raise UnreadableImageError(f"a file of more than {MAX_PIXEL_BYTES * max_pixels // 10**6} million bytes")
    if image.format in ("JPEG", "MPO") and path.read_bytes().count(b"\xff\xda") > MAX_JPEG_SCANS:  # start of scan
        raise UnreadableImageError(f"a JPEG of more than {MAX_JPEG_SCANS} scans")


def picture_size(path: Path) -> tuple[int, int] | None:
    """Return the width and height in pixels of the upright picture, from its header; None where that cannot be read."""
    try:
        with _distrusted(path) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in range(5, 9)
            return (image.height, image.width) if turned else (image.width, image.height)
    except UnreadableImageError:
        return None


@contextmanager
def _distrusted(path: Path) -> Iterator[Image.Image]:
    """Open a picture of an allowed format; whatever its decoder raises becomes an UnreadableImageError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                yield image
    except UnidentifiedImageError:
        raise UnreadableImageError("not a PNG, JPEG, BMP or WebP picture") from None
    except _DECODER_ERRORS as error:
        raise UnreadableImageError(" ".join(str(error).split())[:120] or type(error).__name__) from error


def cut_gray(page: Image.Image, box: tuple[int, int, int, int]) -> Levels:
    """Cut (left, top, right, bottom) out of a decoded page, as gray levels."""
    return _gray(page.crop(box))


def _gray(image: Image.Image) -> Levels:
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel
        return np.asarray(np.asarray(image, dtype=np.float32) / np.float32(257))
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB").convert("L"), dtype=np.float32)
    rgba = image.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"), dtype=np.float32) / 255
    gray = np.asarray(rgba.convert("RGB").convert("L"), dtype=np.float32)
    on_white = gray * alpha + 255 * (1 - alpha)
    on_black = gray * alpha  # white ink on nothing shows on black only
    return np.asarray(on_white if np.ptp(on_white) >= _MIN_CONTRAST else on_black, dtype=np.float32)


def ink_of_gray(gray: Levels, dark_paper: bool | None = None) -> Gray:
    """Turn gray levels of either polarity into ink: flat paper becomes 0, the darkest ink 255, grades between are kept.

    Args:
        gray: (h, w), 0 black to 255 white.
        dark_paper: whether the ink is the brighter part; None: decide from the picture.

    Raises:
        UnreadableImageError: there is no ink.
    """
    dark = _dark(gray)
    if dark_paper is None:
        dark_paper = _dark_paper(dark)
    return _flatten(255 - gray, ~dark) if dark_paper else _flatten(gray, dark)


def has_dark_paper(gray: Levels) -> bool:
    """Whether the ink of a picture is its brighter part, as `ink_of_gray` decides by itself; false for a blank one."""
    try:
        return _dark_paper(_dark(gray))
    except UnreadableImageError:
        return False


def _dark(gray: Levels) -> NDArray[np.bool_]:
    smooth = _level(cv2.GaussianBlur(gray, (0, 0), 0.8))
    if np.ptp(smooth) < _MIN_CONTRAST:
        raise UnreadableImageError("blank: there is no ink")
    return np.asarray(smooth <= _otsu(smooth))


def _level(gray: Levels) -> Levels:
    """Take away the plane of best fit, so that one threshold serves a page that is darker on one side."""
    height, width = gray.shape
    y = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2
    x = np.arange(width, dtype=np.float32)[None, :] - (width - 1) / 2
    slope_y = (gray.mean(axis=1) @ y[:, 0]) / (y**2).sum()
    slope_x = (gray.mean(axis=0) @ x[0]) / (x**2).sum()
    return np.asarray(gray - slope_y * y - slope_x * x, dtype=np.float32)


def _otsu(levels: Levels) -> float:
    low, high = float(levels.min()), float(levels.max())
    scaled = ((levels - low) * (255 / (high - low))).astype(np.uint8)
    threshold, _ = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return low + (float(threshold) + 0.5) * (high - low) / 255


def _dark_paper(dark: NDArray[np.bool_]) -> bool:
    """Paper fills most of the picture and most of its edge. The whole weighs more: a tight 口 fills the edge with ink."""
    width = max(1, round(0.04 * min(dark.shape)))
    edge = np.ones_like(dark)
    edge[width:-width, width:-width] = False
    return bool(4 * dark.mean() + dark[edge].mean() > 2.5)


def _flatten(gray: Levels, ink: NDArray[np.bool_]) -> Gray:
    """Subtract a smooth estimate of the paper and its grain, and stretch the ink to 255."""
    reach = 2 * max(1, round(0.02 * max(gray.shape))) + 1
    near_ink = cv2.dilate(ink.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
    paper = ~near_ink if (~near_ink).sum() >= 0.05 * ink.size else ~ink
    depth = _paper_level(gray, paper) - gray  # (h, w) how much darker than the paper
    grain = 2.5 * 1.4826 * float(np.median(np.abs(depth[paper])))
    full = float(np.percentile(depth[ink], 70))
    if full - grain < _MIN_CONTRAST / 2:
        raise UnreadableImageError("no ink stands out from the paper")
    mapped: Gray = np.clip((depth - grain) * (255 / (full - grain)), 0, 255).astype(np.uint8)
    if ink_box(mapped) is None:
        raise UnreadableImageError("no ink stands out from the paper")
    return mapped


def _paper_level(gray: Levels, paper: NDArray[np.bool_]) -> Levels:
    """Spread the paper's gray level smoothly under the ink; where no paper is near, its median speaks."""
    shrink = min(1.0, _PAPER_SIDE / max(gray.shape))
    side = (max(1, round(gray.shape[1] * shrink)), max(1, round(gray.shape[0] * shrink)))
    far, sigma = 1e-3, max(side) / 6
    weight = paper.astype(np.float32)
    blurred, weights = (
        cv2.GaussianBlur(cv2.resize(part, side, interpolation=cv2.INTER_AREA), (0, 0), sigma) for part in (gray * weight, weight)
    )
    level = (blurred + far * float(np.median(gray[paper]))) / (weights + far)
    return np.asarray(cv2.resize(level, gray.shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)
