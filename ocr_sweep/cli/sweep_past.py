"""`ocr-sweep sweep replay` and `history`: how a study came to be what it is."""

from __future__ import annotations

from typing import Annotated

import typer

_Study = Annotated[str, typer.Argument(help="A study's name (a file in sweeps/) or the path of a study file.")]
_Scale = Annotated[str | None, typer.Option(help="One of the file's `scales:`, e.g. gpu; without it, the first.")]


def replay(study: _Study, scale: _Scale = None) -> None:
    """Compute every proposal of a past study again from its journal, and say `identical` or name the first that differs.

    Example: ocr-sweep sweep replay unet_aug
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.load import find_study, load_study
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.sweep.search.replay import replay as compute_again

    paths = Paths.find()
    config = load_study(find_study(study, paths.sweeps), paths.sweeps, scale)
    found = compute_again(config, paths)
    older = f"; {found.unknown} of a former version of ocr-sweep, which kept no journal" if found.unknown else ""
    over = f", over {found.versions} versions of the study" if found.versions > 1 else ""
    console.print(f"identical: {found.proposals} proposals of {config.name}{over}{older}")


def history(study: _Study, scale: _Scale = None) -> None:
    """Show the versions of a study that has grown: since when, what changed, and which trials came along.

    Example: ocr-sweep sweep history unet_aug
    """
    from rich.table import Table

    from ocr_sweep.cli.console import console
    from ocr_sweep.config.load import find_study, load_study
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.sweep.search.history import history_of

    paths = Paths.find()
    config = load_study(find_study(study, paths.sweeps), paths.sweeps, scale)
    epochs = history_of(config.name, paths)
    if not epochs:
        raise NotFoundError(f"study '{config.name}' never ran; run it first: make sweep STUDY={config.name}")
    table = Table("version", "since", "proposed", "of before", "set aside", "what changed")
    for one in epochs:
        aside = "\n".join(f"{count}: {reason}" for reason, count in sorted(one.fenced.items()))
        changed = "\n".join(one.changed)
        table.add_row(str(one.number), one.since, str(one.proposed), str(one.kept), aside, changed)
    console.print(table)
