"""A charset by rule: published sets in order, then only what has scans, what fonts draw and what can be told apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.chars import charset_problem, code_points
from ocr_sweep.corpus.encodings import is_charset_file, kind_of, published
from ocr_sweep.corpus.fonts import Face
from ocr_sweep.corpus.glyphs import draw_glyph
from ocr_sweep.errors import DataError

_PROBE = 32  # pixels at which glyphs are compared, as a corpus would store them
_ALIKE = 6.0  # root mean square difference of two pictures of 0 to 255 up to which they are one
_ROWS = 512  # pictures compared at once with all others
_LINE = 50  # characters of a written line
_SHOWN = 20  # characters named in a remark


@dataclass(frozen=True)
class Charset:
    """Characters in class order, and one remark for each step that led to them."""

    chars: str
    remarks: tuple[str, ...]

    def narrowed(self, chars: str, remark: str) -> Charset:
        """What is left after a step.

        Raises:
            DataError: fewer than two characters are.
        """
        if len(chars) < 2:
            raise DataError(f"a charset needs at least 2 characters, but {len(chars)} of {len(self.chars)} are left: {remark}")
        return Charset(chars, (*self.remarks, remark))


def union(sets: Sequence[str], kinds: Sequence[str], add: str = "", without: str = "") -> Charset:
    """Take the characters of published sets, one set after the other, each character once and in Unicode form NFC.

    Args:
        sets: names that `published` knows.
        kinds: of `KINDS`, what to take; empty: everything.
        add: characters that come last, whatever their kind.
        without: characters that are left out.

    Raises:
        NotFoundError, DataError: see `published`; or `add` holds what can be no class, or fewer than two characters are left.
    """
    chars: dict[str, None] = {}
    remarks = []
    for name in sets:
        everything = is_charset_file(name) and not kinds  # private characters too, which are of no kind
        wanted = [char for char in published(name) if everything or _wanted(kind_of(char), kinds)]
        composed = [unicodedata.normalize("NFC", char) for char in wanted]
        single = dict.fromkeys(char for char in composed if len(char) == 1)
        new = single.keys() - chars.keys()
        folded = sum(a != b for a, b in zip(wanted, composed, strict=True))
        chars |= single
        remarks.append(
            f"{_file_name(name)}: {len(new):,} taken of {len(single):,}" + (f", {folded:,} folded to NFC" if folded else "")
        )
    extra = dict.fromkeys(add)
    if extra:
        remarks.append(f"added: {''.join(char for char in extra if char not in chars)}")
    problem = charset_problem("".join(extra))
    if problem:
        raise DataError(f"--add: {problem}")
    united = Charset("".join(chars | extra), tuple(remarks))
    kept = "".join(char for char in united.chars if char not in without)
    if without:
        return united.narrowed(kept, f"left out by hand: {''.join(char for char in without if char in united.chars)}")
    return Charset(united.narrowed(kept, "; ".join(remarks)).chars, united.remarks)


def _wanted(kind: str | None, kinds: Sequence[str]) -> bool:
    return kind is not None and (not kinds or kind in kinds)


def _file_name(name: str) -> str:
    return name.rpartition("/")[2]


def scanned_chars(counts: Mapping[str, int]) -> Charset:
    """The characters that have pictures, by code point."""
    return Charset("".join(sorted(char for char, count in counts.items() if count)), ())


def with_scans(charset: Charset, counts: Mapping[str, int], least: int, where: str) -> Charset:
    """Keep the characters that have at least `least` pictures."""
    kept = "".join(char for char in charset.chars if counts.get(char, 0) >= least)
    return charset.narrowed(kept, f"scans: {len(kept):,} have at least {least} pictures in {where}")


def drawn_by(charset: Charset, faces: Sequence[Face]) -> Charset:
    """Keep the characters that at least one face truly draws."""
    drawn = set().union(*(face.chars for face in faces))
    kept = "".join(char for char in charset.chars if char in drawn)
    return charset.narrowed(kept, f"fonts: {len(kept):,} are drawn by at least one of these{_lost(charset.chars, drawn)}")


def _lost(chars: str, kept: Set[str]) -> str:
    lost = [char for char in chars if char not in kept]
    named = ", ".join(code_points(char) for char in lost[:_SHOWN])
    return f"; left out {len(lost):,}: {named}{' ...' if len(lost) > _SHOWN else ''}" if lost else ""


def told_apart(charset: Charset, faces: Sequence[Face]) -> Charset:
    """Leave out each character that looks like an earlier one, cropped and centred, in every face that draws both.

    Position is lost when a picture is cropped: · and ・ and ． are one class to a recogniser of single characters.
    """
    pictures = [_pictures(charset.chars, face) for face in faces]
    kept: list[int] = []
    twins: list[str] = []
    for start in range(0, len(charset.chars), _ROWS):
        rows = range(start, min(start + _ROWS, len(charset.chars)))
        alike = _alike(pictures, rows)
        for i in rows:
            twin = next((j for j in kept if alike[i - start, j]), None)
            if twin is None:
                kept.append(i)
            else:
                twins.append(f"{charset.chars[i]} as {charset.chars[twin]}")
    note = f": {', '.join(twins[:_SHOWN])}{' ...' if len(twins) > _SHOWN else ''}" if twins else ""
    return charset.narrowed("".join(charset.chars[i] for i in kept), f"distinct: {len(twins):,} look like an earlier one{note}")


def _pictures(chars: str, face: Face) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """(K,) whether the face draws a character, and (K, P) its pixels."""
    drawn = np.array([char in face.glyph_hashes for char in chars])
    pixels = np.zeros((len(chars), _PROBE * _PROBE), np.float32)
    for i in np.flatnonzero(drawn):
        pixels[i] = draw_glyph(face.path, face.index, chars[i], _PROBE).ravel()
    return drawn, pixels


def _alike(pictures: Iterable[tuple[NDArray[np.bool_], NDArray[np.float32]]], rows: range) -> NDArray[np.bool_]:
    """(R, K) whether the character of a row and another look alike in every face that draws both, and one does."""
    alike: NDArray[np.bool_] | None = None
    for drawn, pixels in pictures:
        part = slice(rows.start, rows.stop)
        norms = (pixels**2).sum(axis=1)
        distance = norms[part, None] + norms[None] - 2 * pixels[part] @ pixels.T
        both = drawn[part, None] & drawn[None]
        near = distance <= _ALIKE**2 * pixels.shape[1]
        if alike is None:
            alike, seen = np.ones_like(near), np.zeros_like(near)
        alike &= near | ~both
        seen |= both
    assert alike is not None, "a comparison needs a face"
    found: NDArray[np.bool_] = alike & seen
    return found


def first_of(charset: Charset, size: int) -> Charset:
    """Keep the first `size` characters.

    Raises:
        DataError: there are fewer.
    """
    if len(charset.chars) < size:
        raise DataError(
            f"--size {size} asks for more than the {len(charset.chars):,} characters that are left "
            f"({'; '.join(charset.remarks)}); name a further set or font, or a smaller size"
        )
    return charset.narrowed(charset.chars[:size], f"size: the first {size:,} of {len(charset.chars):,}")


def charset_text(charset: Charset, kinds: Sequence[str], faces: Sequence[Face], source: str) -> str:
    """The charset file: the rule as comments, then the characters.

    Args:
        source: the command that makes it again.
    """
    files = {face.path.name: face.sha256 for face in faces}
    head = [
        f"{len(charset.chars):,} characters; the order of this file is the order of the classes.",
        f"Written by: {source}",
        "The sets in this order, each in the order of its codes, each character once, in NFC; "
        f"{' and '.join(kinds) or 'all kinds'}, by Unicode {unicodedata.unidata_version}.",
        *charset.remarks,
        *(f"font {name}, sha256 {sha256}" for name, sha256 in sorted(files.items())),
    ]
    body = [charset.chars[i : i + _LINE] for i in range(0, len(charset.chars), _LINE)]
    return "\n".join([*(f"# {' '.join(line.split())}" for line in head), *body]) + "\n"
