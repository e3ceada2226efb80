"""What must hold of a corpus before anybody trains on it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.corpus.charset import code_points
from ocr_sweep.errors import DataError, IntegrityError
from ocr_sweep.store import CorpusView, Source

ROLES = ("train", "simulated")
"""What a font may do in a corpus."""


def name_chars(chars: Iterable[str], most: int = 10) -> str:
    """Name characters for an error: the first few with their code points."""
    listed = list(chars)
    more = f" ... and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(f"{char} {code_points(char)}" for char in listed[:most]) + more


def check_sources(chars: str, drawn: set[str], scanned: set[str], empty: set[str]) -> None:
    """Check that every class has an image somewhere.

    Args:
        drawn: characters that some training face draws.
        scanned: characters that have scans.
        empty: characters that have a folder without a picture.

    Raises:
        DataError: some have none.
    """
    lost = [char for char in chars if char not in drawn and char not in scanned]
    if not lost:
        return
    hollow = [char for char in lost if char in empty]
    note = f". The folders of these hold no picture: {name_chars(hollow)}" if hollow else ""
    raise DataError(
        f"every character of the charset needs an image, but no font draws and no scan shows {len(lost)} of {len(chars)}: "
        f"{name_chars(lost)}{note}. Install fonts that draw them (or raise `max_faces`), add scans, or name in the recipe a "
        "charset file of what this machine draws: `ocr-sweep corpus charset OLD.txt --fonts system --out NEW.txt`. What no font "
        "draws, `ocr-sweep corpus generate` can"
    )


def check_training(chars: str, train_classes: NDArray[np.int64]) -> None:
    """Check that every class has a training image.

    Raises:
        DataError: some have none.
    """
    lost = [chars[i] for i in np.setdiff1d(np.arange(len(chars)), train_classes)]
    if lost:
        raise DataError(
            f"every class needs a training image, but {len(lost)} of {len(chars)} have scans in val or test only: "
            f"{name_chars(lost)}. Give a source of theirs `split.train` above 0, raise `scanned_per_class`, add a font that "
            "draws them, or take them out of the charset"
        )


def check_leaks(rows: NDArray[np.void], splits: Sequence[str], digests: Sequence[bytes], names: Sequence[str]) -> None:
    """Check that no image and no group lies in two of train, val and test; what overflowed counts as train.

    Args:
        rows: (N,) of ROW_DTYPE.
        splits: split of each image.
        digests: hash of each image's pixels.
        names: of each image, for the error.

    Raises:
        DataError: with the first ten pairs.
    """
    leaks: list[str] = []
    splits = ["train" if split == "overflow" else split for split in splits]
    simulated = False
    for what, keys in (("image", digests), ("group", rows["group"].tolist())):
        first: dict[object, int] = {}
        for i, key in enumerate(keys):
            other = first.setdefault(key, i)
            if splits[other] != splits[i]:
                leaks.append(f"same {what}: {names[other]} in {splits[other]} and {names[i]} in {splits[i]}")
                simulated |= Source.SIMULATED in (rows["source"][i], rows["source"][other])
    if leaks:
        more = f"\n... and {len(leaks) - 10} more" if len(leaks) > 10 else ""
        hint = "; raise `wear` of the simulated set" if simulated else ""
        raise DataError(f"{len(leaks)} leaks between train, val and test{hint}:\n" + "\n".join(leaks[:10]) + more)


def audit_store(view: CorpusView) -> list[str]:
    """Look at a finished corpus once more, by reading only: its bytes, and whether anything leaks between splits.

    Pixels, groups (writer, page, near duplicates) and fonts are compared between train with its overflow, val and test,
    in every fold.

    Returns:
        One sentence for each thing that is wrong.
    """
    names = view.names
    digests = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in view.images]
    wrong = list(_damaged(view))
    for fold in range(view.manifest["recipe"].get("folds") or 1):
        splits = [view.set_names[i].split("/")[0] for i in CorpusView.open(view.path, fold).rows["set_id"].tolist()]
        try:
            check_leaks(view.rows, splits, digests, names)
        except DataError as error:
            wrong += [f"fold {fold}: {line}" if fold else line for line in str(error).splitlines()]
    return wrong + _shared_fonts(view.manifest)


def _damaged(view: CorpusView) -> Iterable[str]:
    try:
        view.verify()
    except IntegrityError as error:
        yield str(error)


def _shared_fonts(manifest: dict[str, Any]) -> list[str]:
    """Fonts that train and judge, unless the corpus says so of itself."""
    if manifest["simulated_font_shared"]:
        return []
    files = {role: {font["sha256"]: font["file"] for font in manifest["fonts"] if font["role"] == role} for role in ROLES}
    return [f"font {files['train'][sha]} trains and draws simulated scans" for sha in files["train"] if sha in files["simulated"]]
