"""`ocr-sweep corpus list`, `audit` and `gc`: the store of corpora."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ocr_sweep.sweep.stored.caches import Cached


def list_corpora() -> None:
    """List the corpora that this project keeps, and what is cached beside them, with their size and who needs them.

    Example: ocr-sweep corpus list
    """
    from datetime import datetime

    from rich.table import Table

    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.corpus.room import size
    from ocr_sweep.sweep.stored.caches import stored_caches
    from ocr_sweep.sweep.stored.listing import stored_corpora
    from ocr_sweep.tracking.tracker import Tracker

    paths = Paths.find()
    table = Table("corpus", "recipe", "built", "classes", "images", "size", "runs")
    held = stored_corpora(paths, Tracker.open(paths))
    for corpus in held:
        built = datetime.fromtimestamp(corpus.built).strftime("%Y-%m-%d %H:%M")
        runs = f"{corpus.num_runs}{', in progress' if corpus.in_progress else ''}"
        cells = (corpus.path.name[:16], corpus.name, built, f"{corpus.num_classes:,}", f"{corpus.num_images:,}")
        table.add_row(*cells, size(corpus.bytes), runs)
    console.print(table)
    console.print(f"{len(held)} corpora, {size(sum(corpus.bytes for corpus in held))}, in {paths.corpora}", soft_wrap=True)
    cached = stored_caches(paths, [corpus for corpus in held if corpus.needed])
    if cached:
        console.print(_cache_table(cached))
        console.print(f"{len(cached)} cached, {size(sum(one.bytes for one in cached))}, in {paths.cache}", soft_wrap=True)


def _cache_table(cached: list[Cached]) -> Table:
    """One line for each kind; archives one by one, for they are large."""
    from itertools import groupby

    from rich.table import Table

    from ocr_sweep.corpus.room import size

    table = Table("cache", "made from", "entries", "size", "needed")
    for (kind, origin), found in groupby(cached, key=lambda one: (one.kind, one.origin)):
        entries = list(found)
        reasons = dict.fromkeys(one.needed or "no" for one in entries)
        table.add_row(kind, origin, f"{len(entries):,}", size(sum(one.bytes for one in entries)), "; ".join(reasons))
    return table


def audit(
    study: Annotated[str, typer.Argument(help="A study, or the path of a corpus recipe.")],
) -> None:
    """Look at a built corpus once more: damaged bytes, and leaks by pixels, group or font; changes nothing.

    Example: ocr-sweep corpus audit handwriting
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.cli.corpus import opened, recipe_of
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.corpus.audit import audit_store
    from ocr_sweep.corpus.collapse import collapse_warnings
    from ocr_sweep.errors import EvidenceError

    paths = Paths.find()
    view = opened(recipe_of(study, paths), paths)
    for warning in collapse_warnings(view.manifest):
        console.print(warning, style="yellow", markup=False, soft_wrap=True)
    wrong = audit_store(view)
    for sentence in wrong:
        console.print(sentence, markup=False)
    if wrong:
        raise EvidenceError(f"the audit of {view.path} found {len(wrong)} things wrong; remove the corpus and build it again")
    shared = ", simulated scans share their font with training" if view.manifest["simulated_font_shared"] else ""
    console.print(f"{len(view.images):,} images: bytes as recorded, no leak between train, val and test{shared}")


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, remove nothing.")] = False,
) -> None:
    """Remove the corpora that no recorded run and no trial in progress needs, and what is cached that nothing refers to.

    Of the cache go: unpacked archives that no recipe names, or that changed; checkpoints of the GAN without their folder of
    images; shared first stages when no trial is in progress; coverage of fonts that was not asked for in 30 days.

    Example: ocr-sweep corpus gc --dry-run
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.corpus.room import size
    from ocr_sweep.sweep.stored.caches import collect_cache
    from ocr_sweep.sweep.stored.listing import collect_garbage, stored_corpora
    from ocr_sweep.tracking.tracker import Tracker

    paths = Paths.find()
    tracker = Tracker.open(paths)
    kept = [corpus for corpus in stored_corpora(paths, tracker) if corpus.needed]
    gone = collect_garbage(paths, tracker, dry_run=dry_run)
    for corpus in gone:
        console.print(f"{corpus.path.name[:16]}  {corpus.name}, {corpus.num_images:,} images, {size(corpus.bytes)}", markup=False)
    cleared = collect_cache(paths, kept, dry_run=dry_run)
    for one in cleared:
        console.print(f"{one.path.name[:16]}  {one.kind}: {one.origin}, {size(one.bytes)}", markup=False)
    verb = "would free" if dry_run else "freed"
    console.print(f"{len(gone)} corpora {verb} {size(sum(corpus.bytes for corpus in gone))}")
    console.print(f"{len(cleared)} cached {verb} {size(sum(one.bytes for one in cleared))}")
