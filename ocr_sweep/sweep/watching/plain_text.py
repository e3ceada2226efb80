"""Text that came from elsewhere, made harmless for a terminal and for a file of one line per saying."""

from __future__ import annotations

import unicodedata

_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, invisible formats, halves of characters, separators of lines


def printable(text: str, keep: str = "\n\t") -> str:
    """The text with what could steer a terminal or hide itself written out, e.g. an escape as `\\x1b`.

    Args:
        keep: characters that stay as they are.
    """
    return "".join(_shown(char) if char not in keep and unicodedata.category(char) in _UNSAFE else char for char in text)


def _shown(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")
