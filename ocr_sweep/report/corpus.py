"""The page of a corpus: counts, the long tail, coverage, samples, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ocr_sweep.corpus.collapse import collapse_warnings
from ocr_sweep.report.long_tail import group_bounds, long_tail, shares_of_commonest, tail_order
from ocr_sweep.report.page import write_page
from ocr_sweep.report.thumbnails import glyph_uri, image_uri
from ocr_sweep.store import CorpusView, Source

_SAMPLES = 24  # images of a set
_ENDS = 20  # characters shown of head and of tail
_LISTED = 8  # names of what was left out
_GROUPS = {
    "many": "more than 100 real training images",
    "medium": "20 to 100",
    "few": "1 to 19",
    "unseen": "none: rendered only",
}
_REASONS = {
    "outside_charset": "characters outside the charset",
    "bad": "unreadable pictures",
    "conflicting_labels": "equal pictures with different labels",
    "copies_of_another_source": "copies of a picture of another source",
    "over_scanned_per_class": "over `scanned_per_class`, in no set",
    "dropped_by_decision": "dropped by a person's decision",
}


@dataclass(frozen=True)
class SetRow:
    """One named set."""

    name: str
    simulated: bool
    sources: tuple[tuple[str, int], ...]  # kind, images
    images: int
    classes: int
    samples: tuple[tuple[str, str], ...]  # data URI, character


@dataclass(frozen=True)
class GroupRow:
    """A class group and what it holds."""

    name: str
    meaning: str
    classes: int
    real: int
    rendered: int


@dataclass(frozen=True)
class LeftOut:
    """What is not in the corpus, and why."""

    source: str
    reason: str
    count: int
    examples: str


def write_corpus_page(path: Path, *, view: CorpusView, seed: int = 0) -> Path:
    """Write the page of a corpus and return its path.

    Args:
        seed: of the samples that are shown.

    Raises:
        StoreError: the page cannot be written.
    """
    real, rendered = view.real_counts, _train_counts(view, Source.RENDERED)
    order = tail_order(real, rendered)
    totals = np.bincount(view.class_ids[view.indices("train")], minlength=view.num_classes)
    skipped = view.manifest.get("skipped", [])
    content = {
        "title": f"{view.manifest['recipe']['name']}: the corpus",
        "view": view,
        "simulated": view.simulated,
        "font_shared": view.manifest.get("simulated_font_shared", False),
        "num_images": len(view.images),
        "sets": [_set_row(view, name, np.random.default_rng([seed, place])) for place, name in enumerate(view.set_names)],
        "num_real": int(real.sum()),
        "tail": long_tail(real, rendered),
        "groups": [_group_row(name, real[order[a:b]], rendered[order[a:b]]) for name, a, b in group_bounds(real[order])],
        "shares": _share_rows(real, totals),
        "head": _characters(view, order[: min(_ENDS, int((real > 0).sum()))]),
        "last": _characters(view, order[max(_ENDS, len(order) - _ENDS) :]),
        "fonts": view.manifest.get("fonts", []),
        "skipped": [(name, reason) for name, reason in skipped],
        "warnings": [text.removeprefix("warning: ") for text in collapse_warnings(view.manifest)],
        "left_out": list(_left_out(view.manifest.get("left_out", {}))),
        "without": [
            (split, len(chars), chars[:60]) for split, chars in view.manifest.get("classes_without", {}).items() if chars
        ],
    }
    return write_page(path, "corpus.html", content)


def _train_counts(view: CorpusView, source: Source) -> Any:
    rows = view.rows[view.indices("train")]
    return np.bincount(rows["class_id"][rows["source"] == source], minlength=view.num_classes).astype(np.int64)


def _set_row(view: CorpusView, name: str, rng: np.random.Generator) -> SetRow:
    places = view.indices(name)
    sources = view.rows["source"][places]
    counts = tuple((kind.name.lower(), int((sources == kind).sum())) for kind in Source if (sources == kind).any())
    shown = np.sort(rng.choice(places, min(_SAMPLES, len(places)), replace=False))
    samples = tuple((image_uri(view.images[i]), view.chars[int(view.class_ids[i])]) for i in shown)
    simulated = bool((sources == Source.SIMULATED).any())
    return SetRow(name, simulated, counts, len(places), len(np.unique(view.class_ids[places])), samples)


def _group_row(name: str, real: Any, rendered: Any) -> GroupRow:
    return GroupRow(name, _GROUPS[name], len(real), int(real.sum()), int(rendered.sum()))


def _share_rows(real: Any, totals: Any) -> list[tuple[str, float | None, float]]:
    """Number of the commonest characters, their share of the real and of all training images."""
    of_real = dict(shares_of_commonest(real)) if real.sum() else {}
    return [(number, of_real.get(number), share) for number, share in shares_of_commonest(totals)]


def _characters(view: CorpusView, class_ids: Sequence[int] | Any) -> list[tuple[str, str, str | None, int]]:
    """Character, code point, picture and number of real training images."""
    return [
        (view.chars[int(k)], f"U+{ord(view.chars[int(k)]):04X}", glyph_uri(view, int(k)), int(view.real_counts[k]))
        for k in class_ids
    ]


def _left_out(found: dict[str, dict[str, Any]]) -> Iterator[LeftOut]:
    for source, reasons in found.items():
        for reason, value in reasons.items():
            count, examples = _count(value)
            yield LeftOut(source.removeprefix("scans/"), _REASONS.get(reason, reason.replace("_", " ")), count, examples)


def _count(value: Any) -> tuple[int, str]:
    """How many are left out, and a few of them by name."""
    if isinstance(value, dict):
        return sum(value.values()), " ".join(list(value)[: 5 * _LISTED])
    if isinstance(value, list):
        names = [f"{one[0]} ({one[1]})" if isinstance(one, list) else str(one) for one in value[:_LISTED]]
        return len(value), ", ".join(names) + (", ..." if len(value) > _LISTED else "")
    return int(value), ""
