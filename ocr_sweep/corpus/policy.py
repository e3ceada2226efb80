"""Which glyphs a corpus is trained on: the faces of each class, their stroke weights, and what is left out as ambiguous."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ocr_sweep.corpus.coverage import Conflict, find_conflicts
from ocr_sweep.corpus.fonts import Face
from ocr_sweep.errors import DataError


@dataclass(frozen=True)
class GlyphChoice:
    """The glyphs to train on."""

    by_face: tuple[tuple[Face, str], ...]  # each face, and the characters that are drawn in it, in code point order
    conflicts: tuple[Conflict, ...]
    left_out: tuple[tuple[str, str], ...]  # label of a face, and the characters that it draws like another character
    only_ambiguous: str  # characters that every face draws like another one: they are kept all the same


def choose_glyphs(faces: Sequence[Face], chars: str, *, faces_per_class: int | None, seed: int) -> GlyphChoice:
    """Choose the faces of every character.

    A glyph whose bitmap also stands for another character, in its own face or in another one (compatibility forms, variants
    that a face unifies), teaches two labels for one picture: both glyphs are left out and the characters are learnt from
    faces that tell them apart. A character that no face tells apart keeps what it has: an ambiguous image is still more
    than none, and the list says so.

    Of the others `faces_per_class` are taken, round-robin over the font families in an order drawn from the seed and the
    character: a rare character uses whatever draws it, and common ones do not always use the same faces.
    """
    conflicts = find_conflicts(faces)
    ambiguous = _ambiguous(faces, conflicts)
    drawn: dict[str, list[int]] = {char: [i for i, face in enumerate(faces) if char in face.glyph_hashes] for char in chars}
    clear = {char: [i for i in held if char not in ambiguous[i]] for char, held in drawn.items()}
    only_ambiguous = "".join(char for char in chars if drawn[char] and not clear[char])
    chosen: dict[int, list[str]] = defaultdict(list)
    for char in sorted(chars):
        for i in _in_turn(faces, clear[char] or drawn[char], char, seed)[:faces_per_class]:
            chosen[i].append(char)
    left_out = [
        (face.label, "".join(sorted(set(ambiguous[i]) - set(only_ambiguous)))) for i, face in enumerate(faces) if ambiguous[i]
    ]
    return GlyphChoice(
        tuple((faces[i], "".join(chosen[i])) for i in sorted(chosen)),
        tuple(conflicts),
        tuple((label, held) for label, held in left_out if held),
        only_ambiguous,
    )


def files_take_turns(faces: Sequence[Face]) -> list[Face]:
    """Order faces so that each round takes one of every file.

    The faces of a collection are the regional forms of one design: by coverage alone four of them would come before any other
    hand.

    Args:
        faces: those of widest coverage first; within a round they stay so.
    """
    turns: dict[str, int] = defaultdict(int)
    rounds: list[tuple[int, int]] = []
    for place, face in enumerate(faces):
        rounds.append((turns[face.sha256], place))
        turns[face.sha256] += 1
    return [faces[place] for _, place in sorted(rounds)]


def check_faces_per_class(faces: Sequence[Face], faces_per_class: int | None) -> None:
    """Check that some character can have as many faces as are asked for; a rarer one then uses what there is.

    Raises:
        DataError: no character has so many.
    """
    if faces_per_class is None:
        return
    held: dict[str, int] = defaultdict(int)
    for face in faces:
        for char in face.glyph_hashes:
            held[char] += 1
    most = max(held.values(), default=0)
    if most < faces_per_class:
        raise DataError(
            f"`rendered.faces_per_class: {faces_per_class}` asks for more images than the fonts can give: of the "
            f"{len(faces)} training faces at most {most} draw the same character; name more fonts, raise `max_faces`, or write "
            f"`faces_per_class: {most}`"
        )


def _ambiguous(faces: Sequence[Face], conflicts: Sequence[Conflict]) -> list[set[str]]:
    """For each face, the characters that it draws like another character."""
    unclear = {(label, char) for conflict in conflicts for label, held in conflict.shown for char in held}
    return [{char for char in face.glyph_hashes if (face.label, char) in unclear} for face in faces]


def _in_turn(faces: Sequence[Face], held: Sequence[int], char: str, seed: int) -> list[int]:
    """Order faces so that each round takes one of every family."""
    families: dict[str, list[tuple[bytes, int]]] = defaultdict(list)
    for i in held:
        families[faces[i].family].append((_drawn(seed, char, faces[i].label), i))
    order = sorted(families, key=lambda family: _drawn(seed, char, family))
    turns = (
        (turn, order.index(family), i) for family, members in families.items() for turn, (_, i) in enumerate(sorted(members))
    )
    return [i for _, _, i in sorted(turns)]


def _drawn(seed: int, char: str, name: str) -> bytes:
    return hashlib.blake2b(f"{seed} {char} {name!a}".encode(), digest_size=8).digest()
