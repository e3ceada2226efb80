"""COCO annotations: images, annotations with `bbox`, categories whose `name` is the character.

References: Lin et al., "Microsoft COCO: Common Objects in Context", arXiv 1405.0312.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ocr_sweep.corpus.scan import Annotation, printable
from ocr_sweep.errors import DataError


def read_coco(path: Path, group: str | None) -> tuple[list[Annotation], list[str]]:
    """Read the boxes of a COCO file.

    Args:
        group: key of the images that names what may not be torn over splits; None: there is none.

    Returns:
        The sound annotations, and the problems of the others.

    Raises:
        DataError: the file is no JSON or lacks a part of COCO.
    """
    data = _read(path)
    problems: list[str] = []
    images = _by_id(data["images"], "image", "file_name", problems)
    categories = _by_id(data["categories"], "category", "name", problems)
    boxes = []
    for number, annotation in enumerate(data["annotations"]):
        place = f"annotation {_shown(annotation['id'] if 'id' in annotation else f'number {number + 1}')}"
        wrong = list(_problems(annotation, images, categories))
        if wrong:
            problems += [f"{place}: {problem}" for problem in wrong]
            continue
        image = images[annotation["image_id"]]
        own = None if group is None else image.get(group)
        if group is not None and (not isinstance(own, str | int) or isinstance(own, bool)):
            wanted = f"the key {group!r} (`group`) with a text or whole number"
            problems.append(f"{place}: its image must have {wanted}, but has {_shown(own)}")
            continue
        x, y, width, height = (float(value) for value in annotation["bbox"])
        label = categories[annotation["category_id"]]["name"]
        named = None if own is None else str(own)
        boxes.append(Annotation(place, image["file_name"], label, (x, y), (width, height), named))
    return boxes, problems


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} must be COCO annotations, but is no JSON: {' '.join(str(error).split())[:120]}") from None
    for key in ("images", "annotations", "categories"):
        entries = data.get(key) if isinstance(data, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path} must be COCO annotations, but has no list of objects {key!r}")
    return dict(data)


def _by_id(entries: list[dict[str, Any]], kind: str, key: str, problems: list[str]) -> dict[Any, dict[str, Any]]:
    """The images or categories by `id`; those without an id of their own or without `key` are noted as problems."""
    found: dict[Any, dict[str, Any]] = {}
    for entry in entries:
        own = entry.get("id")
        if not _is_id(own) or own in found:
            problems.append(f"{kind} {_shown(own)}: each needs an `id` of its own, a whole number or text")
        elif not isinstance(entry.get(key), str):
            problems.append(f"{kind} {_shown(own)}: `{key}` must be text, but is {_shown(entry.get(key))}")
        else:
            found[own] = entry
    return found


def _problems(annotation: dict[str, Any], images: dict[Any, Any], categories: dict[Any, Any]) -> Iterator[str]:
    for key, known in (("image_id", images), ("category_id", categories)):
        value = annotation.get(key)
        if not _is_id(value) or value not in known:
            yield f"`{key}` {_shown(value)} names none of the file's"
    bbox = annotation.get("bbox")
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(_is_number(value) for value in bbox)):
        yield f"`bbox` must be [x, y, width, height] in pixels, but is {_shown(bbox)}"
    if annotation.get("iscrowd"):
        yield "`iscrowd` marks a box of several characters; box each, or take it out"


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53)


def _shown(value: Any) -> str:
    return "nothing" if value is None else printable(str(value))[:60]
