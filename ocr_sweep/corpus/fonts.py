"""Which font faces there are, and which characters each of them really draws."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import struct
import subprocess
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError
from PIL import __version__ as pillow_version
from PIL import features

from ocr_sweep.config.fingerprint import file_sha256, fingerprint
from ocr_sweep.corpus.coverage import Coverage, State, examine
from ocr_sweep.corpus.glyphs import load_face
from ocr_sweep.disk import read_json, write_json
from ocr_sweep.errors import DataError, NotFoundError

logging.getLogger("fontTools").addHandler(logging.NullHandler())  # it tells stderr about every damaged record otherwise

SYSTEM = "system"
_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
_MAX_BYTES = 256 * 2**20
_MAX_FACES = 64  # of one collection
_SAME_FACE = 0.95  # share of equal bitmaps from which two faces are one
_COVERAGE_FORMAT = 2

# A damaged file makes fontTools raise much beside TTLibError, and FreeType an OSError or ValueError.
_FONT_ERRORS = (
    TTLibError, OSError, ValueError, LookupError, AssertionError, TypeError, AttributeError, ArithmeticError, EOFError,
    MemoryError, RecursionError, NotImplementedError, struct.error, zlib.error,
)  # fmt: skip


Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, out of how much."""


@dataclass(frozen=True)
class Face:
    """One face of a font file, and the charset characters that it really draws."""

    path: Path
    index: int  # in a collection; 0 elsewhere
    sha256: str  # of the file
    family: str
    postscript_name: str
    glyph_hashes: dict[str, str]  # character -> hash of its bitmap
    extents: dict[str, float] = field(default_factory=dict)  # character -> longer side of its ink as a share of the em
    lost: dict[str, State] = field(default_factory=dict)  # character that it does not draw -> why

    @property
    def label(self) -> str:
        """The name in a manifest, without folders: "ipaexg.ttf#0"."""
        return f"{self.path.name}#{self.index}"

    @property
    def chars(self) -> set[str]:
        """The characters that it draws."""
        return set(self.glyph_hashes)


@dataclass(frozen=True)
class Skipped:
    """Something that was found and cannot be used."""

    name: str
    reason: str


def find_faces(
    fonts: Sequence[str], chars: str, *, data_root: Path, cache: Path, progress: Progress
) -> tuple[list[Face], list[Skipped]]:
    """Find every face that draws characters of the charset, those of widest coverage first.

    Faces that draw the same glyphs as an earlier one are skipped, and so are faces of the system that are broken or hold
    none of the wide characters (ideographs, kana) of the charset.

    Args:
        fonts: "system", or paths and globs under `data_root` (or absolute).

    Raises:
        NotFoundError: a path or glob matches nothing.
        DataError: a font that was named is broken, or no face draws any character of the charset.
    """
    named = _named_files([text for text in fonts if text != SYSTEM], data_root)
    found = [path for path in system_fonts() if path not in set(named)] if SYSTEM in fonts else []
    faces: list[Face] = []
    skipped: list[Skipped] = []
    files = [*named, *found]
    for number, path in enumerate(files):
        progress("reading fonts", number, len(files))
        try:
            read = read_faces(path, chars, cache, wide_only=number >= len(named))
            if not read and number < len(named):
                skipped.append(Skipped(path.name, "draws no character of the charset"))
            faces += read
        except DataError as error:
            if number < len(named):
                raise
            skipped.append(Skipped(path.name, str(error)))
    unlike, same = _unlike(faces)
    if not unlike:
        raise DataError(
            f"no font draws any of the {len(chars)} characters of the charset; looked at {len(files)} font files for "
            f"`fonts: [{', '.join(fonts)}]`. Name a font file that covers them"
        )
    return unlike, skipped + same


def _named_files(patterns: Iterable[str], data_root: Path) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        full = data_root / Path(pattern).expanduser()
        matches = [full] if full.is_file() else sorted(Path(full.anchor).glob(str(full.relative_to(full.anchor))))
        files = [path for path in matches if path.is_file()]
        if not files:
            hint = "" if data_root.is_dir() else f"; the data root {data_root} does not exist, set OCR_SWEEP_DATA"
            raise NotFoundError(f"`rendered.fonts` must name font files, but nothing is at {full}{hint}")
        found += [path for path in files if path not in found]
    return found


def system_fonts() -> list[Path]:
    """List the font files of this machine, and IPAex Gothic from the package matplotlib_fontja."""
    paths = {Path(name) for name in _fc_list() or _matplotlib_fonts()}
    spec = importlib.util.find_spec("matplotlib_fontja")
    for folder in spec.submodule_search_locations or [] if spec else []:
        paths |= set(Path(folder).glob("fonts/*.ttf"))
    return sorted(path for path in paths if path.suffix.lower() in _SUFFIXES and path.is_file())


