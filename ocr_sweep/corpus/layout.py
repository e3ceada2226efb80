"""From read scans and faces to the rows of a corpus: what is left out, and which image lies in which set."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ocr_sweep.config.corpus import ScannedConfig, SimulatedConfig
from ocr_sweep.corpus.audit import check_training
from ocr_sweep.corpus.jobs import GlyphJob, SimulatedJob
from ocr_sweep.corpus.plan import CorpusPlan
from ocr_sweep.corpus.scan import Scan
from ocr_sweep.corpus.splits import SPLITS, assign_splits, choose_pseudo_tail, take_turns, unite
from ocr_sweep.errors import DataError
from ocr_sweep.store import Source, first_of_each_class

OVERFLOW = "overflow"
PSEUDO_TAIL = "pseudo_tail"


@dataclass(frozen=True)
class ReadScan:
    """A scan that was read: what it is and where its pixels are kept."""

    scan: Scan
    source: int  # number of its folder among `CorpusPlan.folders`
    place: int  # number of its pixels among all scans that were read
    digest: str  # hash of its normalised pixels
    copy: str = ""  # shared by scans that show the same picture of the same character; empty where nobody looked

    @property
    def picture(self) -> str:
        """What it shows: equal for copies."""
        return self.copy or self.digest


@dataclass(frozen=True)
class Entry:
    """One row of the corpus to be: where it belongs and how its pixels come."""

    char: str
    source: Source
    set_name: str
    group: str
    name: str  # for people
    content: GlyphJob | SimulatedJob | int  # a job, or the place of a scan that was read
    fold: int = -1  # of training and validation taking turns
    place: int = -1  # of a training scan in the order in which a cap takes them
    own_val: str = ""  # the set that it validates in when its fold's turn comes

    @property
    def split(self) -> str:
        """train, overflow, val or test."""
        return self.set_name.split("/")[0]


def lay_out(plan: CorpusPlan, read: list[ReadScan], left_out: dict[str, dict[str, Any]]) -> tuple[list[Entry], list[str]]:
    """Return all rows in their order, and the names of the sets.

    The order is: train (glyphs by face, then scans, then generated images), overflow, then the val and test sets.

    Args:
        left_out: what is left out here is added to it, by source.

    Raises:
        DataError: a class has no training image, or there is no image for val or for test.
    """
    scans = [one for one in read if one.source < len(plan.sources)]
    generated = [one for one in read if one.source >= len(plan.sources)]  # apart, so that they never put out a scan
    entries = [
        *_rendered(plan),
        *_scanned(plan, _distinct(plan, scans, left_out), left_out),
        *_generated(plan, _distinct(plan, generated, left_out)),
        *_simulated(plan),
    ]
    chars = plan.recipe.charset.chars
    class_id = {char: i for i, char in enumerate(chars)}
    check_training(chars, np.array([class_id[entry.char] for entry in entries if entry.split == "train"], dtype=np.int64))
    names = [*(config.name for config in plan.recipe.scanned), *(config.name for config in plan.recipe.simulated)]
    wanted = ["train", OVERFLOW, *(f"{split}/{name}" for split in ("val", "test") for name in (*names, PSEUDO_TAIL))]
    held = {entry.set_name for entry in entries} | {entry.own_val for entry in entries}
    if plan.recipe.folds is not None:
        held.add(OVERFLOW)  # another fold may have some
    sets = [name for name in wanted if name in held]
    for split in ("val", "test"):
        if not any(name.startswith(split) for name in sets):
            raise DataError(
                f"a corpus needs a {split} set, but no image fell to {split}; give it a larger share, or smaller groups"
            )
    number = {name: i for i, name in enumerate(sets)}
    entries.sort(  # stable: files stay in order, and glyphs face by face, so that few faces are open at a time
        key=lambda entry: (
            number[entry.set_name],
            entry.source,
            0 if entry.source == Source.RENDERED else class_id[entry.char],
        )
    )
    return entries, sets


def _rendered(plan: CorpusPlan) -> list[Entry]:
    """Each glyph in every weight; a glyph and its weights are one group."""
    weights = plan.recipe.rendered.weights if plan.recipe.rendered else []
    return [
        Entry(
            char,
            Source.RENDERED,
            "train",
            f"{face.label} {char}",
            f"{char} in {face.label}{f' at {weight:+g}' if weight else ''}",
            GlyphJob(face.path, face.index, char, face.extents.get(char), weight),
        )
        for face, held in plan.glyphs.by_face
        for char in held
        for weight in weights
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
    """Leave out pictures whose pixels carry two labels, and copies, exact or near, of a picture of an earlier source."""
    by_digest: dict[str, list[ReadScan]] = defaultdict(list)
    first_copy: dict[str, int] = {}  # source of the first scan that shows a picture
    for one in read:
        by_digest[one.digest].append(one)
        first_copy.setdefault(one.picture, one.source)
    kept = []
    for one in read:
        alike = by_digest[one.digest]
        reason = ""
        if len({other.scan.char for other in alike}) > 1:
            reason = "conflicting_labels"
        elif alike[0].source != one.source or first_copy[one.picture] != one.source:
            reason = "copies_of_another_source"
        if reason:
            left_out[_input_name(plan, one.source)].setdefault(reason, []).append(one.scan.file)
        else:
            kept.append(one)
    return kept


def _input_name(plan: CorpusPlan, source: int) -> str:
    return plan.folders[source][0]


def _generated(plan: CorpusPlan, read: list[ReadScan]) -> list[Entry]:
    """Images of a GAN: they train and never judge."""
    entries = []
    for one in read:
        name = f"{_input_name(plan, one.source)}/{one.scan.file}"
        entries.append(Entry(one.scan.char, Source.GENERATED, "train", name, name, one.place))
    return entries


def _scanned(plan: CorpusPlan, read: list[ReadScan], left_out: dict[str, dict[str, Any]]) -> list[Entry]:
    drawn = {char for face in plan.training_faces for char in face.chars}
    drawn |= {scan.char for source in plan.generated for scan in source.chosen}
    must_train = {char for char in plan.recipe.charset.chars if char not in drawn}
    tails = _pseudo_tail(plan, read, drawn)
    entries: list[Entry] = []
    for number, config in enumerate(plan.recipe.scanned):
        found = _split_source(plan, config, [one for one in read if one.source == number], must_train, tails)
        found = _may_train(found, read, left_out[_input_name(plan, number)])
        must_train -= {entry.char for entry in found if entry.split == "train"}
        entries += found
    return _limit_tests(plan, _cap(plan, _hide(plan, entries, tails, left_out)), left_out)


def _pseudo_tail(plan: CorpusPlan, read: list[ReadScan], drawn: set[str]) -> dict[str, str]:
    """The characters whose scans are hidden from training, and whether they judge in val or in test."""
    if not plan.recipe.pseudo_tail:
        return {}
    training = {number for number, config in enumerate(plan.recipe.scanned) if config.split.train > 0}
    scanned = {one.scan.char for one in read if one.source in training}
    val, test = choose_pseudo_tail([ord(char) for char in scanned & drawn], plan.recipe.pseudo_tail, seed=plan.recipe.seed)
    return {**{chr(point): "val" for point in val}, **{chr(point): "test" for point in test}}


def _split_source(
    plan: CorpusPlan, config: ScannedConfig, read: list[ReadScan], must_train: set[str], tails: dict[str, str]
) -> list[Entry]:
    if not read:
        return []
    groups = unite([one.scan.group for one in read], [one.digest for one in read], [one.picture for one in read])
    class_ids = np.array([ord(one.scan.char) for one in read], dtype=np.int64)
    hidden = np.array([one.scan.char in tails for one in read])
    apart = hidden & ~np.isin(groups, groups[~hidden])  # whole groups of hidden characters need no part of the shares
    splits, folds = np.zeros(len(read), dtype=np.int64), np.full(len(read), -1, dtype=np.int64)
    if read[0].scan.split is not None:  # the user's, for the whole source; `check_leaks` refuses groups that they tear
        splits[:] = [SPLITS.index(str(one.scan.split)) for one in read]
    elif not apart.all():
        splits[~apart], folds[~apart] = assign_splits(
            groups[~apart],
            class_ids[~apart],
            config.split,
            folds=plan.recipe.folds,
            seed=plan.recipe.seed,
            must_train={ord(char) for char in must_train},
        )
    splits[apart] = [SPLITS.index(tails[one.scan.char]) for one, alone in zip(read, apart, strict=True) if alone]
    entries = []
    for one, group, split, fold in zip(read, groups.tolist(), splits.tolist(), folds.tolist(), strict=True):
        set_name = "train" if SPLITS[split] == "train" else f"{SPLITS[split]}/{config.name}"
        name, own_val = f"{config.name}/{one.scan.file}", f"val/{config.name}" if fold >= 0 else ""
        entry = Entry(one.scan.char, Source.SCANNED, set_name, f"{config.name} {group}", name, one.place, fold, -1, own_val)
        entries.append(entry)
    return entries


def _hide(plan: CorpusPlan, entries: list[Entry], tails: dict[str, str], left_out: dict[str, dict[str, Any]]) -> list[Entry]:
    """Take the pseudo-tail's scans out of training; where they judge, they judge in sets of their own."""
    kept = []
    for entry in entries:
        if entry.char not in tails:
            kept.append(entry)
        elif entry.split == "train":
            _count(left_out, plan, entry, "pseudo_tail")
        else:
            kept.append(replace(entry, set_name=f"{entry.split}/{PSEUDO_TAIL}", fold=-1, own_val=""))
    return kept


