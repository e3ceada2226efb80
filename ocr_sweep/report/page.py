"""How every page is made: one template, one look, one file that needs no server and no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ocr_sweep.disk import store_errors, write_bytes
from ocr_sweep.report.words import percent


def write_page(
    path: Path, template: str, content: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] | None = None
) -> Path:
    """Render a template of this package, everything escaped, and write the page atomically.

    Args:
        filters: what the template calls beside `percent`.

    Raises:
        StoreError: the page cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("ocr_sweep.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, **(filters or {}))
    page = environment.get_template(template).render(content)
    with store_errors(f"creating {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, page.encode("utf-8", "backslashreplace"))
    return path
