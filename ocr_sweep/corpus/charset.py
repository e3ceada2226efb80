"""How a folder names a character: by itself, or as U+XXXX."""

from __future__ import annotations

import re
import unicodedata

from ocr_sweep.config.chars import code_points
from ocr_sweep.errors import DataError

__all__ = ["char_of_folder", "code_points"]


def char_of_folder(name: str, kind: str = "folder") -> str:
    """Return the character that a folder name stands for: the name itself, or `U+` and 4 to 6 hex digits.

    Args:
        kind: what bears the name, for the error: a folder or a label.

    Raises:
        DataError: the name is no single visible character in Unicode form NFC (compatibility ideographs and decomposed
            kana are not), and what to write instead.
    """
    char = _from_hex(name) if re.fullmatch(r"[Uu]\+[0-9A-Fa-f]{4,6}", name) else name
    composed = unicodedata.normalize("NFC", char)
    shown = f"{kind} {name!a}"
    if composed != char and len(composed) == 1:
        form = "a compatibility form" if len(char) == 1 else "a decomposed form"
        cure = "rename the folder to" if kind == "folder" else "write"
        raise DataError(
            f"{shown} must name a character in Unicode form NFC, but {code_points(char)} is {form} of {composed} "
            f"{code_points(composed)}; {cure} {code_points(composed)}"
        )
    if len(char) != 1 or char.isspace() or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Cn"):
        raise DataError(f"{shown} must name one visible character, either itself or as U+XXXX, but names {len(char)} or none")
    return char


def _from_hex(name: str) -> str:
    value = int(name[2:], 16)
    return chr(value) if value <= 0x10FFFF else name
