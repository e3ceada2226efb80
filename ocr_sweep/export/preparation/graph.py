"""The preparation as the first node of an exported network: pictures in, squares of ink out."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference
from onnx.inliner import inline_local_functions

from ocr_sweep.export.preparation.square import network_square

_PREFIX = "prepare/"
_SIZES = ("stored", "size")  # sides of the corpus's squares and of the network's: inputs of the script, constants of a file


def preparation(
    images: str, prepared: str, squares: str, stored_size: int, image_size: int
) -> tuple[NodeProto, list[TensorProto]]:
    """The node that makes `squares` (batch, S, S) of `images` (batch, height, width, channels), all uint8; and its constants.

    Where the bool `prepared` is true, the images are such squares already and pass through, with one channel. Else each is
    prepared for itself, so that no image can change another's square.
    """
    body, constants = _body()
    each = helper.make_node("Scan", [images], [f"{_PREFIX}each"], body=body, num_scan_inputs=1)
    side = numpy_helper.from_array(np.array([0, image_size, image_size], np.int64), f"{_PREFIX}shape_of_squares")
    sizes = [
        numpy_helper.from_array(np.array(float(size)), f"{_PREFIX}{name}")
        for name, size in zip(_SIZES, (stored_size, image_size), strict=True)
    ]
    through = helper.make_node("Reshape", [images, side.name], [f"{_PREFIX}through"])
    node = helper.make_node("If", [prepared], [squares], "prepare", then_branch=_branch(through), else_branch=_branch(each))
    return node, [*constants, side, *sizes]


def _branch(node: NodeProto) -> GraphProto:
    output = helper.make_tensor_value_info(node.output[0], TensorProto.UINT8, ("batch", None, None))
    return helper.make_graph([node], node.output[0], [], [output])


@cache
def _body() -> tuple[GraphProto, list[TensorProto]]:
    """What is done to one picture, and the constants that it needs from outside."""
    model = inline_local_functions(network_square.to_model_proto())
    tidy = _Tidy(_element_types(model))
    tidy.graph(model.graph)
    sizes = {f"{_PREFIX}{name}" for name in _SIZES}
    picture = [value for value in model.graph.input if value.name not in sizes]
    del model.graph.input[:]
    model.graph.input.extend(picture)
    return model.graph, tidy.constants()


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every value, those of branches and loops included."""
    types: dict[str, int] = {}
    waiting = [shape_inference.infer_shapes(model, strict_mode=True).graph]
    while waiting:
        graph = waiting.pop()
        types |= {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
        waiting += [attribute.g for node in graph.node for attribute in node.attribute if attribute.type == AttributeProto.GRAPH]
    return types


class _Tidy:
    """Gives each constant its type and its place once, outside of all loops, and marks every name as ours."""

    def __init__(self, types: dict[str, int]) -> None:
        self._types = types
        self._known: dict[str, NDArray[Any]] = {}
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def graph(self, graph: GraphProto) -> None:
        """Change a graph, and those within it, in place."""
        nodes = [node for node in graph.node if not self._is_constant(node)]
        for node in nodes:
            self._node(node)
        del graph.node[:], graph.value_info[:]
        graph.node.extend(nodes)
        for value in (*graph.input, *graph.output):
            value.name = self._name(value.name)

    def constants(self) -> list[TensorProto]:
        """The constants that the changed graphs name."""
        return [numpy_helper.from_array(_array(*key), name) for key, name in self._names.items()]

    def _is_constant(self, node: NodeProto) -> bool:
        if node.op_type == "Constant":
            self._known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "CastLike" and node.input[0] in self._known:
            kind = helper.tensor_dtype_to_np_dtype(self._types[node.input[1]])
            self._known[node.output[0]] = self._known[node.input[0]].astype(kind)
        else:
            return False
        return True

    def _node(self, node: NodeProto) -> None:
        node.name, node.doc_string = "", ""
        del node.metadata_props[:]
        node.input[:] = [self._name(name) for name in node.input]
        node.output[:] = [self._name(name) for name in node.output]
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                self.graph(attribute.g)

    def _name(self, name: str) -> str:
        if not name:  # an input that is left out
            return name
        if name not in self._known:
            return f"{_PREFIX}{name}"
        value = self._known[name]
        return self._names.setdefault((value.dtype.str, value.shape, value.tobytes()), f"{_PREFIX}constant_{len(self._names)}")


def _array(kind: str, shape: tuple[int, ...], content: bytes) -> NDArray[Any]:
    return np.frombuffer(content, kind).reshape(shape)


_body()  # here and not in every trial: a trial's process is forked from one that has it
