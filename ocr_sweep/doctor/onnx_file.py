"""What an exported file must be, found out without the exporter."""

from __future__ import annotations

import json
from collections.abc import Iterator

import onnx

_DOMAINS = {"", "ai.onnx"}  # operators of ONNX itself
_CHARSET = "ocr_sweep.charset"


def problem_of(content: bytes, chars: str) -> str | None:
    """What is wrong with an ONNX file for a charset, as the rest of a sentence; None: nothing."""
    try:
        file = onnx.load_model_from_string(content)
        onnx.checker.check_model(file)
    except Exception as error:  # protobuf and the checker have their own trees
        return f"must be a valid ONNX file, but: {str(error).splitlines()[0][:200]}"
    graphs = list(_graphs(file.graph))
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for graph in graphs for tensor in _tensors(graph)):
        return "must hold its weights itself, but names another file for them"
    foreign = {node.domain for graph in graphs for node in graph.node} - _DOMAINS
    if foreign:
        return f"must use ONNX's own operators alone, but uses those of {', '.join(sorted(foreign))}"
    metadata = {entry.key: entry.value for entry in file.metadata_props}
    if _charset(metadata) != list(chars):
        return f"must carry the charset of config.yaml, {len(chars)} characters, but carries another"
    classes = file.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    return None if classes == len(chars) else f"must have {len(chars)} classes, but has {classes}"


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and those of its branches and loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _graphs(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Stored ones, and those of constants."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def _charset(metadata: dict[str, str]) -> list[str] | None:
    try:
        found = json.loads(metadata.get(_CHARSET, "null"))
    except ValueError:
        return None
    return found if isinstance(found, list) else None
