"""Writes a corpus store from a few rows, for tests that need no build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.disk import write_json
from ocr_sweep.store import IMAGES, INDEX, ROW_DTYPE, write_index

ALONE = (-1, -1, -1)  # in no fold


def make_rows(rows: Sequence[tuple[int, ...]]) -> NDArray[np.void]:
    """(class_id, source, set_id, group) of each image, in no fold, as the store keeps them."""
    return np.array([(*row, *ALONE) if len(row) == 4 else row for row in rows], dtype=ROW_DTYPE)


def save_store(
    folder: Path,
    images: NDArray[np.uint8],
    rows: Sequence[tuple[int, ...]],
    *,
    sets: list[str],
    recipe: dict[str, Any],
    name: str,
) -> None:
    """Write what `CorpusView.open` reads; `name` is the fingerprint."""
    table = make_rows(rows)
    np.save(folder / IMAGES, images)
    write_index(folder / INDEX, table, [f"image {i}" for i in range(len(table))], sets, recipe["charset"]["chars"])
    hashes = {file: file_sha256(folder / file) for file in (IMAGES, INDEX)}
    write_json(folder / "manifest.json", {"fingerprint": name, "recipe": recipe, "sets": sets, "sha256": hashes})
