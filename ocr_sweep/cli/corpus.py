"""`ocr-sweep corpus`: what trials learn from and are judged on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ocr_sweep.augment.policy import Policy
    from ocr_sweep.config.corpus import CorpusConfig
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.config.study import StudyConfig
    from ocr_sweep.store import CorpusView

app = typer.Typer(no_args_is_help=True)


@app.command()
def build(
    study: Annotated[str, typer.Argument(help="A study, or the path of a corpus recipe.")],
    estimate: Annotated[bool, typer.Option("--estimate", help="Say how large it would be, and build nothing.")] = False,
) -> None:
    """Build the corpus of a study or recipe, or open it, and say what is in it.

    Example: ocr-sweep corpus build unet_aug
    """
    from ocr_sweep.cli.console import console, corpus_progress
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.corpus.collapse import collapse_warnings
    from ocr_sweep.sweep.stored.corpora import estimate_corpus

    paths = Paths.find()
    recipe = recipe_of(study, paths)
    if estimate:
        from ocr_sweep.corpus.room import size

        with corpus_progress() as progress:
            wanted = estimate_corpus(recipe, paths, progress)
        console.print(f"{recipe.name}: at most {wanted.images:,} images of {recipe.image_size} px, {size(wanted.bytes)} on disk")
        return
    view = opened(recipe, paths)
    console.print(
        f"[bold]{view.manifest['recipe']['name']}[/bold]: {view.num_classes} classes, {len(view.images):,} images of "
        f"{view.images.shape[1]} px, in {view.path}"
    )
    from rich.table import Table

    table = Table("set", "images", "classes", "by source")
    for name in view.set_names:
        indices = view.indices(name)
        counts = view.manifest["counts"][name]
        by_source = ", ".join(f"{source} {n:,}" for source, n in counts.items() if source not in ("images", "classes"))
        table.add_row(name, f"{len(indices):,}", str(len(set(view.class_ids[indices].tolist()))), by_source)
    console.print(table)
    if view.manifest["simulated_font_shared"]:
        sentence = "simulated scans are drawn in a font that trains, for want of another: add a face with its characters"
        console.print(f"warning: {sentence}", style="yellow", soft_wrap=True)
    for warning in collapse_warnings(view.manifest):
        console.print(warning, style="yellow", markup=False, soft_wrap=True)
    only = view.manifest.get("generated_only", "")
    if only:
        console.print(
            f"{len(only)} classes train on generated images alone: {only[:60]}{'…' if len(only) > 60 else ''}", markup=False
        )
    for font in view.manifest["fonts"]:
        console.print(
            f"{font['role']:<9} {font['name']} ({font['file']} #{font['index']}), {font['covered']} characters", markup=False
        )
    for what, value in view.manifest["left_out"].items():
        outside = value.pop("outside_charset", {})
        if outside:
            console.print(
                f"left out: {what}: {sum(outside.values()):,} pictures of {len(outside):,} characters outside the charset"
            )
        if value:
            console.print(f"left out: {what}: {value}", markup=False)


@app.command()
def sheet(
    study: Annotated[str, typer.Argument(help="A study, or the path of a corpus recipe.")],
    char: Annotated[str, typer.Option(help="The character to show; without it, the first of the charset.")] = "",
    source: Annotated[str, typer.Option(help="Whose policy to show: rendered, scanned or generated.")] = "rendered",
) -> None:
    """Draw what augmentation does to a glyph: every effect of a policy at five strengths, and the whole policy.

    The policy is the study's own where it states one, and the built-in one otherwise.

    Example: ocr-sweep corpus sheet unet_aug --char 龍 --source scanned
    """
    from PIL import Image

    from ocr_sweep.augment.sheet import policy_sheet
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import NotFoundError

    paths = Paths.find()
    policy = _policy(study, source, paths)
    view = opened(recipe_of(study, paths), paths)
    char = char or view.chars[0]
    if len(char) != 1 or char not in view.chars:
        raise NotFoundError(f"--char must be one of the {view.num_classes} characters of {study}, but got '{char}'")
    paths.reports.mkdir(parents=True, exist_ok=True)
    path = paths.reports / f"{view.manifest['recipe']['name']}-augmentation-{source}-U+{ord(char):04X}.png"
    glyph = view.images[view.glyph_indices[view.chars.index(char)]]
    Image.fromarray(policy_sheet(glyph, policy, source.upper())).save(path)
    console.print(f"the sheet is in {path}")


def _policy(study: str, source: str, paths: Paths) -> Policy:
    """The policy of a source: a study's own, or the built-in one."""
    from ocr_sweep.augment.build import BUILT_IN, treatment
    from ocr_sweep.errors import NotFoundError

    if source not in BUILT_IN:
        raise NotFoundError(f"--source must be one of {', '.join(BUILT_IN)}, but got '{source}'")
    found = _study(study, paths)
    block = getattr(found.base.augment, source) if found else None
    if block is None and found is not None:
        block = found.base.augment.rendered  # what a source that is left out goes by
    return treatment(source, block).policy if block else BUILT_IN[source]


def _study(name: str, paths: Paths) -> StudyConfig | None:
    """The study of that name; None for a recipe."""
    from ocr_sweep.config.load import find_study, load_study
    from ocr_sweep.config.yaml_file import read_yaml

    if (paths.sweeps / "corpora" / f"{name}.yaml").is_file():
        return None
    file = find_study(name, paths.sweeps)
    return load_study(file, paths.sweeps) if "base" in (read_yaml(file, (paths.sweeps,)).data or {}) else None


def recipe_of(study: str, paths: Paths) -> CorpusConfig:
    """The corpus recipe of a study, or the recipe itself."""
    from pathlib import Path

    from ocr_sweep.config.load import load_corpus

    recipe = paths.sweeps / "corpora" / f"{study}.yaml"
    if recipe.is_file():
        return load_corpus(recipe, paths.sweeps)
    found = _study(study, paths)
    return found.base.corpus if found else load_corpus(Path(study), paths.sweeps)


def opened(recipe: CorpusConfig, paths: Paths) -> CorpusView:
    """The corpus of a recipe, built behind a progress bar where it is not there yet."""
    from ocr_sweep.cli.console import corpus_progress
    from ocr_sweep.sweep.stored.corpora import open_corpus

    with corpus_progress() as progress:
        return open_corpus(recipe, paths, progress)
