"""Values in nested blocks, by their dotted path."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


def get(data: Any, path: str) -> Any:
    """The value at a dotted path.

    Raises:
        KeyError: the path names nothing.
    """
    for key in path.split("."):
        if not isinstance(data, dict) or key not in data:
            raise KeyError(path)
        data = data[key]
    return data


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Replace the value at a dotted path that exists."""
    *parents, last = path.split(".")
    for key in parents:
        data = data[key]
    assert last in data, path
    data[last] = copy.deepcopy(value)


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested blocks as dotted keys; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