def _fc_list() -> list[str]:
    program = shutil.which("fc-list")
    if program is None:
        return []
    try:
        done = subprocess.run([program, "--format", "%{file}\n"], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.decode(errors="surrogateescape").splitlines()


def _matplotlib_fonts() -> list[str]:
    from matplotlib import font_manager  # half a second: only where there is no fontconfig

    return font_manager.findSystemFonts(fontext="ttf")  # "ttf" stands for .otf and .ttc too


def read_faces(path: Path, chars: str, cache: Path, *, wide_only: bool = False) -> list[Face]:
    """Read the faces of a font file that draw characters of `chars`.

    Args:
        cache: folder where coverage is remembered, by the hash of the file, the charset and the renderer's version.
        wide_only: leave out faces that have none of the wide characters of `chars`, if there are any.

    Raises:
        DataError: the file is no TTF, OTF or TTC, or it is broken.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(f"a font must be a .ttf, .otf or .ttc file, but got {path.name}")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"larger than {_MAX_BYTES >> 20} MiB")
        return list(_read_faces(path, chars, cache, wide_only))
    except _FONT_ERRORS as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"font {path} cannot be read ({reason}); replace the file or take it out of `rendered.fonts`") from error


def _read_faces(path: Path, chars: str, cache: Path, wide_only: bool) -> Iterator[Face]:
    sha256 = ""
    for index in range(_num_faces(path)):
        with path.open("rb") as file, TTFont(file, fontNumber=index, lazy=True) as font:  # it leaves a file open when it fails
            mapped = font.getBestCmap() or {}
            known = "".join(char for char in chars if ord(char) in mapped)
            if not known or (wide_only and not _any_wide(known) and _any_wide(chars)):
                continue
            names = font["name"]
            family = str(names.getBestFamilyName() or path.stem)
            postscript_name = str(names.getDebugName(6) or f"{path.stem}-{index}")
        sha256 = sha256 or file_sha256(path)
        found = _cached_coverage(path, index, sha256, known, cache)
        if found.glyph_hashes:
            lost = {char: found.lost.get(char, State.NOT_IN_CMAP) for char in chars if char not in found.glyph_hashes}
            yield Face(path, index, sha256, family, postscript_name, found.glyph_hashes, found.extents, lost)


def _num_faces(path: Path) -> int:
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] in (b"\0\1\0\0", b"OTTO", b"true"):
        return 1
    if head[:4] != b"ttcf" or len(head) < 12:
        raise ValueError("not a TrueType or OpenType file")
    (count,) = struct.unpack(">L", head[8:])
    if not 1 <= count <= _MAX_FACES:
        raise ValueError(f"a collection of {count} faces")
    return int(count)


def _any_wide(chars: Iterable[str]) -> bool:
    return any(unicodedata.east_asian_width(char) in "WF" for char in chars)


def renderer_version() -> dict[str, str]:
    """Versions of what decides how a glyph looks."""
    return {"pillow": pillow_version, "freetype": str(features.version("freetype2"))}


def _cached_coverage(path: Path, index: int, sha256: str, chars: str, cache: Path) -> Coverage:
    key = fingerprint([_COVERAGE_FORMAT, sha256, index, chars, renderer_version()])
    remembered = cache / "coverage" / f"{key}.json"
    try:
        held = read_json(remembered)
        os.utime(remembered)  # it was needed today: see `sweep.stored_caches`
        lost = {char: State(state) for state, chars in held["lost"].items() for char in chars}
        return Coverage(dict(held["glyph_hashes"]), dict(held["extents"]), lost)
    except (OSError, ValueError, TypeError, LookupError, AttributeError):  # not there, or damaged: a cache is only a shortcut
        found = examine(path, index, chars)
        load_face.cache_clear()  # each open face keeps its file in memory, and a machine may have a hundred
        remembered.parent.mkdir(parents=True, exist_ok=True)
        by_state = {state: "".join(char for char, other in found.lost.items() if other == state) for state in State}
        lost_text = {state.value: held for state, held in by_state.items() if held}
        write_json(remembered, {"glyph_hashes": found.glyph_hashes, "extents": found.extents, "lost": lost_text})
        return found


def _unlike(faces: Iterable[Face]) -> tuple[list[Face], list[Skipped]]:
    """Sort by coverage and drop what draws the same glyphs as an earlier face."""
    kept: list[Face] = []
    skipped: list[Skipped] = []
    for face in sorted(faces, key=lambda face: (-len(face.glyph_hashes), face.path.name, face.index, face.sha256)):
        twin = next((other for other in kept if _same_glyphs(face, other)), None)
        if twin is None:
            kept.append(face)
        else:
            skipped.append(Skipped(face.label, f"draws the same glyphs as {twin.label}"))
    return kept, skipped


def _same_glyphs(face: Face, other: Face) -> bool:
    if face.postscript_name == other.postscript_name:
        return True
    equal = sum(other.glyph_hashes.get(char) == digest for char, digest in face.glyph_hashes.items())
    return equal >= _SAME_FACE * len(face.glyph_hashes)
