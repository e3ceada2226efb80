"""Whether a face really draws a character, and if not, why not; and glyphs that stand for two characters."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from fontTools.pens.boundsPen import BoundsPen
from fontTools.ttLib import TTFont
from PIL import ImageFont

from ocr_sweep.corpus.glyphs import PROBE_EM, Gray, draw_ink, load_face

if TYPE_CHECKING:
    from ocr_sweep.corpus.fonts import Face

REPEATS = 3
"""A bitmap under so many code points of one face is a placeholder (zi2zi's filter)."""

LARGEST = 2.0
"""Ink that is longer than so many em is cut off: no text could be set with it."""

_MISSING = "\U0010fffd"  # a private character that no font draws


class State(StrEnum):
    """What a face makes of a character."""

    DRAWN = "drawn"
    NOT_IN_CMAP = "not in cmap"
    EMPTY_OUTLINE = "empty outline"
    BLANK = "blank bitmap"
    NOTDEF = "equals .notdef"
    CLIPPED = "clipped"
    PLACEHOLDER = "placeholder"


@dataclass(frozen=True)
class Coverage:
    """What a face makes of the characters that it was asked for."""

    glyph_hashes: dict[str, str]  # of those that it draws: hash of the bitmap, cropped to the ink
    extents: dict[str, float]  # of those that it draws: longer side of the ink as a share of the em
    lost: dict[str, State]  # all others


def examine(path: Path, index: int, chars: str) -> Coverage:
    """Draw every character and tell the truly drawn ones from the others.

    A missing glyph raises nothing: FreeType draws the .notdef box. What counts as lost is therefore a bitmap that has no ink
    (its outline is empty, or leaves no mark), equals the one of a missing character, is longer than two em, or appears under
    three or more code points at the same place.

    References:
        The filter of identical glyphs is zi2zi's (github.com/kaonashi-tyc/zi2zi).
    """
    font = load_face(path, index, PROBE_EM)
    missing = _digest(draw_ink(font, _MISSING))
    hashes: dict[str, str] = {}
    extents: dict[str, float] = {}
    lost: dict[str, State] = {}
    for char in chars:
        ink = draw_ink(font, char)
        digest = _digest(ink)
        if not ink.size:
            lost[char] = State.BLANK
        elif digest == missing:
            lost[char] = State.NOTDEF
        elif max(ink.shape) > LARGEST * PROBE_EM:
            lost[char] = State.CLIPPED
        else:
            hashes[char], extents[char] = digest, max(ink.shape) / PROBE_EM
    lost |= dict.fromkeys(_placeholders(font, hashes), State.PLACEHOLDER)
    lost |= _without_outline(path, index, [char for char in chars if lost.get(char) == State.BLANK])
    kept = [char for char in hashes if char not in lost]
    return Coverage({char: hashes[char] for char in kept}, {char: extents[char] for char in kept}, lost)


def _digest(ink: Gray) -> str:
    return hashlib.blake2b(ink.tobytes(), digest_size=16, salt=repr(ink.shape).encode()).hexdigest()


def _placeholders(font: ImageFont.FreeTypeFont, hashes: dict[str, str]) -> list[str]:
    """Characters whose bitmap lies under three or more code points at one height: a dot above is not a dot below."""
    repeated = {digest for digest, count in Counter(hashes.values()).items() if count >= REPEATS}
    places = {char: (digest, font.getbbox(char)[1]) for char, digest in hashes.items() if digest in repeated}
    shown = Counter(places.values())
    return [char for char, place in places.items() if shown[place] >= REPEATS]


def _without_outline(path: Path, index: int, blank: list[str]) -> dict[str, State]:
    """Of characters that leave no ink, those whose outline is empty."""
    if not blank:
        return {}
    with path.open("rb") as file, TTFont(file, fontNumber=index, lazy=True) as font:
        names, glyphs = font.getBestCmap() or {}, font.getGlyphSet()
        found = {}
        for char in blank:
            pen = BoundsPen(glyphs)
            glyphs[names.get(ord(char), ".notdef")].draw(pen)
            if pen.bounds is None:
                found[char] = State.EMPTY_OUTLINE
        return found


@dataclass(frozen=True)
class Conflict:
    """One bitmap under several characters."""

    chars: str  # in code point order
    shown: tuple[tuple[str, str], ...]  # label of a face, and the characters that it shows so

    @property
    def within_a_face(self) -> bool:
        """Whether one face alone shows two characters so."""
        return any(len(chars) > 1 for _, chars in self.shown)


def find_conflicts(faces: Iterable[Face]) -> list[Conflict]:
    """List the bitmaps that stand for different characters, in one face or in several.

    Bitmaps are compared at 128 pixels per em, cropped to their ink, because that is what a stored image shows: where the ink
    lies in its em box is not seen. Bitmaps that are equal here are equal at every stored size.
    """
    shown: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for face in faces:
        for char, digest in face.glyph_hashes.items():
            shown[digest][face.label].append(char)
    found = []
    for by_face in shown.values():
        chars = sorted({char for held in by_face.values() for char in held})
        if len(chars) > 1:
            found.append(Conflict("".join(chars), tuple((label, "".join(sorted(held))) for label, held in by_face.items())))
    return sorted(found, key=lambda conflict: (conflict.chars, conflict.shown))
