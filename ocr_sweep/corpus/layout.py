"""From read scans and faces to the rows of a corpus: what is left out, and which image lies in which set."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocr_sweep.config.corpus import ScannedConfig, SimulatedConfig
from ocr_sweep.corpus.audit import check_training
from ocr_sweep.corpus.jobs import GlyphJob, SimulatedJob
from ocr_sweep.corpus.plan import CorpusPlan
from ocr_sweep.corpus.scans import Scan
from ocr_sweep.corpus.splits import SPLITS, assign_splits, cap_training, unite
from ocr_sweep.errors import DataError
from ocr_sweep.store import Source


@dataclass(frozen=True)
class ReadScan:
    """A scan that was read: what it is and where its pixels are kept."""

    scan: Scan
    source: int  # number of the scanned source in the recipe
    place: int  # number of its pixels among all scans that were read
    digest: str  # hash of its normalised pixels


@dataclass(frozen=True)
class Entry:
    """One row of the corpus to be: where it belongs and how its pixels come."""

    char: str
    source: Source
    set_name: str
    group: str
    name: str  # for people
    content: GlyphJob | SimulatedJob | int  # a job, or the place of a scan that was read

    @property
    def split(self) -> str:
        """train, val or test."""
        return self.set_name.split("/")[0]


def lay_out(plan: CorpusPlan, read: list[ReadScan], left_out: dict[str, dict[str, Any]]) -> tuple[list[Entry], list[str]]:
    """Return all rows in their order, and the names of the sets: train rendered, train scanned, then val and test sets.

    Args:
        left_out: what is left out here is added to it, by source.

    Raises:
        DataError: a class has no training image, or there is no image for val or for test.
    """
    entries = _rendered(plan) + _scanned(plan, _distinct(plan, read, left_out), left_out) + _simulated(plan)
    chars = plan.recipe.charset.chars
    class_id = {char: i for i, char in enumerate(chars)}
    check_training(chars, np.array([class_id[entry.char] for entry in entries if entry.split == "train"], dtype=np.int64))
    names = [*(config.name for config in plan.recipe.scanned), *(config.name for config in plan.recipe.simulated)]
    wanted = ["train", *(f"{split}/{name}" for split in ("val", "test") for name in names)]
    held = {entry.set_name for entry in entries}
    sets = [name for name in wanted if name in held]
    for split in ("val", "test"):
        if not any(name.startswith(split) for name in sets):
            raise DataError(
                f"a corpus needs a {split} set, but no image fell to {split}; give it a larger share, or smaller groups"
            )
    number = {name: i for i, name in enumerate(sets)}
    entries.sort(key=lambda entry: (number[entry.set_name], entry.source, class_id[entry.char]))  # stable: files stay in order
    return entries, sets


def _rendered(plan: CorpusPlan) -> list[Entry]:
    return [
        Entry(
            char,
            Source.RENDERED,
            "train",
            f"{face.label} {char}",
            f"{char} in {face.label}",
            GlyphJob(face.path, face.index, char),
        )
        for face in plan.training_faces
        for char in sorted(face.chars)
    ]


def _simulated(plan: CorpusPlan) -> list[Entry]:
    face = plan.simulated_face
    if face is None:
        return []
    return [
        _simulated_entry(plan, config, split, char, number)
        for config in plan.recipe.simulated
        for split, count in (("val", config.val_per_class), ("test", config.test_per_class))
        for char in sorted(face.chars)
        for number in range(count)
    ]


def _simulated_entry(plan: CorpusPlan, config: SimulatedConfig, split: str, char: str, number: int) -> Entry:
    face = plan.simulated_face
    assert face is not None
    name = f"{split}/{config.name}"
    key = f"{plan.recipe.seed} {name} {char} {number}"
    return Entry(char, Source.SIMULATED, name, key, key, SimulatedJob(face.path, face.index, char, config.wear, key))


def _distinct(plan: CorpusPlan, read: list[ReadScan], left_out: dict[str, dict[str, Any]]) -> list[ReadScan]:
    """Leave out pictures whose pixels carry two labels, and copies of a picture of an earlier source."""
    by_digest: dict[str, list[ReadScan]] = defaultdict(list)
    for one in read:
        by_digest[one.digest].append(one)
    kept = []
    for one in read:
        alike = by_digest[one.digest]
        reason = ""
        if len({other.scan.char for other in alike}) > 1:
            reason = "conflicting_labels"
        elif alike[0].source != one.source:
            reason = "copies_of_another_source"
        if reason:
            left_out[_input_name(plan, one.source)].setdefault(reason, []).append(one.scan.file)
        else:
            kept.append(one)
    return kept


def _input_name(plan: CorpusPlan, source: int) -> str:
    return f"scans/{plan.recipe.scanned[source].name}"


def _scanned(plan: CorpusPlan, read: list[ReadScan], left_out: dict[str, dict[str, Any]]) -> list[Entry]:
    drawn = {char for face in plan.training_faces for char in face.chars}
    must_train = {char for char in plan.recipe.charset.chars if char not in drawn}
    entries: list[Entry] = []
    for number, config in enumerate(plan.recipe.scanned):
        found = _split_source(plan, config, [one for one in read if one.source == number], must_train)
        must_train -= {entry.char for entry in found if entry.split == "train"}
        entries += found
    return _cap(plan, entries, left_out)


def _split_source(plan: CorpusPlan, config: ScannedConfig, read: list[ReadScan], must_train: set[str]) -> list[Entry]:
    if not read:
        return []
    groups = unite([one.scan.group for one in read], [one.digest for one in read])
    class_ids = np.array([ord(one.scan.char) for one in read], dtype=np.int64)
    splits = assign_splits(groups, class_ids, config.split, seed=plan.recipe.seed, must_train={ord(char) for char in must_train})
    entries = []
    for one, group, split in zip(read, groups.tolist(), splits.tolist(), strict=True):
        set_name = "train" if SPLITS[split] == "train" else f"{SPLITS[split]}/{config.name}"
        name = f"{config.name}/{one.scan.file}"
        entries.append(Entry(one.scan.char, Source.SCANNED, set_name, f"{config.name} {group}", name, one.place))
    return entries


def _cap(plan: CorpusPlan, entries: list[Entry], left_out: dict[str, dict[str, Any]]) -> list[Entry]:
    """Keep at most `scanned_per_class` training scans of each class; what is over is in no set."""
    training = [entry for entry in entries if entry.split == "train"]
    names = [config.name for config in plan.recipe.scanned]
    sources = [names.index(entry.name.split("/")[0]) for entry in training]
    cap, seed = plan.recipe.scanned_per_class, plan.recipe.seed
    kept = cap_training([ord(entry.char) for entry in training], sources, [entry.name for entry in training], cap, seed=seed)
    over = {entry.name for entry, keep in zip(training, kept, strict=True) if not keep}
    for number in range(len(names)):
        count = sum(source == number and not keep for source, keep in zip(sources, kept, strict=True))
        if count:
            left_out[_input_name(plan, number)]["over_scanned_per_class"] = count
    return [entry for entry in entries if entry.name not in over]
