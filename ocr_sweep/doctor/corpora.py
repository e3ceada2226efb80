"""What runs learnt from and are judged on: whole, without leaks, and there for a reproduction (I17, I18, I27)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ocr_sweep.config.paths import Paths
from ocr_sweep.doctor import words
from ocr_sweep.doctor.evidence import Evidence
from ocr_sweep.doctor.violation import Violation
from ocr_sweep.doctor.work import as_json

_INDEX, _IMAGES = "index.parquet", "images.npy"


def check_corpora(evidence: Evidence) -> Iterator[Violation]:
    """Look at every corpus that a complete run learnt from, and at the files that a reproduction would need."""
    learnt = Counter(run.tags.get(words.CORPUS, "") for run in evidence.complete)
    for fingerprint, number in sorted(learnt.items()):
        folder = evidence.paths.corpora / (fingerprint or "none")
        manifest = as_json(folder / "manifest.json")
        damaged = list(_inputs(folder, manifest, number, quick=evidence.quick))
        yield from damaged
        if manifest is None:
            continue
        yield from _fonts(folder, manifest)
        if not damaged and not evidence.quick:
            yield from _splits(folder, manifest)
    yield from _weights(evidence)


def _inputs(folder: Path, manifest: Mapping[str, Any] | None, number: int, *, quick: bool) -> Iterator[Violation]:
    """I27: the corpus is there, as it was built."""
    if manifest is None:
        what = f"the corpus that {number} complete runs learnt from must be in the store, but {folder} is not"
        do = "build it again: `ocr-sweep corpus build <recipe>` makes the same one from the same fonts and scans"
        yield _wrong("I27", folder, what, do)
        return
    for name, expected in sorted(manifest["sha256"].items()):
        came = _sha256(folder / name, quick=quick)
        if came is None or (came != expected and not quick):
            what = f"{name} must have sha256 {expected}, but has {came or 'no file'}"
            yield _wrong("I27", folder, what, f"remove {folder} and build it again: `ocr-sweep corpus build <recipe>`")


def _sha256(file: Path, *, quick: bool) -> str | None:
    if not file.is_file():
        return None
    if quick:
        return ""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _fonts(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Violation]:
    """I18: the fonts that drew a corpus are among what it is named after, with one hash."""
    inputs = manifest.get("inputs", {})
    for font in manifest.get("fonts", []):
        label = f"font/{font['file']}#{font['index']}"
        if inputs.get(label, font["sha256"]) != font["sha256"]:
            what = f"{label} must have one sha256, but the manifest has {font['sha256']} and {inputs[label]}"
            yield _wrong("I18", folder, what, "restore manifest.json from a backup, or remove the corpus and build it again")


def _splits(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Violation]:
    """I17: labels lie in the charset, every class is taught, and nothing is in two of train, val and test."""
    import pyarrow.parquet as parquet

    table = parquet.read_table(folder / _INDEX, columns=["class_id", "set", "group", "fold"])
    class_id, group, fold = (table[name].to_numpy() for name in ("class_id", "group", "fold"))
    split = np.array([str(name).partition("/")[0].replace("overflow", "train") for name in table["set"].to_pylist()])
    num_classes = len(manifest["recipe"]["charset"]["chars"])
    do = f"do not believe its numbers: remove {folder} and build it again; `ocr-sweep corpus audit` names all of them"
    if len(class_id) and not 0 <= class_id.min() <= class_id.max() < num_classes:
        yield _wrong("I17", folder, f"labels must be below {num_classes}, but one is {class_id.max()}", do)
        return
    untaught = sorted(set(range(num_classes)) - set(class_id[split == "train"].tolist()))
    if untaught:
        yield _wrong("I17", folder, f"every class needs a training image, but {len(untaught)} have none", do)
    taking_turns = fold >= 0  # their split is their fold's business
    torn = _in_two(group[~taking_turns], split[~taking_turns]) + _in_two(group[taking_turns], fold[taking_turns])
    if torn:
        yield _wrong("I17", folder, f"no group may lie in two splits, but {torn} do", do)
    images = np.load(folder / _IMAGES, mmap_mode="r", allow_pickle=False)
    digests = np.array([hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images])
    copied = _in_two(digests, split)
    if copied:
        yield _wrong("I17", folder, f"no image may lie in two splits, but {copied} do", do)


def _in_two(keys: np.ndarray[Any, Any], places: np.ndarray[Any, Any]) -> int:
    """How many keys are in more than one place."""
    pairs = {(key, place) for key, place in zip(keys.tolist(), places.tolist(), strict=True)}
    return sum(count > 1 for count in Counter(key for key, _ in pairs).values())


def _weights(evidence: Evidence) -> Iterator[Violation]:
    """I27: the weights that a network began with are still there."""
    for run in evidence.complete if evidence.paths.data.is_dir() and not evidence.quick else ():
        files = evidence.files(run)
        weights = ((files.config if files else None) or {}).get("model", {}).get("weights")
        problem = None if weights is None else _lacks(evidence.paths, weights)
        if problem:
            what = f"the weights that it began with must be there, but {problem}"
            yield Violation(
                "I27", run.study, run.where, what, "put the file back under the data root, or it cannot be reproduced"
            )


def _lacks(paths: Paths, weights: Mapping[str, str]) -> str | None:
    file = paths.data / weights["file"]
    came = _sha256(file, quick=False)
    if came is None:
        return f"{file} is not"
    return None if came == weights["sha256"] else f"{file} has sha256 {came} and not {weights['sha256']}"


def _wrong(invariant: str, folder: Path, what: str, do: str) -> Violation:
    return Violation(invariant, "", f"corpus {folder.name[:12]}", what, do)
