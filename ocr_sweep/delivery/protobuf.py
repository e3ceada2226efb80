"""Protocol buffers' wire format, as far as an ONNX file must be looked into before a runtime is trusted with it.

Reference:
    https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field of a message."""

    number: int
    value: int  # of a varint; 0 for all others
    content: memoryview  # of text, bytes and inner messages; empty for numbers
    start: int  # where the content begins in the file


def fields(message: memoryview, start: int = 0) -> Iterator[Field]:
    """Yield the fields of a message in their order.

    Args:
        start: where the message begins in the file.

    Raises:
        ValueError: these bytes are no message.
    """
    at, length = 0, len(message)
    while at < length:
        key, at = _varint(message, at)
        kind, value, size = key & 7, 0, 0
        if kind == _VARINT:
            value, at = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"a field of unknown kind {kind}")
        if key >> 3 == 0 or size > length - at:
            raise ValueError("a field that ends after its message")
        yield Field(key >> 3, value, message[at : at + size], start + at)
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    if at < len(message) and message[at] < 128:  # nearly all of them
        return message[at], at + 1
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number that does not end")
