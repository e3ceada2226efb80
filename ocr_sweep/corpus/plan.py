"""What a recipe means on this machine: the faces and scans that it finds, and the fingerprint of the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import fontTools
import numpy as np

from ocr_sweep.config.corpus import CorpusConfig, GeneratedConfig, ScannedConfig
from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.corpus.audit import check_sources
from ocr_sweep.corpus.decisions import decide
from ocr_sweep.corpus.fonts import Face, Progress, Skipped, find_faces, renderer_version
from ocr_sweep.corpus.generated import GeneratedSource, list_generated
from ocr_sweep.corpus.glyphs import PREPROCESSING
from ocr_sweep.corpus.jobs import probe
from ocr_sweep.corpus.policy import GlyphChoice, check_faces_per_class, choose_glyphs, files_take_turns
from ocr_sweep.corpus.scan import Scan
from ocr_sweep.corpus.scans import ScannedSource, list_source
from ocr_sweep.corpus.splits import hold_out

FORMAT = 3
"""Raise it when the same inputs give other splits or another manifest; changed pixels are noticed by the probe."""


@dataclass(frozen=True)
class CorpusPlan:
    """Everything that a corpus will be made of, found and hashed, before a pixel is drawn."""

    recipe: CorpusConfig
    training_faces: tuple[Face, ...]
    simulated_face: Face | None
    simulated_font_shared: bool  # the simulated scans are drawn with a face that trains, for want of another
    sources: tuple[ScannedSource, ...]
    skipped: tuple[Skipped, ...]  # fonts that were found and not used
    generated: tuple[GeneratedSource, ...] = ()

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Hashes of all that goes in, and of what the renderer makes of a probe, by names that mean the same everywhere."""
        found = {f"scans/{source.name}": source.sha256 for source in self.sources}
        found |= {f"decisions/{source.name}": source.decisions for source in self.sources if source.decisions}
        found |= {f"generated/{source.listed.name}": source.listed.sha256 for source in self.generated}
        for face, _ in self.roles:
            name = f"font/{face.label}"
            found[name if found.get(name, face.sha256) == face.sha256 else f"{name}@{face.sha256[:8]}"] = face.sha256
        found["renderer/probe"] = probe(self.recipe.image_size, simulated=bool(self.recipe.simulated))
        return found

    @cached_property
    def fingerprint(self) -> str:
        """The corpus's name: the hash of the recipe, the inputs and the libraries, whatever folders they lie in."""
        recipe = self.recipe.model_dump(mode="json")
        for block in (recipe["rendered"] or {}, *recipe["scanned"], *recipe["generated"]):
            for key in ("fonts", "path", "labels", "boxes", "train_only", "decisions"):  # what these files say is in the inputs
                block.pop(key, None)
        roles = [[face.label, role] for face, role in self.roles]
        return fingerprint([FORMAT, recipe, self.inputs, roles, library_versions(), PREPROCESSING])

    @cached_property
    def glyphs(self) -> GlyphChoice:
        """The glyphs that are trained on."""
        faces_per_class = self.recipe.rendered.faces_per_class if self.recipe.rendered else None
        chars, seed = self.recipe.charset.chars, self.recipe.seed
        return choose_glyphs(self.training_faces, chars, faces_per_class=faces_per_class, seed=seed)

    @property
    def folders(self) -> list[tuple[str, ScannedConfig | GeneratedConfig, tuple[Scan, ...]]]:
        """Name in the manifest, configuration and pictures of every folder that is read: scanned ones, then generated ones."""
        scanned = zip(self.recipe.scanned, self.sources, strict=True)
        generated = zip(self.recipe.generated, self.generated, strict=True)
        return [
            *((f"scans/{config.name}", config, source.scans) for config, source in scanned),
            *((f"generated/{config.name}", config, source.chosen) for config, source in generated),
        ]

    @property
    def roles(self) -> list[tuple[Face, str]]:
        """Each face that is used, with "train" or "simulated"."""
        held = [(self.simulated_face, "simulated")] if self.simulated_face else []
        return [*((face, "train") for face in self.training_faces), *held]


def library_versions() -> dict[str, str]:
    """Versions of what decides the bytes of an image."""
    return {**renderer_version(), "opencv": cv2.__version__, "numpy": np.__version__, "fonttools": fontTools.version}


def plan_corpus(recipe: CorpusConfig, *, data_root: Path, cache: Path, progress: Progress | None = None) -> CorpusPlan:
    """Find and hash all inputs of a recipe.

    Args:
        cache: folder where the coverage of fonts is remembered.

    Raises:
        NotFoundError: the data root, a scanned source or a named font does not exist.
        DataError: a source or a named font cannot be used, or a character of the charset has no image anywhere.
        StoreError: the data or the cache cannot be read or written.
    """
    chars = recipe.charset.chars
    sources = tuple(list_source(config, chars, data_root=data_root, cache=cache, progress=progress) for config in recipe.scanned)
    sources = decide(sources, recipe.scanned, chars, data_root=data_root)
    training, held, shared, skipped = plan_fonts(recipe, data_root, cache, progress or (lambda what, done, total: None))
    drawn = {char for face in training for char in face.chars}
    generated = tuple(
        list_generated(config, chars, drawn, data_root=data_root, cache=cache, seed=recipe.seed) for config in recipe.generated
    )
    plan = CorpusPlan(recipe, training, held, shared, sources, skipped, generated)
    shown = {scan.char for _, _, scans in plan.folders for scan in scans}
    check_sources(chars, drawn, shown, {char for source in sources for char in source.empty})
    if recipe.rendered is not None:
        check_faces_per_class(training, recipe.rendered.faces_per_class)
    return plan


def plan_fonts(
    recipe: CorpusConfig, data_root: Path, cache: Path, progress: Progress
) -> tuple[tuple[Face, ...], Face | None, bool, tuple[Skipped, ...]]:
    """Return the training faces, the simulated one, whether it is shared, and what was skipped."""
    rendered, chars = recipe.rendered, recipe.charset.chars
    if rendered is None:
        return (), None, False, ()
    faces, skipped = find_faces(rendered.fonts, chars, data_root=data_root, cache=cache, progress=progress)
    faces = files_take_turns(faces)
    if not recipe.simulated:
        return tuple(faces[: rendered.max_faces]), None, False, tuple(skipped)
    training, held, shared = hold_out(faces, len(chars), rendered.max_faces)
    return tuple(training), held, shared, tuple(skipped)
