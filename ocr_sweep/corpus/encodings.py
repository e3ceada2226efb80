"""Published sets of characters: the coded character sets of East Asia, Unicode's blocks, and the fields of Unihan."""

from __future__ import annotations

import bz2
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ocr_sweep.config.chars import charset_problem
from ocr_sweep.config.charset_file import read_charset_file
from ocr_sweep.config.yaml_file import is_file
from ocr_sweep.disk import store_errors
from ocr_sweep.errors import DataError, NotFoundError


@dataclass(frozen=True)
class Encoding:
    """The characters of a Python codec whose codes lie in a range, in the order of their codes."""

    codec: str
    first: int = 0x80  # code, its bytes read as one number
    last: int = 0xFFFFFFFF


ENCODINGS = {
    "gb2312": Encoding("gb2312"),
    "gb2312-1": Encoding("gb2312", 0xB0A1, 0xD7F9),  # level 1: 3,755 common hanzi, by reading
    "gb2312-2": Encoding("gb2312", 0xD8A1, 0xF7FE),  # level 2: 3,008, by radical
    "gbk": Encoding("gbk"),
    "gb18030": Encoding("gb18030"),
    "big5": Encoding("big5"),
    "big5-1": Encoding("big5", 0xA440, 0xC67E),  # level 1: 5,401 common hanzi, by strokes
    "big5-2": Encoding("big5", 0xC940, 0xF9D5),  # level 2: 7,652, two of them a second time
    "big5hkscs": Encoding("big5hkscs"),
    "cp950": Encoding("cp950"),
    "jisx0208": Encoding("euc_jp", 0xA1A1, 0xFEFE),
    "jisx0208-1": Encoding("euc_jp", 0xB0A1, 0xCFD3),  # level 1: 2,965 common kanji, by reading
    "jisx0208-2": Encoding("euc_jp", 0xD0A1, 0xF4A6),  # level 2: 3,390, by radical
    "jisx0212": Encoding("euc_jp", 0x8FA1A1, 0x8FFEFE),
    "jisx0213": Encoding("shift_jisx0213", 0x8140, 0xFFFF),  # levels 1 to 4: euc_jisx0213 would mix in JIS X 0212
    "shift_jis": Encoding("shift_jis", 0x8140, 0xFFFF),
    "euc_jp": Encoding("euc_jp"),
    "ksx1001": Encoding("euc_kr", 0xA1A1, 0xFEFE),
    "euc_kr": Encoding("euc_kr", 0xA1A1, 0xFEFE),
}

BLOCKS = {
    "general-punctuation": (0x2000, 0x206F),
    "cjk-punctuation": (0x3000, 0x303F),
    "hiragana": (0x3040, 0x309F),
    "katakana": (0x30A0, 0x30FF),
    "bopomofo": (0x3100, 0x312F),
    "cjk-ext-a": (0x3400, 0x4DBF),
    "cjk-unified": (0x4E00, 0x9FFF),
    "vertical-forms": (0xFE10, 0xFE1F),
    "compatibility-forms": (0xFE30, 0xFE4F),
    "fullwidth-forms": (0xFF00, 0xFFEF),
    "cjk-ext-b": (0x20000, 0x2A6DF),
    "cjk-ext-c": (0x2A700, 0x2B73F),
    "cjk-ext-d": (0x2B740, 0x2B81F),
    "cjk-ext-e": (0x2B820, 0x2CEAF),
    "cjk-ext-f": (0x2CEB0, 0x2EBEF),
    "cjk-ext-g": (0x30000, 0x3134F),
    "cjk-ext-h": (0x31350, 0x323AF),
}

KINDS = ("ideographs", "kana", "bopomofo", "punctuation", "symbols", "numbers", "letters")

_CATEGORIES = {"P": "punctuation", "S": "symbols", "N": "numbers", "L": "letters"}
_SUFFIXES = (".txt", ".json", ".pkl", ".pickle")
_LAST_IDEOGRAPH = 0x323AF
_LONGEST = 100_000  # characters of a line of Unihan; true ones have some hundred


