"""`ocr-sweep corpus clean` and `show`: pages on which a person looks at the data."""

from __future__ import annotations

from typing import Annotated

import typer

from ocr_sweep.cli.corpus import opened, recipe_of

_STUDY = Annotated[str, typer.Argument(help="A study, or the path of a corpus recipe.")]


def clean(study: _STUDY) -> None:
    """Find labels that are probably wrong, and pictures that lie there twice; write the page on which you decide.

    Example: ocr-sweep corpus clean handwriting
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.corpus.cleaning import find_suspects
    from ocr_sweep.corpus.collapse import collapse_warnings
    from ocr_sweep.report.clean import write_clean_page

    paths = Paths.find()
    recipe = recipe_of(study, paths)
    view = opened(recipe, paths)
    with console.status("looking at the scans"):
        findings = find_suspects(view, recipe=recipe, data_root=paths.data)
    for warning in collapse_warnings(view.manifest):
        console.print(warning, style="yellow", markup=False, soft_wrap=True)
    path = write_clean_page(paths.reports / f"{recipe.name}-clean.html", view=view, recipe=recipe, findings=findings)
    console.print(
        f"{findings.num_scans:,} scans: {len(findings.suspects)} suspects, "
        f"{len(findings.conflicts)} pictures with several labels, "
        f"{len(findings.copies)} pictures several times; {findings.num_silenced} findings decided before"
    )
    console.print(f"decide in {path}", soft_wrap=True, markup=False)


def show(study: _STUDY) -> None:
    """Write the page of a corpus: counts, the long tail, coverage, samples, and what was left out.

    Example: ocr-sweep corpus show handwriting
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.report.corpus import write_corpus_page

    paths = Paths.find()
    recipe = recipe_of(study, paths)
    view = opened(recipe, paths)
    path = write_corpus_page(paths.reports / f"{recipe.name}-corpus.html", view=view)
    console.print(f"the page is {path}", soft_wrap=True, markup=False)
