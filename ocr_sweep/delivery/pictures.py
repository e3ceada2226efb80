"""A picture file to the bytes that a model reads; OpenCV decodes what was found whole."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.delivery.headers import MAX_PIXELS, BrokenPictureError, check_picture
from ocr_sweep.errors import DataError, NotFoundError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MIN_SIDE = 4
"""Pixels; less holds no character."""

_MAX_BYTES = 8 * MAX_PIXELS  # four channels of 16 bits, uncompressed
_CHANNELS = (1, 2, 3, 4)
_UPRIGHT = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH  # turned as its EXIF data say, without its alpha
_JPEG = b"\xff\xd8"
_EXIF = b"eXIf"  # as PNG names it; OpenCV turns no WebP


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a PNG, JPEG, WebP or BMP upright: (H, W, C), gray, RGB, or RGB and alpha.

    Raises:
        NotFoundError: there is no such file.
        DataError: it is no whole picture, or too large or too small.
    """
    if not path.is_file():
        raise NotFoundError(f"no such picture: {path}")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BrokenPictureError(f"a file of more than {_MAX_BYTES // 10**6} million bytes")
        content = path.read_bytes()
        check_picture(content)
        return as_pixels(_decoded(content))
    except (BrokenPictureError, DataError) as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from None


def _decoded(content: bytes) -> NDArray[np.uint8]:
    data = np.frombuffer(content, np.uint8)
    before = cv2.setLogLevel(0)  # silent: what is wrong is said below, once
    try:
        picture = cv2.imdecode(data, _UPRIGHT if content[:2] == _JPEG else cv2.IMREAD_UNCHANGED)
        if picture is not None and picture.shape[2:] != (4,) and _EXIF in content:
            picture = cv2.imdecode(data, _UPRIGHT)
    except cv2.error as error:
        raise BrokenPictureError(f"OpenCV refuses it: {' '.join(str(error).split())[:120]}") from None
    finally:
        cv2.setLogLevel(before)
    if picture is None:
        raise BrokenPictureError("OpenCV cannot decode it")
    if picture.dtype == np.uint16:
        picture = np.asarray(np.round(picture / 257.0), np.uint8)
    return _rgb(picture)


def _rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """OpenCV's order of colours to the usual one."""
    if picture.ndim == 3 and picture.shape[2] == 3:
        return picture[..., ::-1]
    return picture[..., [2, 1, 0, 3]] if picture.ndim == 3 and picture.shape[2] == 4 else picture


def as_pixels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Check an image and give it its channels: (H, W, C).

    Raises:
        DataError: it is no array of bytes (H, W) or (H, W, C), or is too large or too small.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim not in (2, 3):
        came = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise DataError(f"an image must be an array of uint8 (H, W) or (H, W, C), but is {came}")
    pixels = image[..., None] if image.ndim == 2 else image
    height, width, channels = pixels.shape
    if channels not in _CHANNELS:
        raise DataError(f"an image must have 1 to 4 channels, but has {channels}")
    if min(height, width) < MIN_SIDE or height * width > MAX_PIXELS:
        size = f"{width}x{height} pixels"
        raise DataError(f"{size} hold no character" if min(height, width) < MIN_SIDE else f"{size} are too many")
    return np.ascontiguousarray(pixels)
