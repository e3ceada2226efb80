"""What a GAN will learn from, be measured on and draw, found and hashed before a pixel is drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.corpus.audit import name_chars
from ocr_sweep.corpus.charset import char_of_folder
from ocr_sweep.corpus.fonts import Face, Progress, read_faces
from ocr_sweep.corpus.gan.training import GanSettings
from ocr_sweep.corpus.plan import library_versions, plan_fonts
from ocr_sweep.errors import DataError, NotFoundError

FORMAT = 1
"""Raise it when the same plan would give other drawings."""

_PICTURES = 2  # raise it when the same drawings are written as other files

_IDEOGRAPHS = (0x4E00, 0x9FA6)  # Unicode's first block of unified ideographs
_PROBED = 4  # candidates that are tried for each character to learn from
_FEWEST = 8  # characters that a measurement and a training need at least
_SAME_FACE = 0.95  # share of equal bitmaps from which two faces are one


@dataclass(frozen=True)
class GanOrder:
    """What a person asks for."""

    source_font: str  # path, or path#index for a face of a collection
    target_fonts: tuple[str, ...]
    judge_fonts: tuple[str, ...]  # beside the recipe's training faces
    chars: str  # draw these and learn nothing from them; empty: what no training face of the recipe draws
    learn: int  # characters to learn from
    held_back: int  # characters that measure the acceptance
    threshold: float  # probability at which the recogniser is believed


@dataclass(frozen=True)
class GanPlan:
    """Faces and characters; every face draws what is asked of it."""

    order: GanOrder
    settings: GanSettings
    source: Face
    targets: tuple[Face, ...]
    judges: tuple[Face, ...]  # teach the recogniser; none is a target
    learn: str
    held_back: str
    new: dict[str, str]  # style -> the characters to draw
    not_in_source: str
    drawn_by_targets: str  # asked for by the recipe, and drawn by every target itself

    @cached_property
    def styles(self) -> tuple[str, ...]:
        """A name for each target, safe in a file name."""
        names = [re.sub(r"[^A-Za-z0-9._-]", "-", face.postscript_name).lstrip(".-") or "style" for face in self.targets]
        return tuple(name if names.count(name) == 1 else f"{name}-{i}" for i, name in enumerate(names))

    @property
    def classes(self) -> str:
        """What the recogniser tells apart."""
        return "".join(sorted({*self.learn, *self.held_back, *"".join(self.new.values())}))

    @cached_property
    def fonts(self) -> list[dict[str, str]]:
        """Role, label and hash of each font file."""
        roles = [
            ("source", self.source),
            *(("target", face) for face in self.targets),
            *(("judge", face) for face in self.judges),
        ]
        return [{"role": role, "font": face.label, "family": face.family, "sha256": face.sha256} for role, face in roles]

    @property
    def learning(self) -> str:
        """The hash of all that decides the generator."""
        faces = [[face.sha256, face.index] for face in (self.source, *self.targets)]
        return fingerprint([FORMAT, faces, asdict(self.settings), self.learn, library_versions()])

    @property
    def recognising(self) -> str:
        """The hash of all that decides the recogniser: no target is in it."""
        judges = [[face.sha256, face.index] for face in self.judges]
        return fingerprint([FORMAT, judges, self.classes, self.settings.size, self.settings.seed, library_versions()])

    @property
    def identity(self) -> str:
        """The hash of all that decides the result."""
        return fingerprint([_PICTURES, self.learning, self.recognising, self.held_back, self.new, self.order.threshold])


def plan_gan(
    recipe: CorpusConfig, order: GanOrder, settings: GanSettings, *, data_root: Path, cache: Path, progress: Progress
) -> GanPlan:
    """Find the faces of an order, part the characters that source and targets share, and list what is to be drawn.

    Raises:
        NotFoundError: a font does not exist.
        DataError: a font cannot be used, source and target are one, they share too few characters, or nothing is to be drawn.
    """
    asked = _asked(order.chars)
    rng = np.random.default_rng(settings.seed)
    ideographs = [chr(point) for point in rng.permutation(np.arange(*_IDEOGRAPHS)).tolist()]
    own = [recipe.charset.chars[i] for i in rng.permutation(len(recipe.charset.chars)).tolist()]
    probed = ideographs[: _PROBED * (order.learn + order.held_back)]
    pool = "".join(dict.fromkeys([*own, *asked, *probed]))
    source = named_face(order.source_font, pool, data_root, cache)
    targets = tuple(named_face(font, pool, data_root, cache) for font in order.target_fonts)
    _check_different(source, targets)
    training, held, _, _ = plan_fonts(recipe, data_root, cache, progress)
    drawn = {char for face in training for char in face.chars}
    missing = asked or "".join(char for char in recipe.charset.chars if char not in drawn)
    shared = [char for char in pool if char in source.chars and char not in asked and any(char in t.chars for t in targets)]
    learn, held_back = _part(shared, order)
    plan = GanPlan(
        order, settings, source, targets, (), learn, held_back, {}, "".join(c for c in missing if c not in source.chars), ""
    )
    new = {
        style: "".join(c for c in missing if c in source.chars and (c in asked or c not in face.chars))
        for style, face in zip(plan.styles, targets, strict=True)
    }
    others = "" if asked else "".join(c for c in missing if all(c in face.chars for face in targets))
    _check_new(missing, new, plan.not_in_source, others)
    named = [named_face(font, pool, data_root, cache) for font in order.judge_fonts]
    plan = GanPlan(order, settings, source, targets, (), learn, held_back, new, plan.not_in_source, others)
    judges = _judges([*training, *([held] if held else []), *named], plan, cache)
    return GanPlan(order, settings, source, targets, judges, learn, held_back, new, plan.not_in_source, others)


def _asked(chars: str) -> str:
    for char in chars:
        char_of_folder(char)  # refuses what could not be a folder of its own
    return "".join(dict.fromkeys(chars))


def named_face(font: str, chars: str, data_root: Path, cache: Path) -> Face:
    """Read the face that `path` or `path#index` names; a path may lie under the data root.

    Raises:
        NotFoundError: there is no such file.
        DataError: it cannot be read, has no such face, or that face draws none of the characters.
    """
    name, index = (font.rpartition("#")[0], int(font.rpartition("#")[2])) if re.search(r"#\d{1,3}$", font) else (font, 0)
    path = next((p for p in (Path(name).expanduser(), data_root / name) if p.is_file()), None)
    if path is None:
        raise NotFoundError(f"no such font file: {name}; give its path, from here or from the data root {data_root}")
    faces = [face for face in read_faces(path, chars, cache) if face.index == index]
    if not faces:
        raise DataError(
            f"face {index} of font {name} draws none of the {len(chars)} characters; name another font or `path#index`"
        )
    return faces[0]


def _check_different(source: Face, targets: Sequence[Face]) -> None:
    for number, face in enumerate(targets):
        for other in (source, *targets[:number]):
            if same_glyphs(face, other):
                raise DataError(
                    f"source and target fonts must draw different glyphs, but {face.label} and {other.label} draw the same; "
                    "name another"
                )


def same_glyphs(face: Face, other: Face) -> bool:
    """Whether two faces are one, or draw nearly all common characters alike."""
    common = face.chars & other.chars
    equal = sum(face.glyph_hashes[char] == other.glyph_hashes[char] for char in common)
    same = (face.sha256, face.index) == (other.sha256, other.index)
    return same or (bool(common) and equal >= _SAME_FACE * len(common))


def _part(shared: list[str], order: GanOrder) -> tuple[str, str]:
    """Hold back characters at even distances, at most a third of all."""
    chosen = shared[: order.learn + order.held_back]
    if len(chosen) < 2 * _FEWEST:
        listed = f": {name_chars(chosen)}" if chosen else ""
        raise DataError(
            f"source and target must draw at least {2 * _FEWEST} common characters to learn from, but share {len(chosen)}"
            f"{listed}; name fonts that overlap, or raise --learn"
        )
    count = max(_FEWEST // 2, min(order.held_back, len(chosen) // 3))
    places = set(np.linspace(0, len(chosen) - 1, count).astype(int).tolist())
    held_back = "".join(char for i, char in enumerate(chosen) if i in places)
    return "".join(char for i, char in enumerate(chosen) if i not in places), held_back


def _check_new(missing: str, new: dict[str, str], not_in_source: str, drawn_by_targets: str) -> None:
    if any(new.values()):
        return
    if not missing:
        raise DataError("nothing is missing: the training faces of the recipe draw its whole charset; name characters by --chars")
    if drawn_by_targets:
        raise DataError(
            f"the target fonts draw the {len(drawn_by_targets)} missing characters themselves: {name_chars(drawn_by_targets)}; "
            "add them to `rendered.fonts` of the recipe"
        )
    raise DataError(
        f"the source font must draw what is missing, but lacks all of it: {name_chars(not_in_source)}; name a source of wider "
        "coverage"
    )


def _judges(faces: Sequence[Face], plan: GanPlan, cache: Path) -> tuple[Face, ...]:
    """The source, and of the other faces those that are no target, nor its family, nor in its file."""
    taken = {face.family for face in plan.targets} | {face.sha256 for face in plan.targets}
    judges = [plan.source]
    for face in faces:
        if face.family in taken or face.sha256 in taken or any((f.sha256, f.index) == (face.sha256, face.index) for f in judges):
            continue
        found = [f for f in read_faces(face.path, plan.classes, cache) if f.index == face.index]
        judges += [f for f in found if not any(same_glyphs(f, other) for other in (*judges, *plan.targets))]
    source = [f for f in read_faces(plan.source.path, plan.classes, cache) if f.index == plan.source.index]
    return (*source, *judges[1:])