def kind_of(char: str) -> str | None:
    """Return the kind of a character, one of `KINDS`; None for spaces, controls, combining marks and what Unicode lacks."""
    name = unicodedata.name(char, "")
    if name.startswith(("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")):
        return "ideographs"
    if name.startswith(("HIRAGANA", "KATAKANA")) and unicodedata.category(char)[0] == "L":
        return "kana"
    if name.startswith("BOPOMOFO"):
        return "bopomofo"
    return _CATEGORIES.get(unicodedata.category(char)[0])


def published(name: str) -> str:
    """Return the characters of a published set, in its order, with spaces, controls and compatibility forms.

    Args:
        name: a key of `ENCODINGS` or `BLOCKS`, a charset file, or `FILE:FIELD` for the characters that have the field in a
            file of the Unihan database.

    Raises:
        NotFoundError: there is no such set or file.
        DataError: the file cannot be used.
    """
    if name in ENCODINGS:
        return _encoded(ENCODINGS[name])
    if name in BLOCKS:
        first, last = BLOCKS[name]
        return "".join(map(chr, range(first, last + 1)))
    file, _, field = name.rpartition(":")
    if file and field.isidentifier():
        return _unihan(Path(file), field)
    if is_charset_file(name):
        return _file(Path(name))
    raise NotFoundError(
        f"no set of characters {name!r}; known encodings: {', '.join(ENCODINGS)}; Unicode blocks: {', '.join(BLOCKS)}; or name a "
        f"charset file ({', '.join(_SUFFIXES)}), or FILE:FIELD of Unihan"
    )


def is_charset_file(name: str) -> bool:
    """Whether a name that is no published set stands for a charset file, in which every character is a class already."""
    return name.lower().endswith(_SUFFIXES)


def _encoded(encoding: Encoding) -> str:
    found = ((code, char) for char, code in _codes(encoding.codec).items() if encoding.first <= code <= encoding.last)
    return "".join(char for _, char in sorted(found))


@cache
def _codes(codec: str) -> dict[str, int]:
    """Every character of one to four bytes that a codec has beyond ASCII, up to the last ideograph, and its code."""
    found: dict[str, int] = {}
    for point in (*range(0x80, 0xD800), *range(0xE000, _LAST_IDEOGRAPH + 1)):
        char = chr(point)
        try:
            code = char.encode(codec)
        except UnicodeEncodeError:
            continue
        if len(code) <= 4:
            found[char] = int.from_bytes(code, "big")
    return found


def _file(path: Path) -> str:
    chars = read_charset_file(path)
    problem = charset_problem(chars)
    if problem:
        raise DataError(f"{path}: {problem}")
    return chars


def _unihan(path: Path, field: str) -> str:
    if not is_file(path):
        raise NotFoundError(
            f"no such file of Unihan: {path}; Debian's package unicode-data has them as /usr/share/unicode/Unihan_*.txt.bz2"
        )
    with store_errors(f"reading {path}"):
        try:
            found = "".join(sorted(set(_having(path, field))))
        except (UnicodeDecodeError, ValueError, OverflowError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DataError(
                f"a file of Unihan must hold lines of U+XXXX, field and value, as text or .bz2, but {path} does not: {error}"
            ) from None
    if not found:
        raise DataError(f"no character of {path} has the field {field!r}; see the head of the file for its fields")
    return found


def _having(path: Path, field: str) -> Iterator[str]:
    with bz2.open(path, "rt", encoding="utf-8") if path.suffix == ".bz2" else path.open(encoding="utf-8") as file:
        while line := file.readline(_LONGEST):
            parts = line.split("\t")
            if len(parts) == 3 and parts[1] == field:
                yield chr(int(parts[0].removeprefix("U+"), 16))