def _may_train(entries: list[Entry], read: list[ReadScan], left_out: dict[str, Any]) -> list[Entry]:
    """Leave out what fell to train and `train_only` does not name."""
    barred = {one.place for one in read if not one.scan.may_train}
    kept = [entry for entry in entries if entry.split != "train" or entry.content not in barred]
    if len(kept) < len(entries):
        left_out["not_in_train_only"] = len(entries) - len(kept)
    return kept


def _cap(plan: CorpusPlan, entries: list[Entry]) -> list[Entry]:
    """Let at most `scanned_per_class` scans of each class train; the others overflow, for whoever learns without a cap."""
    turning = [entry for entry in entries if entry.split == "train" or entry.fold >= 0]
    names = [config.name for config in plan.recipe.scanned]
    class_ids = [ord(entry.char) for entry in turning]
    places = take_turns(
        class_ids,
        [names.index(entry.name.split("/")[0]) for entry in turning],
        [entry.name for entry in turning],
        seed=plan.recipe.seed,
    )
    turned = [replace(entry, place=place) for entry, place in zip(turning, places.tolist(), strict=True)]
    learns = np.array([entry.split == "train" for entry in turned], dtype=bool)
    fits = np.ones(len(turned), dtype=bool)
    fits[learns] = first_of_each_class(np.array(class_ids)[learns], places[learns], plan.recipe.scanned_per_class)
    capped = [entry if fit else replace(entry, set_name=OVERFLOW) for entry, fit in zip(turned, fits.tolist(), strict=True)]
    return capped + [entry for entry in entries if entry.split != "train" and entry.fold < 0]


def _limit_tests(plan: CorpusPlan, entries: list[Entry], left_out: dict[str, dict[str, Any]]) -> list[Entry]:
    """Keep at most `test_per_class` images of each class in each test set, drawn by the seed."""
    if plan.recipe.test_per_class is None:
        return entries
    tests = [entry for entry in entries if entry.split == "test"]
    sets = sorted({entry.set_name for entry in tests})
    keys = np.array([sets.index(entry.set_name) * 0x110000 + ord(entry.char) for entry in tests], dtype=np.int64)
    places = take_turns(keys.tolist(), [0] * len(tests), [entry.name for entry in tests], seed=plan.recipe.seed)
    fits = first_of_each_class(keys, places, plan.recipe.test_per_class)
    over = [entry for entry, fit in zip(tests, fits.tolist(), strict=True) if not fit]
    for entry in over:
        _count(left_out, plan, entry, "over_test_per_class")
    gone = {entry.name for entry in over}
    return [entry for entry in entries if entry.name not in gone]


def _count(left_out: dict[str, dict[str, Any]], plan: CorpusPlan, entry: Entry, why: str) -> None:
    found = left_out[f"scans/{entry.name.split('/')[0]}"]
    found[why] = found.get(why, 0) + 1
