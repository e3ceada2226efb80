"""Whether a picture file is whole, and how large it will be, before a decoder sees it.

OpenCV decodes the first half of a picture without a word, and takes any size; so what a file promises is checked here.
"""

from __future__ import annotations

import struct
import zlib

MAX_PIXELS = 16_000_000
MAX_JPEG_SCANS = 100  # passes over a progressive JPEG; libjpeg makes some ten, and each costs time for the whole picture
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers that begin a frame and hold its size


class BrokenPictureError(Exception):
    """This file is no whole picture; the text is the reason. It never leaves the room."""


def check_picture(content: bytes) -> None:
    """Refuse a file that is no whole PNG, JPEG, WebP or BMP of at most 16 million pixels.

    Raises:
        BrokenPictureError: with the reason.
    """
    try:
        width, height = _size(content)
    except (struct.error, IndexError):
        raise BrokenPictureError("it ends too early") from None
    if width * height > MAX_PIXELS:
        raise BrokenPictureError(f"{width}x{height} pixels are more than {MAX_PIXELS // 10**6} million")
    if width < 1 or height < 1:
        raise BrokenPictureError("it has no pixels")


def _size(content: bytes) -> tuple[int, int]:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(content)
    if content.startswith(b"\xff\xd8"):
        return _jpeg(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp(content)
    if content.startswith(b"BM"):
        return _bmp(content)
    raise BrokenPictureError("not a PNG, JPEG, WebP or BMP picture")


def _png(content: bytes) -> tuple[int, int]:
    """Walk the chunks to the last one, and compare each with its checksum."""
    at, size = 8, (0, 0)
    while True:
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 8 + length
        (recorded,) = struct.unpack_from(">I", content, end)
        if zlib.crc32(memoryview(content)[at + 4 : end]) != recorded:
            raise BrokenPictureError(f"its part {kind.decode('latin-1')!a} is damaged")
        if at == 8:
            if kind != b"IHDR" or length != 13:
                raise BrokenPictureError("it does not begin with its size")
            size = struct.unpack_from(">II", content, at + 8)
        if kind == b"IEND":
            return size
        at = end + 4


def _jpeg(content: bytes) -> tuple[int, int]:
    """Walk the segments to the frame that holds the size; the end of the picture must be there, too."""
    if content.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise BrokenPictureError(f"a JPEG of more than {MAX_JPEG_SCANS} scans")
    if content.rfind(b"\xff\xd9") < 2:
        raise BrokenPictureError("it ends too early")
    at = 2
    while True:
        mark, kind = content[at], content[at + 1]
        if mark != 0xFF:
            raise BrokenPictureError("its parts do not follow each other")
        if kind == 0xFF:  # a byte to fill up
            at += 1
            continue
        if kind in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        if kind in (0xD9, 0xDA):
            raise BrokenPictureError("it does not say its size")
        at += 2 if kind == 0x01 or 0xD0 <= kind <= 0xD7 else 2 + struct.unpack_from(">H", content, at + 2)[0]


def _webp(content: bytes) -> tuple[int, int]:
    (length,) = struct.unpack_from("<I", content, 4)
    if length + 8 > len(content):
        raise BrokenPictureError("it ends too early")
    kind, data = content[12:16], content[20:30]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise BrokenPictureError("it does not begin with its size")


def _bmp(content: bytes) -> tuple[int, int]:
    start, header = struct.unpack_from("<II", content, 10)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
        packed = 0
    else:
        width, height, _, bits, packed = struct.unpack_from("<iiHHI", content, 18)
    width, height = abs(width), abs(height)
    if packed in (0, 3) and start + (width * bits + 31) // 32 * 4 * height > len(content):  # rows as they are
        raise BrokenPictureError("it ends too early")
    return width, height
