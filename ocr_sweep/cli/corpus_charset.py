"""`ocr-sweep corpus charset`: a charset file by rule."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.corpus.charset_rule import Charset
    from ocr_sweep.corpus.fonts import Face


def charset(
    sets: Annotated[
        list[str] | None,
        typer.Argument(
            help="In order: encodings (gb2312, big5, jisx0208, ...), Unicode blocks (hiragana, cjk-ext-b, ...), charset files "
            "(.txt, .json, .pkl), or FILE:FIELD of Unihan; without any, the characters of --scans. A wrong name lists all."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The charset file to write, .txt.")] = ...,  # type: ignore[assignment]
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only characters of this kind: ideographs, kana, bopomofo, punctuation, symbols, numbers, letters."),
    ] = None,
    add: Annotated[str, typer.Option(help="Characters to add at the end of the sets.")] = "",
    without: Annotated[str, typer.Option(help="Characters to leave out.")] = "",
    scans: Annotated[
        list[str] | None, typer.Option(help="Only characters with pictures in this folder of the data root.")
    ] = None,
    min_scans: Annotated[int, typer.Option(min=1, help="With --scans: at least so many pictures.")] = 1,
    fonts: Annotated[
        list[str] | None, typer.Option(help="Only characters that one of these draws: 'system', or paths and globs.")
    ] = None,
    distinct: Annotated[bool, typer.Option(help="With --fonts: leave out what looks like an earlier character.")] = False,
    size: Annotated[int | None, typer.Option(min=2, help="Only so many, from the beginning.")] = None,
    replace: Annotated[bool, typer.Option(help="Write over a file that exists.")] = False,
) -> None:
    """Write a charset file from published encodings, scans and what fonts draw; the rule stands in its head.

    Example: ocr-sweep corpus charset gb2312 big5 jisx0208 --only ideographs --fonts system --size 15000 --out chars.txt
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.corpus.charset_rule import charset_text, first_of, union
    from ocr_sweep.disk import store_errors, write_bytes

    _check(out, only or [], replace, sets or scans, fonts or not distinct)
    paths = Paths.find()
    found = _gathered(union(sets, only or [], add, without) if sets else None, scans or [], min_scans, paths)
    faces: list[Face] = []
    if fonts:
        found, faces = _drawn(found, fonts, distinct, paths)
    if size is not None:
        found = first_of(found, size)
    options = {"only": only, "add": add, "without": without, "scans": scans, "min-scans": min_scans if scans else None}
    options |= {"fonts": fonts, "distinct": distinct, "size": size}
    text = charset_text(found, only or [], faces, _command(out, sets or [], options))
    with store_errors(f"creating {out.parent}"):
        out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, text.encode())
    for remark in found.remarks:
        console.print(remark, markup=False)
    console.print(f"{len(found.chars):,} characters in {out}", markup=False)


def _check(out: Path, only: list[str], replace: bool, source: object, distinct_has_fonts: object) -> None:
    from ocr_sweep.corpus.encodings import BLOCKS, ENCODINGS, KINDS
    from ocr_sweep.errors import ConflictError, DataError, NotFoundError

    unknown = [kind for kind in only if kind not in KINDS]
    if unknown:
        raise NotFoundError(f"--only must be one of {', '.join(KINDS)}, but got {unknown[0]!r}")
    if out.suffix.lower() != ".txt":
        raise DataError(f"--out must name a .txt file, since only text can carry the rule, but got {out}")
    if out.exists() and not replace:
        raise ConflictError(f"{out} exists; name another file, or write --replace to write over it")
    if not source:
        known = ", ".join([*ENCODINGS, *BLOCKS])
        raise NotFoundError(f"name a set of characters ({known}), a charset file, or --scans FOLDER")
    if not distinct_has_fonts:
        raise DataError("--distinct compares what fonts draw; add --fonts")


def _gathered(found: Charset | None, scans: list[str], min_scans: int, paths: Paths) -> Charset:
    from ocr_sweep.corpus.charset_rule import scanned_chars, with_scans
    from ocr_sweep.corpus.scans import count_pictures

    if not scans:
        assert found is not None, "either sets or scans are named"
        return found
    counts = count_pictures(scans, paths.data)
    return with_scans(found or scanned_chars(counts), counts, min_scans, ", ".join(scans))


def _drawn(found: Charset, fonts: list[str], distinct: bool, paths: Paths) -> tuple[Charset, list[Face]]:
    from ocr_sweep.cli.console import corpus_progress
    from ocr_sweep.corpus import find_faces
    from ocr_sweep.corpus.charset_rule import drawn_by, told_apart

    with corpus_progress() as progress:
        faces, _ = find_faces(fonts, found.chars, data_root=Path.cwd(), cache=paths.cache, progress=progress)
    found = drawn_by(found, faces)
    return (told_apart(found, faces) if distinct else found), faces


def _command(out: Path, sets: list[str], options: Mapping[str, object]) -> str:
    """The command that makes the file again; folders of fonts and files are this machine's own and are left out."""
    words = ["ocr-sweep", "corpus", "charset", *(name.rpartition("/")[2] for name in sets)]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        for one in values:
            if one is True:
                words.append(f"--{name}")
            elif one:
                words += [f"--{name}", str(one).rpartition("/")[2] if name == "fonts" else str(one)]
    return shlex.join([*words, "--out", out.name])
