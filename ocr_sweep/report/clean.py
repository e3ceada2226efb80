"""The contact sheet: what cleaning found, on one page where a person decides and saves the decisions as a CSV."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus.cleaning import Findings, SeenScan, Suspect
from ocr_sweep.corpus.decisions import COLUMNS
from ocr_sweep.report.page import write_page
from ocr_sweep.report.thumbnails import glyph_uri, image_uri
from ocr_sweep.store import CorpusView

_SIDE = 96  # pixels of a scan that is to be judged


@dataclass(frozen=True)
class Item:
    """A scan on the page."""

    file: str  # the name that a decision gives it
    char: str
    code: str  # U+XXXX
    class_id: int
    place: str  # the set it lies in
    picture: str  # data URI
    why: str  # goes into the decisions file


@dataclass(frozen=True)
class SuspectItem:
    """A suspect on the page."""

    item: Item
    votes: str
    odds: str
    read_as: str
    read_code: str
    read_id: int
    review_only: str


def write_clean_page(path: Path, *, view: CorpusView, recipe: CorpusConfig, findings: Findings) -> Path:
    """Write the contact sheet of a corpus and return its path.

    Raises:
        StoreError: the page cannot be written.
    """
    suspects = [_suspect(one, view) for one in findings.suspects]
    copies = [[_item(scan, "copy") for scan in group] for group in findings.copies]
    conflicts = [[_item(scan, "same picture, other label") for scan in group] for group in findings.conflicts]
    shown = {one.item.class_id for one in suspects} | {one.read_id for one in suspects}
    files = sorted({source.decisions for source in recipe.scanned if source.decisions is not None})
    content = {
        "title": f"{recipe.name}: suspects",
        "view": view,
        "findings": findings,
        "proposed": [one for one in suspects if not one.review_only],
        "review": [one for one in suspects if one.review_only],
        "copies": copies,
        "conflicts": conflicts,
        "pictures": _class_pictures(shown, view, findings),
        "sources": [source.name for source in recipe.scanned],
        "decisions_file": files[0] if files else f"{recipe.name}-decisions.csv",
        "named": bool(files),
        "data": {
            "columns": COLUMNS,
            "chars": view.chars,
            "store": f"ocr-sweep clean {view.fingerprint}",
            "saved": [[row.file, row.action, row.label, row.why] for row in findings.decided],
        },
    }
    return write_page(path, "clean.html", content)


def _suspect(suspect: Suspect, view: CorpusView) -> SuspectItem:
    votes = ", ".join(suspect.votes)
    char = view.chars[suspect.predicted]
    item = _item(suspect.scan, f"{votes}: reads {char}", suspect.scan.class_id)
    return SuspectItem(item, votes, _odds(suspect.margin), char, f"U+{ord(char):04X}", suspect.predicted, suspect.review_only)


def _odds(margin: float) -> str:
    """How much more probable the other class is, as people say it."""
    times = 2.718281828459045 ** min(margin, 20.0)
    return "over a million times" if times > 1e6 else f"{float(f'{times:.2g}'):,.0f} times" if times >= 2 else "hardly"


def _item(scan: SeenScan, why: str, class_id: int = -1) -> Item:
    return Item(
        scan.name,
        scan.char,
        f"U+{ord(scan.char):04X}",
        class_id,
        scan.set_name or "left out",
        image_uri(scan.image, _SIDE),
        why,
    )


def _class_pictures(class_ids: Iterable[int], view: CorpusView, findings: Findings) -> dict[int, list[str]]:
    """Of each class a glyph, and the scan that carries its label most surely: data URIs, once a page."""
    found: dict[int, list[str]] = {}
    for class_id in sorted(class_ids):
        pictures = [glyph_uri(view, class_id)]
        if class_id in findings.typical:
            pictures.append(image_uri(findings.typical[class_id]))
        found[class_id] = list(dict.fromkeys(picture for picture in pictures if picture))
    return found
