"""`ocr-sweep corpus coverage`: which face draws which character, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ocr_sweep.cli.corpus import recipe_of

if TYPE_CHECKING:
    from rich.table import Table

    from ocr_sweep.corpus.coverage import Conflict
    from ocr_sweep.corpus.fonts import Face, Skipped

_LISTED = 40  # characters, conflicts: the rest is counted


def coverage(
    study: Annotated[str, typer.Argument(help="A study, or the path of a corpus recipe.")],
    char: Annotated[str, typer.Option(help="One character: what each face makes of it.")] = "",
    page: Annotated[bool, typer.Option("--page", help="Draw the whole matrix as a picture.")] = False,
) -> None:
    """Show which face draws which character of the charset, why not, and which bitmaps stand for two characters.

    Example: ocr-sweep corpus coverage unet_aug --page
    """
    from ocr_sweep.cli.console import console, corpus_progress
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.corpus import find_conflicts, find_faces
    from ocr_sweep.corpus.coverage_picture import coverage_picture
    from ocr_sweep.disk import store_errors
    from ocr_sweep.errors import DataError, NotFoundError

    paths = Paths.find()
    recipe = recipe_of(study, paths)
    chars = recipe.charset.chars
    if recipe.rendered is None:
        raise DataError(f"the corpus {recipe.name} draws nothing from fonts: its recipe says `rendered: null`")
    if char and (len(char) != 1 or char not in chars):
        raise NotFoundError(f"--char must be one of the {len(chars)} characters of {study}, but got {char!r}")
    with corpus_progress() as progress:
        faces, skipped = find_faces(recipe.rendered.fonts, chars, data_root=paths.data, cache=paths.cache, progress=progress)
    conflicts = find_conflicts(faces)
    if char:
        console.print(_char_table(char, faces, conflicts))
    else:
        console.print(_face_table(faces, chars))
        _say_classes(faces, chars)
        _say_conflicts(conflicts)
        _say_skipped(skipped)
    if page:
        path = paths.reports / f"{recipe.name}-coverage.png"
        with store_errors(f"writing {path}"):
            paths.reports.mkdir(parents=True, exist_ok=True)
            coverage_picture(faces, chars).save(path)
        console.print(f"the picture is in {path}", soft_wrap=True)


def _face_table(faces: list[Face], chars: str) -> Table:
    from collections import Counter

    from rich.markup import escape
    from rich.table import Table

    from ocr_sweep.corpus.coverage import State

    lost = [state for state in State if state != State.DRAWN]
    counts = [Counter(face.lost.values()) for face in faces]
    shown = [state for state in lost if any(count[state] for count in counts)]
    table = Table(title=f"{len(faces)} faces and {len(chars):,} characters", title_justify="left")
    for name in ("face", "file"):
        table.add_column(name, overflow="fold")
    for name in ("index", "drawn", "missing", *shown):
        table.add_column(name, justify="right")
    for face, count in zip(faces, counts, strict=True):
        drawn = len(face.glyph_hashes)
        numbers = [str(face.index), f"{drawn:,}", f"{len(chars) - drawn:,}", *(f"{count[state]:,}" for state in shown)]
        table.add_row(escape(f"{face.family} ({face.postscript_name})"), escape(face.path.name), *numbers)
    return table


def _char_table(char: str, faces: list[Face], conflicts: list[Conflict]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from ocr_sweep.corpus.coverage import State

    like = {
        label: "".join(sorted(set(conflict.chars) - {char}))
        for conflict in conflicts
        for label, held in conflict.shown
        if char in held
    }
    table = Table("face", "file", "index", "state", "same bitmap as", title=f"{char} U+{ord(char):04X}", title_justify="left")
    for face in faces:
        state = face.lost.get(char, State.DRAWN)
        table.add_row(escape(face.family), escape(face.path.name), str(face.index), state, like.get(face.label, ""))
    return table


def _say_classes(faces: list[Face], chars: str) -> None:
    from collections import Counter

    from ocr_sweep.cli.console import console
    from ocr_sweep.corpus.audit import name_chars

    drawn = Counter(char for face in faces for char in face.glyph_hashes)
    ranges = {"0": (0, 0), "1": (1, 1), "2": (2, 2), "3-5": (3, 5), "6+": (6, len(faces) + 6)}
    number = {name: sum(low <= drawn[char] <= high for char in chars) for name, (low, high) in ranges.items()}
    console.print("characters by number of faces: " + ", ".join(f"{name}: {count:,}" for name, count in number.items()))
    if number["0"]:
        console.print(f"no face draws: {name_chars((c for c in chars if not drawn[c]), _LISTED)}", markup=False)


def _say_conflicts(conflicts: list[Conflict]) -> None:
    from ocr_sweep.cli.console import console

    if not conflicts:
        console.print("no bitmap stands for two characters")
        return
    within = sum(conflict.within_a_face for conflict in conflicts)
    console.print(
        f"{len(conflicts)} bitmaps stand for more than one character, {within} of them within one face; a corpus leaves them out "
        "where another face tells the characters apart:"
    )
    ordered = sorted(conflicts, key=lambda conflict: not conflict.within_a_face)
    for conflict in ordered[:_LISTED]:
        points = " ".join(f"U+{ord(char):04X}" for char in conflict.chars)
        shown = "; ".join(f"{label}: {held}" for label, held in conflict.shown)
        console.print(f"  {conflict.chars} {points}  {shown}", markup=False)
    if len(conflicts) > _LISTED:
        console.print(f"  ... and {len(conflicts) - _LISTED} more")


def _say_skipped(skipped: list[Skipped]) -> None:
    from ocr_sweep.cli.console import console

    for one in skipped:
        console.print(f"left out: {one.name}: {one.reason}", markup=False)
