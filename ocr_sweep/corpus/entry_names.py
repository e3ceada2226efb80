"""Names of archive entries: what may become a path, and how names of other systems are read."""

from __future__ import annotations

import unicodedata

_MAX_BYTES = 255  # of a file's name on common file systems
_MAX_LENGTH = 1024  # bytes of a whole name


def check_name(name: str) -> str:
    """Return the relative path that an entry may be written to, with / between folders.

    Names that were decomposed as macOS does are composed (Unicode form NFC).

    Raises:
        ValueError: the name is absolute, climbs with '..', or is one that file systems treat in different ways; the text is
            the reason.
    """
    shown = f"the name of entry {name[:80]!a}"
    if any(char == "\\" or "\ud800" <= char <= "\udfff" or unicodedata.category(char) == "Cc" for char in name):
        raise ValueError(f"{shown} holds a backslash, a control character, or bytes that are not UTF-8")
    composed = unicodedata.normalize("NFC", name)
    if name not in (composed, unicodedata.normalize("NFD", name)):
        raise ValueError(f"{shown} is in no Unicode normal form; rename it to {composed[:80]!a}")
    if composed.startswith("/") or (len(composed) > 1 and composed[1] == ":" and composed[0].isascii()):
        raise ValueError(f"{shown} is absolute and would be written outside the folder")
    parts = [part for part in composed.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"{shown} climbs out of the folder")
    if len(composed.encode()) > _MAX_LENGTH or any(len(part.encode()) > _MAX_BYTES for part in parts):
        raise ValueError(f"{shown} is longer than {_MAX_LENGTH} bytes, or a part of it than {_MAX_BYTES}")
    if not parts and not name.endswith("/"):
        raise ValueError(f"{shown} is empty")
    return "/".join(parts)


def utf8_name(name: str, *, marked: bool) -> str | None:
    """The name of a zip entry as its packer meant it, if that was UTF-8.

    Args:
        name: as `zipfile` decoded it: from UTF-8 where the entry is marked so, else from code page 437.
    """
    if marked or name.isascii():
        return name
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return None
