"""What an ONNX file says of itself, read without a runtime: nothing in it is run or followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ocr_sweep.delivery.protobuf import Field, fields

_DEEPEST = 16  # graphs within graphs; our own files have five

# Numbers of the fields in onnx.proto.
_GRAPH, _OPSETS, _METADATA, _TRAINING, _FUNCTIONS = 7, 8, 14, 20, 25
_NODES, _INITIALIZERS, _INPUTS, _OUTPUTS, _SPARSE = 1, 5, 11, 12, 15
_OP_TYPE, _ATTRIBUTES, _DOMAIN = 4, 5, 7
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS = 5, 6, 10, 11
_EXTERNAL, _LOCATION = 13, 14


@dataclass
class Anatomy:
    """The parts of an ONNX file that decide whether it may be loaded."""

    metadata: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)  # where each value of the metadata stands in the file
    opsets: dict[str, int] = field(default_factory=dict)  # version by domain; "" is ONNX's own
    operators: set[str] = field(default_factory=set)  # "domain.Name", or the name alone in ONNX's own domain
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    external: bool = False  # some tensor lies in another file
    foreign: set[str] = field(default_factory=set)  # other things that a model for reading never has


def dissect(content: bytes) -> Anatomy:
    """Read the parts of an ONNX file.

    Raises:
        ValueError: these bytes are no ONNX file.
    """
    found = Anatomy()
    graphs = 0
    for part in fields(memoryview(content)):
        if part.number == _GRAPH:
            graphs += 1
            found.inputs, found.outputs = _names(part, _INPUTS), _names(part, _OUTPUTS)
            _graph(part.content, found, depth=0)
        elif part.number == _OPSETS:
            found.opsets[_text(part, 1)] = next((inner.value for inner in fields(part.content) if inner.number == 2), 0)
        elif part.number == _METADATA:
            _metadata(part, found)
        elif part.number in (_TRAINING, _FUNCTIONS):
            found.foreign.add("training" if part.number == _TRAINING else "functions of its own")
    if graphs != 1:
        raise ValueError(f"{graphs} graphs instead of one")
    return found


def _graph(graph: memoryview, found: Anatomy, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"graphs within graphs, more than {_DEEPEST} deep")
    for part in fields(graph):
        if part.number == _NODES:
            _node(part.content, found, depth)
        elif part.number == _INITIALIZERS:
            _tensor(part.content, found)
        elif part.number == _SPARSE:
            found.foreign.add("sparse tensors")


def _node(node: memoryview, found: Anatomy, depth: int) -> None:
    name, domain = b"", b""
    for part in fields(node):
        if part.number == _OP_TYPE:
            name += part.content
        elif part.number == _DOMAIN:
            domain += part.content
        elif part.number == _ATTRIBUTES:
            _attribute(part.content, found, depth)
    own = domain in (b"", b"ai.onnx")
    found.operators.add((name if own else domain + b"." + name).decode("utf-8"))


def _attribute(attribute: memoryview, found: Anatomy, depth: int) -> None:
    for part in fields(attribute):
        if part.number in (_TENSOR, _TENSORS):
            _tensor(part.content, found)
        elif part.number in (_SUBGRAPH, _SUBGRAPHS):
            _graph(part.content, found, depth + 1)


def _tensor(tensor: memoryview, found: Anatomy) -> None:
    for part in fields(tensor):
        if part.number == _EXTERNAL or (part.number == _LOCATION and part.value != 0):
            found.external = True


def _metadata(entry: Field, found: Anatomy) -> None:
    key = _text(entry, 1)
    if key in found.metadata:
        raise ValueError(f"the metadata {key!a} twice")
    found.metadata[key] = _text(entry, 2)
    place = next((part for part in fields(entry.content, entry.start) if part.number == 2), None)
    if place is not None:
        found.places[key] = (place.start, place.start + len(place.content))


def _inner(message: Field, number: int) -> Iterator[Field]:
    return (part for part in fields(message.content, message.start) if part.number == number)


def _names(graph: Field, number: int) -> list[str]:
    return [_text(part, 1) for part in _inner(graph, number)]


def _text(message: Field, number: int) -> str:
    """The text of a field; empty where it is left out."""
    return "".join(bytes(part.content).decode("utf-8") for part in _inner(message, number))
