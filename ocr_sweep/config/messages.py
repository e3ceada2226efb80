"""Pydantic's findings in our words: what must hold, what came, what to write instead."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ocr_sweep.config.yaml_file import Key

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a block of keys and values",
    "model_type": "a block of keys and values, or a file that holds one",
    "model_attributes_type": "a block of keys and values, or a file that holds one",
    "finite_number": "a finite number",
}
_BOUNDS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def explain(error: ValidationError, kind: type[BaseModel], data: Any) -> Iterator[tuple[Key, str]]:
    """Yield the path and one sentence for every finding of a validation of `data` as `kind`."""
    wanted: dict[Key, list[str]] = {}  # a value that may be of several types is found wrong once for each
    came: dict[Key, str] = {}
    for finding in error.errors():
        at = _path_in(data, finding["loc"])
        if finding["type"] in _WANTED:
            wanted.setdefault(at, []).append(_WANTED[finding["type"]])
            came[at] = _came(finding["input"])
        else:
            yield at, _sentence(finding, at, kind, data)
    for at, wants in wanted.items():
        yield at, f"must be {' or '.join(dict.fromkeys(wants))}, but got {came[at]}"


def _path_in(data: Any, loc: tuple[int | str, ...]) -> Key:
    """A finding's path without the names of union members, which are no keys of the file."""
    at: list[int | str] = []
    for key in loc:
        parts: dict[Any, Any] = dict(enumerate(data)) if isinstance(data, list) else data if isinstance(data, dict) else {}
        if key in parts:
            data = parts[key]
            at.append(key)
    return tuple(at)


def _sentence(finding: ErrorDetails, at: Key, kind: type[BaseModel], data: Any) -> str:
    context = finding.get("ctx", {})
    came = _came(finding["input"])
    match finding["type"]:
        case "missing":
            return f"the key '{finding['loc'][-1]}' is missing; add it"
        case "extra_forbidden":
            return unknown_key(str(at[-1]), sorted(_known_keys(kind, at[:-1], data)))
        case "literal_error":
            return f"must be one of {context['expected']}, but got {came}"
        case "union_tag_invalid":
            tag, key = str(context["tag"]), str(context["discriminator"]).strip("'")
            known = [name.strip().strip("'") for name in str(context["expected_tags"]).split(",")]
            return f"{key} must be one of {', '.join(known)}, but got {tag!r}{_close(tag, known)}"
        case "union_tag_not_found":
            return f"the key {context['discriminator']} is missing; add it"
        case "value_error":
            return str(context["error"])
        case "too_short" | "string_too_short":
            least = context.get("min_length")
            return f"must hold at least {least} {'value' if least == 1 else 'values'}, but got {came}"
        case bound if bound in _BOUNDS:
            limit = _BOUNDS[bound]
            return f"must be {_SIGNS[limit]} {context[limit]:g}, but got {came}"
    return f"{finding['msg']}, but got {came}"


def _came(value: Any) -> str:
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {value[:60]!r}"
        case dict():
            return "a block"
        case list():
            return f"a list of {len(value)}"
    return repr(value)


def unknown_key(key: str, known: list[str]) -> str:
    """What to say of a key that a block does not have."""
    return f"unknown key {key!r}{_close(key, known) or '; known keys: ' + ', '.join(known)}"


def _close(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _known_keys(kind: type[BaseModel], at: Key, data: Any) -> set[str]:
    """The keys that the block at `at` may have, following the union member that its data chose."""
    blocks: list[type[BaseModel]] = [kind]
    for key in at:
        data = data[key]
        annotations = [block.model_fields[str(key)].annotation for block in blocks if str(key) in block.model_fields]
        if annotations:
            blocks = [block for annotation in annotations for block in _blocks_of(annotation)]
        if isinstance(data, dict):
            blocks = [block for block in blocks if _chosen(block, data)] or blocks
    ours = {"labels"}  # of a range: choices name themselves
    return {name for block in blocks for name in block.model_fields if name not in ours or "choices" not in block.model_fields}


def _blocks_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        for argument in typing.get_args(annotation):
            yield from _blocks_of(argument)


def _chosen(block: type[BaseModel], data: dict[str, Any]) -> bool:
    for tag in ("kind", "type", "op"):
        field = block.model_fields.get(tag)
        if field is not None and tag in data:
            return data[tag] in typing.get_args(field.annotation)
    return True
