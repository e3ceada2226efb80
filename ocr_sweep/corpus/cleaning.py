"""What a person should look at before training: labels that are probably wrong, and pictures that lie there twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.corpus import CorpusConfig, ScannedConfig
from ocr_sweep.corpus.charset import code_points
from ocr_sweep.corpus.decisions import Decision, read_decisions, stable_name
from ocr_sweep.corpus.duplicates import duplicate_groups, members, same_pictures
from ocr_sweep.corpus.glyphs import Gray, normalise_ink
from ocr_sweep.corpus.label_errors import FEW, VOTES, LabelVotes, vote_on_labels
from ocr_sweep.corpus.pictures import UnreadableImageError, read_ink
from ocr_sweep.store import CorpusView, Source


@dataclass(frozen=True)
class SeenScan:
    """A scan as it is shown to a person."""

    name: str  # stable: what a decisions file calls it
    char: str  # its label
    image: Gray  # (S, S)
    set_name: str  # "train", "val/book", ...; empty for a scan that was left out
    class_id: int


@dataclass(frozen=True)
class Suspect:
    """A scan whose label is probably wrong."""

    scan: SeenScan
    votes: tuple[str, ...]  # those against the label
    predicted: int  # class id
    margin: float  # log odds of the predicted class against the label
    review_only: str  # why nothing is proposed for it; empty where something is


@dataclass(frozen=True)
class Findings:
    """Everything found in one corpus."""

    suspects: tuple[Suspect, ...]  # the most blatant first
    copies: tuple[tuple[SeenScan, ...], ...]  # one picture several times under one label
    conflicts: tuple[tuple[SeenScan, ...], ...]  # one picture under several labels
    num_scans: int
    num_unjudged: int  # scans of classes that no model learns to read from so few
    num_silenced: int  # findings that a person has decided
    decided: tuple[Decision, ...]  # what the recipe's decisions files say already
    typical: dict[int, Gray]  # class id -> the scan that carries its label most surely


def find_suspects(view: CorpusView, *, recipe: CorpusConfig, data_root: Path, seed: int = 0) -> Findings:
    """Look through all scanned images of a corpus. What a decisions file of the recipe names is not asked again.

    Args:
        recipe: of the corpus, as it is now: it may name a decisions file that changed nothing in the corpus.
        data_root: where pictures that the build left out for their two labels are read, to show them.

    Raises:
        NotFoundError, DataError: a decisions file of the recipe is gone or cannot be read.
        IntegrityError: the corpus has no names of its images.
    """
    places = np.flatnonzero(view.rows["source"] == Source.SCANNED)
    scans, images = _Scans(view, places), np.asarray(view.images)[places]
    rows = tuple(row for path in _decision_files(recipe) for row in read_decisions(data_root / path))
    decided = {row.file for row in rows}
    class_ids, groups = view.class_ids[places], view.rows["group"][places].astype(np.int64)
    votes = vote_on_labels(images, class_ids, groups, num_classes=view.num_classes, seed=seed)
    counts = np.bincount(class_ids, minlength=view.num_classes)
    suspects = [
        Suspect(
            scan := scans[i],
            tuple(name for name, against in zip(VOTES, votes.votes[i], strict=True) if against),
            int(votes.predicted[i]),
            float(votes.margin[i]),
            _review_only(scan, int(counts[scan.class_id])),
        )
        for i in votes.suspects.tolist()
    ]
    compared = _compared(recipe, scans, len(places))
    copies = [scans.several(group) for group in members(duplicate_groups(images, class_ids, compared))]
    crossing = [np.flatnonzero(compared)[group] for group in _crossing(images[compared], class_ids[compared])]
    conflicts = [scans.several(group) for group in crossing] + list(_left_out(view, recipe, data_root))
    open_suspects = tuple(suspect for suspect in suspects if suspect.scan.name not in decided)
    open_copies, open_conflicts = ([g for g in found if not _settled(g, decided)] for found in (copies, conflicts))
    silenced = len(suspects) + len(copies) + len(conflicts) - len(open_suspects) - len(open_copies) - len(open_conflicts)
    return Findings(
        open_suspects,
        tuple(open_copies),
        tuple(open_conflicts),
        num_scans=len(places),
        num_unjudged=int((~votes.judged).sum()),
        num_silenced=silenced,
        decided=rows,
        typical={int(class_ids[i]): images[i] for i in _surest(class_ids, votes)},
    )


class _Scans:
    """The scans of a corpus by their number among the scans."""

    def __init__(self, view: CorpusView, places: NDArray[np.int64]) -> None:
        self._view, self._places, self._names = view, places, view.names

    def __getitem__(self, number: int) -> SeenScan:
        place = int(self._places[number])
        row = self._view.rows[place]
        class_id = int(row["class_id"])
        set_name = self._view.set_names[int(row["set_id"])]
        image = np.asarray(self._view.images[place])
        return SeenScan(self._names[place], self._view.chars[class_id], image, set_name, class_id)

    def name(self, number: int) -> str:
        return self._names[int(self._places[number])]

    def several(self, numbers: NDArray[np.int64]) -> tuple[SeenScan, ...]:
        return tuple(self[i] for i in numbers.tolist())


def _surest(class_ids: NDArray[np.int64], votes: LabelVotes) -> list[int]:
    """The judged scan of each class whose label no other comes near."""
    judged = np.flatnonzero(votes.judged)
    order = judged[np.lexsort((votes.margin[judged], class_ids[judged]))]
    _, first = np.unique(class_ids[order], return_index=True)
    return [int(i) for i in order[first]]


def _decision_files(recipe: CorpusConfig) -> list[str]:
    return sorted({config.decisions for config in recipe.scanned if config.decisions is not None})


def _review_only(scan: SeenScan, count: int) -> str:
    """Scarce classes lose what they need most, and a test set that its own critic cleans flatters him."""
    if scan.set_name.startswith("test"):
        return "test"
    return f"class has {count} scan{'s' if count > 1 else ''}" if count < FEW else ""


def _compared(recipe: CorpusConfig, scans: _Scans, count: int) -> NDArray[np.bool_]:
    """(count,) the scans of sources in which pictures that look alike are one, as the build took them."""
    apart = {config.name for config in recipe.scanned if not config.near_duplicates}
    return np.array([scans.name(i).split("/")[0] not in apart for i in range(count)], dtype=bool)


def _crossing(images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Groups of one picture that hold several classes."""
    return [group for group in members(same_pictures(images)) if len(np.unique(class_ids[group])) > 1]


