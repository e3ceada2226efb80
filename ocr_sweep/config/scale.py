"""A study at several sizes: what a laptop can do in minutes, what a GPU can, and what a paper asks for.

`scales:` in a study file names sizes, and for each the values that differ, by their path in the file, as in
`gpu: {base.image_size: 64, trials: 40}`. The first is how the study runs unless another is asked for; every other goes by a
name of its own, `<study>-<scale>`, so that its runs are its own.
"""

from __future__ import annotations

import difflib
from typing import Any, TypeVar

from ocr_sweep.config.yaml_file import Document, Key
from ocr_sweep.errors import ConfigError

Value = TypeVar("Value")


def apply_scale(document: Document, scale: str | None) -> None:
    """Take `scales:` out of a study's data and put the values of one of them in; mistakes join the document's problems.

    Raises:
        ConfigError: the study has no scale of this name.
    """
    data = document.data if isinstance(document.data, dict) else {}
    scales = data.pop("scales", {})
    if not (isinstance(scales, dict) and all(isinstance(values, dict) for values in scales.values())):
        sentence = "scales: must hold, for each scale, paths and the values to put there, e.g. gpu: {base.image_size: 64}"
        document.problems.append((document.mark(("scales",)), sentence))
        return
    if scale is not None and scale not in scales:
        raise ConfigError([_unknown(scale, list(scales))])
    first = next(iter(scales), None)
    for name, values in scales.items():
        for path, value in values.items():
            place = _place(data, path)
            if place is None:
                sentence = f"scales.{name}: a path must name a value of this file or of the files in it, but got '{path}'"
                document.problems.append((document.mark(("scales", name, path)), sentence))
            elif name == (scale or first):
                _put(document, ("scales", name, path), place, value)
    if scale not in (None, first) and isinstance(data.get("name"), str):
        data["name"] += f"-{scale}"


def _unknown(scale: str, known: list[str]) -> str:
    close = difflib.get_close_matches(scale, known, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    there = f"one of {', '.join(known)}" if known else "left out, because this study has no `scales:`"
    return f"a scale must be {there}, but got '{scale}'{hint}"


def _place(data: dict[str, Any], path: str) -> Key | None:
    """The keys that a path stands for; None where the block that should hold the last one does not exist.

    A key that may be left out may be put in. Behind `search.` stands one key, dots and all.
    """
    first, _, rest = path.partition(".")
    keys = (first, rest) if first == "search" and rest else tuple(path.split("."))
    block: Any = data
    for key in keys[:-1]:
        block = block.get(key) if isinstance(block, dict) else None
    return keys if isinstance(block, dict) and path != "name" else None


def _put(document: Document, source: Key, target: Key, value: Any) -> None:
    """Put a value in, and with it the places where it was written."""
    block = document.data
    for key in target[:-1]:
        block = block[key]
    block[target[-1]] = value
    document.marks = _moved(document.marks, source, target)
    document.labels = _moved(document.labels, source, target)


def _moved(known: dict[Key, Value], source: Key, target: Key) -> dict[Key, Value]:
    kept = {key: value for key, value in known.items() if key[: len(target)] != target}
    return kept | {(*target, *key[len(source) :]): value for key, value in known.items() if key[: len(source)] == source}
