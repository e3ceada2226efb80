"""YAML as people mean it: `1e-4` is a number, `no` is a word, a repeated key is a mistake, and every value has a place.

An unquoted value that ends in `.yaml` stands for the content of that file, looked up beside the naming file and in `sweeps/`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ocr_sweep.errors import NotFoundError

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_MAX_BYTES = 1_000_000
_MAX_DEPTH = 40
_MAX_FILES = 200  # files that name files that name files
_MAX_DIGITS = 300  # of a whole number: what a decimal can still hold

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Mark:
    """A place in a file; `line` counts from 1."""

    file: Path
    line: int


@dataclass
class Document:
    """Plain data, and where each part of it was written."""

    data: Any
    marks: dict[Key, Mark] = field(default_factory=dict)  # of each value by its path
    labels: dict[Key, str] = field(default_factory=dict)  # file stem of each block that came from a file of its own
    problems: list[tuple[Mark, str]] = field(default_factory=list)
    unread: bool = False  # whether a file could not be read, so that what it would have held is missing

    def mark(self, path: Key) -> Mark:
        """The place of the value at `path`, or of the nearest block that holds it."""
        while path not in self.marks:
            path = path[:-1]
        return self.marks[path]


def read_yaml(path: Path, roots: tuple[Path, ...] = ()) -> Document:
    """Read a file and the files that it names.

    Args:
        roots: folders in which named files are looked up, after the folder of the file that names them.

    Raises:
        NotFoundError: there is no such file.
    """
    if not is_file(path):
        raise NotFoundError(f"no such file: {path}")
    document = Document(data=None)
    document.data = _Reader(document, roots).file(path, (), ())
    return document


class _Reader:
    def __init__(self, document: Document, roots: tuple[Path, ...]) -> None:
        self.document = document
        self.roots = roots
        self.num_files = 0

    def file(self, path: Path, at: Key, parents: tuple[Path, ...]) -> Any:
        self.document.marks.setdefault(at, Mark(path, 1))
        self.num_files += 1
        node = self._compose(path)
        return None if node is None else self._value(node, at, (*parents, path.resolve()), path)

    def _compose(self, path: Path) -> yaml.Node | None:
        try:
            size = path.stat().st_size
            if size > _MAX_BYTES:
                self._unread(Mark(path, 1), f"a study file must be smaller than {_MAX_BYTES:,} bytes, but this one has {size:,}")
                return None
            text = path.read_bytes()
        except OSError as error:
            self._unread(Mark(path, 1), f"this file cannot be read: {error.strerror}")
            return None
        try:
            if self._unreadable(text, path):
                return None
            return yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self._unread(Mark(path, line), f"this is not YAML: {error.problem}")
        except yaml.reader.ReaderError as error:
            line = text[: error.position].count(b"\n") + 1
            self._unread(Mark(path, line), f"this is not YAML in UTF-8: {str(error).splitlines()[0]}")
        return None

    def _unreadable(self, text: bytes, path: Path) -> bool:
        """Whether the file holds what plain data has no use for. Reading it as events costs no memory and no recursion."""
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            tag = getattr(event, "tag", None)
            message = ""
            if isinstance(event, yaml.AliasEvent):
                message = "aliases (*name) are not read here; put the block in a file of its own and name it"
            elif tag is not None:
                message = f"tags are not read here, but got {tag}"
            elif depth > _MAX_DEPTH:
                message = f"blocks must be nested at most {_MAX_DEPTH} deep"
            elif isinstance(event, yaml.ScalarEvent) and any("\ud800" <= char <= "\udfff" for char in event.value):
                message = "text must be made of characters, but got half of a surrogate pair"
            if message:
                self._unread(_mark(path, event), message)
                return True
        return False

    def _value(self, node: yaml.Node, at: Key, parents: tuple[Path, ...], path: Path) -> Any:
        self.document.marks.setdefault(at, _mark(path, node))
        if len(at) > _MAX_DEPTH:
            self._problem(_mark(path, node), f"blocks must be nested at most {_MAX_DEPTH} deep")
            return None
        match node:
            case yaml.MappingNode():
                return self._mapping(node, at, parents, path)
            case yaml.SequenceNode():
                return [self._value(item, (*at, i), parents, path) for i, item in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node, at, parents, path)
        raise AssertionError(f"unknown YAML node {type(node).__name__}")

    def _mapping(self, node: yaml.MappingNode, at: Key, parents: tuple[Path, ...], path: Path) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(_mark(path, key_node), "a key must be a word")
                continue
            key = str(key_node.value)
            if key in content:
                self._problem(_mark(path, key_node), f"the key '{key}' stands here twice; keep one")
                continue
            self.document.marks[(*at, key)] = _mark(path, key_node)
            content[key] = self._value(value_node, (*at, key), parents, path)
        return content

    def _scalar(self, node: yaml.ScalarNode, at: Key, parents: tuple[Path, ...], path: Path) -> Any:
        value = plain_value(node.value) if node.style is None else node.value
        if not (node.style is None and isinstance(value, str) and value.endswith(".yaml")):
            return value
        candidates = [folder / value for folder in (path.parent, *self.roots)]
        named = next((candidate for candidate in candidates if is_file(candidate)), None)
        if named is None:
            looked = ", ".join(str(candidate) for candidate in dict.fromkeys(candidates))
            self._problem(_mark(path, node), f"no such file: {value} (looked for {looked})")
            return None
        if named.resolve() in parents:
            self._problem(_mark(path, node), f"{value} names itself, directly or through other files")
            return None
        if self.num_files >= _MAX_FILES:
            self._problem(_mark(path, node), f"a study must be made of at most {_MAX_FILES} files")
            return None
        self.document.labels[at] = named.stem
        return self.file(named, at, parents)

    def _unread(self, mark: Mark, message: str) -> None:
        self.document.unread = True
        self._problem(mark, message)

    def _problem(self, mark: Mark, message: str) -> None:
        self.document.problems.append((mark, message))


def plain_value(text: str) -> Any:
    """Read an unquoted scalar: null, true, false, integer, decimal, or else text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text) if len(text) <= _MAX_DIGITS else text
    return float(text) if _FLOAT.fullmatch(text) else text


def is_file(path: Path) -> bool:
    """Whether a path that a person wrote names a file; no path is too long or too odd to ask."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _mark(path: Path, node: Any) -> Mark:
    return Mark(path, node.start_mark.line + 1)
