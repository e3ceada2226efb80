"""How much disk a corpus will take, and whether there is room for it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.corpus.plan import CorpusPlan
from ocr_sweep.errors import ConfigError, StoreError

BUDGET = "OCR_SWEEP_CORPORA_BUDGET"
_INDEX_BYTES = 60  # of one row in the Parquet index, generously
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class Estimate:
    """What a plan will become, from above: unreadable scans and copies are not known before they are read."""

    images: int
    bytes: int  # of the finished store
    peak_bytes: int  # while it is built: the scans are kept apart until they are laid out


def estimate(plan: CorpusPlan) -> Estimate:
    """Count the images of a plan before any is made."""
    num_scans = sum(len(scans) for _, _, scans in plan.folders)
    per_class = sum(config.val_per_class + config.test_per_class for config in plan.recipe.simulated)
    weights = plan.recipe.rendered.weights if plan.recipe.rendered else []
    drawn = sum(len(chars) for _, chars in plan.glyphs.by_face) * len(weights)
    held = len(plan.simulated_face.chars) if plan.simulated_face else 0
    images, pixels = num_scans + drawn + held * per_class, plan.recipe.image_size**2
    return Estimate(images, images * (pixels + _INDEX_BYTES), images * (pixels + _INDEX_BYTES) + num_scans * pixels)


def check_room(wanted: Estimate, corpora: Path, cache: Path) -> None:
    """Refuse to begin a corpus that the disk or the budget cannot hold.

    Args:
        cache: what lies here for the sake of corpora counts too.

    Raises:
        StoreError: with what is needed and what there is.
        ConfigError: the budget's setting cannot be read.
    """
    free = shutil.disk_usage(corpora).free
    if wanted.peak_bytes > free:
        raise StoreError(
            f"the corpus needs {size(wanted.peak_bytes)} for {wanted.images:,} images, but {corpora} has {size(free)} free; "
            "free space (`ocr-sweep corpus gc`), or ask for fewer or smaller images"
        )
    budget = read_budget(os.environ.get(BUDGET))
    if budget is None:
        return
    held, cached = sum(size_of(path) for path in corpora.iterdir() if path.is_dir()), size_of(cache)
    if held + cached + wanted.bytes > budget:
        raise StoreError(
            f"corpora may take {size(budget)} with their cache ({BUDGET}), but hold {size(held)}, the cache {size(cached)}, and "
            f"this one adds {size(wanted.bytes)}; raise the budget, or remove some with `ocr-sweep corpus gc`"
        )


def read_budget(text: str | None) -> int | None:
    """Return the bytes of e.g. "50GB"; None where there is no budget.

    Raises:
        ConfigError: the text is no size.
    """
    if not text:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", text, re.IGNORECASE)
    if match is None:
        raise ConfigError([f"{BUDGET} must be a size like 50GB, but got {text!r}"])
    return int(float(match[1]) * _UNITS[match[2].upper()])


def size(number: int) -> str:
    """Bytes for people."""
    for unit in ("TB", "GB", "MB"):
        if number >= _UNITS[unit[0]]:
            return f"{number / _UNITS[unit[0]]:.1f} {unit}"
    return f"{number / 1000:.1f} kB"


def size_of(folder: Path) -> int:
    """Bytes of the files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
