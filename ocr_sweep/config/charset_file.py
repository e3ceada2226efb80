"""Charset files: text, JSON, or a pickled list. The order of the file is the order of the classes.

- `.json`: a list of characters, an object from character to class number (0 to K-1), or one string.
- `.pkl`, `.pickle`: a pickled Python list or dict of the same form; it is read, never run.
- every other name: UTF-8 text in which every visible character is a class; lines that begin with `# ` are comments.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

from ocr_sweep.config.chars import code_points
from ocr_sweep.config.charset_pickle import read_pickled
from ocr_sweep.config.yaml_file import is_file
from ocr_sweep.errors import DataError, NotFoundError

MAX_BYTES = 16_000_000
"""Size limit of a charset file; every character of Unicode needs less than a third of it as text."""

_SHOWN = 6  # characters, or parts of one, that an error shows


def read_charset_file(path: Path, first: int | None = None) -> str:
    """Return the characters of a charset file, in order.

    Args:
        first: keep only so many, from the beginning.

    Raises:
        NotFoundError: there is no such file.
        DataError: it cannot be read, is not of its form, or has fewer characters than `first`.
    """
    if not is_file(path):
        raise NotFoundError(f"no such charset file: {path}")
    content = _content(path)
    match path.suffix.lower():
        case ".json":
            chars = _from_json(content, path)
        case ".pkl" | ".pickle":
            chars = _from_pickle(content, path)
        case _:
            chars = _from_text(content, path)
    if first is not None and len(chars) < first:
        raise DataError(f"`first: {first}` must not exceed the {len(chars)} characters of {path}")
    return chars[:first]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"the charset file {path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"a charset file must be smaller than {MAX_BYTES:,} bytes, but {path} is larger")
    return content


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"a charset file must be UTF-8 text, but {path} is not (byte {error.start}); convert it first") from None


def _from_text(content: bytes, path: Path) -> str:
    lines = (line for line in _decoded(content, path).splitlines() if not line.startswith("# "))
    return "".join("".join(line.split()) for line in lines)


def _from_json(content: bytes, path: Path) -> str:
    try:
        value = json.loads(_decoded(content, path), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise DataError(f"the charset file {path} must be JSON, but line {error.lineno} is not: {error.msg}") from None
    except _RepeatedKeyError as error:
        raise DataError(f"a charset must name each character once, but {path} has {error} twice") from None
    except (ValueError, RecursionError):
        raise DataError(f"the charset file {path} must be JSON, but is nested too deep or holds a number too long") from None
    return _classes(value, path)


class _RepeatedKeyError(Exception):
    """A key stands twice in a JSON object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedKeyError(code_points(key) or "an empty text")
        found[key] = value
    return found


def _from_pickle(content: bytes, path: Path) -> str:
    try:
        value = read_pickled(content)
    except DataError as error:
        raise DataError(
            f"the pickled charset {path} cannot be used: {error}; save a plain list of characters, or write them as text or JSON"
        ) from None
    return _classes(value, path)


def _classes(value: Any, path: Path) -> str:
    match value:
        case str():
            chars = list(value)
        case list():
            chars = value
        case dict():
            chars = _by_number(value, path)
        case _:
            raise DataError(
                f"the charset file {path} must hold a list of characters, an object from character to class number, or one "
                f"string, but holds {'nothing (null)' if value is None else type(value).__name__}"
            )
    wrong = [i for i, char in enumerate(chars) if not isinstance(char, str) or len(char) != 1]
    if wrong:
        reasons = [f"number {i}: {_why(chars[i])}" for i in wrong[:_SHOWN]]
        more = f" ... and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise DataError(
            f"every class of {path} must be one character, but {len(wrong)} of {len(chars)} are not: {'; '.join(reasons)}{more}"
        )
    return "".join(chars)


def _why(char: Any) -> str:
    if not isinstance(char, str):
        return f"a {type(char).__name__}"
    if not char:
        return "an empty text"
    composed = unicodedata.normalize("NFC", char[:_SHOWN])
    cure = f" (write {code_points(composed)})" if len(composed) == 1 < len(char) <= _SHOWN else ""
    return f"{code_points(char[:_SHOWN])}{' ...' if len(char) > _SHOWN else ''}{cure}"


def _by_number(value: dict[str, Any], path: Path) -> list[str]:
    """The keys in the order of their class numbers, which must be 0 to K-1."""
    count = len(value)
    wrong = [char for char, number in value.items() if not _fits(number, count)]
    if wrong or len(set(value.values())) != count:
        shown = [f"{_why(char)}: {str(value[char])[:20]!a}" for char in wrong[:_SHOWN]]
        cause = f"{len(wrong)} are not: {', '.join(shown)}" if wrong else "some repeat"
        raise DataError(f"the {count} class numbers of {path} must be 0 to {count - 1}, each once, but {cause}")
    return sorted(value, key=lambda char: int(value[char]))


def _fits(number: Any, count: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < count