def _settled(group: tuple[SeenScan, ...], decided: set[str]) -> bool:
    """All but one decided leaves nothing to ask."""
    return sum(scan.name not in decided for scan in group) <= 1


def _left_out(view: CorpusView, recipe: CorpusConfig, data_root: Path) -> Iterator[tuple[SeenScan, ...]]:
    """The pictures that the build left out because equal pixels carry two labels, group by group."""
    alike: dict[bytes, list[SeenScan]] = defaultdict(list)
    for config in recipe.scanned:
        for file in view.manifest["left_out"].get(f"scans/{config.name}", {}).get("conflicting_labels", []):
            scan = _read_again(view, config, file, data_root)
            if scan is not None:
                alike[scan.image.tobytes()].append(scan)
    yield from (tuple(group) for group in alike.values())


def _read_again(view: CorpusView, config: ScannedConfig, file: str, data_root: Path) -> SeenScan | None:
    """A left-out scan from its file; None where the file is gone."""
    code, _, base = file.partition("/")
    char = chr(int(code[2:], 16))
    for folder in (char, code_points(char), code.lower()):
        try:
            image = normalise_ink(read_ink(data_root / config.path / folder / base), view.images.shape[1])
        except UnreadableImageError:
            continue
        return SeenScan(stable_name(f"{config.name}/{file}"), char, image, "", view.chars.index(char))
    return None
