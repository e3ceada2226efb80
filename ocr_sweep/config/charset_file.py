"""Charset files: every visible character is a class, in order; lines that begin with `# ` are comments."""

from __future__ import annotations

from pathlib import Path

from ocr_sweep.config.yaml_file import is_file
from ocr_sweep.errors import DataError, NotFoundError


def read_charset_file(path: Path, first: int | None = None) -> str:
    """Return the characters of a charset file, in order.

    Args:
        first: keep only so many, from the beginning.

    Raises:
        NotFoundError: there is no such file.
        DataError: it cannot be read, is not UTF-8, or has fewer characters than `first`.
    """
    if not is_file(path):
        raise NotFoundError(f"no such charset file: {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"a charset file must be UTF-8 text, but {path} is not (byte {error.start}); convert it first") from None
    except OSError as error:
        raise DataError(f"the charset file {path} cannot be read: {error.strerror}") from error
    lines = (line for line in text.splitlines() if not line.startswith("# "))
    chars = "".join("".join(line.split()) for line in lines)
    if first is not None and len(chars) < first:
        raise DataError(f"`first: {first}` must not exceed the {len(chars)} characters of {path}")
    return chars[:first]
