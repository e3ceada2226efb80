"""Which characters can be classes, and how an error names them: by their code points."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

_INVISIBLE = {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"}  # Unicode categories: controls, format characters, surrogates, separators


def code_points(text: str) -> str:
    """Return e.g. "U+4E00 U+3099" for the characters of `text`."""
    return " ".join(f"U+{ord(char):04X}" for char in text)


def listed(parts: Sequence[str], between: str = ", ", most: int = 10) -> str:
    """Join the first parts, and say how many more there are."""
    more = f" ... and {len(parts) - most} more" if len(parts) > most else ""
    return between.join(parts[:most]) + more


def charset_problem(chars: str) -> str | None:
    """Say why `chars` cannot be a charset; None if it can. One pass: 17,380 characters take some milliseconds."""
    unseen = sorted({code_points(c) for c in chars if c.isspace() or unicodedata.category(c) in _INVISIBLE})
    if unseen:
        return f"a charset must hold visible characters only, but got {listed(unseen)}"
    loose = sorted({code_points(c) for c in chars if unicodedata.category(c).startswith("M")})
    if loose:
        return f"a charset must hold characters that stand alone, but these are parts of decomposed ones: {listed(loose)}"
    changed = [c for c in chars if not unicodedata.is_normalized("NFC", c)]
    if changed:
        pairs = [f"{c} {code_points(c)} -> {code_points(unicodedata.normalize('NFC', c))}" for c in changed]
        return f"a charset must be in Unicode form NFC, but these characters are not: {listed(pairs)}"
    repeated = sorted(char for char, count in Counter(chars).items() if count > 1)
    if repeated:
        return f"a charset must name each character once, but these repeat: {listed([f'{c} {code_points(c)}' for c in repeated])}"
    return None
