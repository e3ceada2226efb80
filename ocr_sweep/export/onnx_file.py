"""From a trained network to one self-describing ONNX file: pictures in, logits out."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto, TensorProto, helper
from torch import Tensor, nn

from ocr_sweep.corpus import PREPROCESSING
from ocr_sweep.delivery.model_file import (
    DIGEST,
    FORMAT,
    IMAGES,
    INK,
    LOGITS,
    NO_DIGEST,
    PREFIX,
    PREPARED,
    charset_sha256,
    code_points,
    digest_of,
    read_metadata,
)
from ocr_sweep.disk import write_bytes
from ocr_sweep.export.preparation.graph import preparation

_OPSET = 18
_IR_VERSION = 8
_SQUARES = "squares"  # (batch, 1, S, S) uint8: what the network itself takes
_NORMALISATION = {"scale": 1 / 255, "offset": 0.0, "of": "ink, 0 paper to 255 full ink; done in the graph"}


class _Deployed(nn.Module):
    """The network as it is delivered: bytes of ink in, logits out, no decoder."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, squares: Tensor) -> Tensor:
        logits: Tensor = self.model(squares.float() / 255).logits
        return logits


def export_onnx(model: nn.Module, path: Path, *, chars: str, image_size: int, stored_size: int | None = None) -> None:
    """Write a network as one ONNX file that takes pictures of any size and either polarity, as many as there are.

    Preparation, normalisation, charset and label map are in it, so that a file can be used without its run. The same weights
    give the same bytes. What its validation says of it is written by `describe_onnx`.

    Args:
        image_size: S, side in pixels of what the network sees.
        stored_size: side of the corpus's squares, from which training resizes; None: the same.

    Raises:
        StoreError: the disk refuses.
    """
    file = delivered(_network(model, image_size), image_size, stored_size or image_size)
    charset = list(chars)
    facts = {
        "format": FORMAT,
        "charset": charset,
        "charset_sha256": charset_sha256(charset),
        "labels": [code_points(char) for char in charset],
        "preprocessing": {**PREPROCESSING, "image_size": image_size, "stored_size": stored_size or image_size},
        "normalisation": _NORMALISATION,
    }
    write_bytes(path, described(file, facts))


def describe_onnx(path: Path, facts: Mapping[str, Any]) -> None:
    """Add to an exported file's metadata: its temperature, threshold and card. The graph stays as it is.

    Raises:
        StoreError: the disk refuses.
    """
    file = onnx.load(path, load_external_data=False)
    known = {key: value for key, value in read_metadata(path).items() if key not in facts}
    write_bytes(path, described(file, {**known, **facts}))


def described(file: ModelProto, facts: Mapping[str, Any]) -> bytes:
    """The bytes of a file with these metadata and no other, and with the digest of its bytes."""
    props = {f"{PREFIX}{key}": json.dumps(value, ensure_ascii=False, sort_keys=True) for key, value in facts.items()}
    helper.set_model_props(file, {**dict(sorted(props.items())), DIGEST: NO_DIGEST})
    content: bytes = file.SerializeToString(deterministic=True)
    start = content.rindex(NO_DIGEST.encode())  # metadata stand at the end, and the digest at theirs
    place = (start, start + len(NO_DIGEST))
    return content[:start] + digest_of(content, place).encode() + content[place[1] :]


def delivered(network: ModelProto, image_size: int, stored_size: int) -> ModelProto:
    """Put the preparation before a network that takes `squares` and gives `logits`."""
    node, constants = preparation(IMAGES, PREPARED, INK, stored_size, image_size)
    channel = helper.make_node("Unsqueeze", [INK, "prepare/channel"], [_SQUARES])
    axis = helper.make_tensor("prepare/channel", TensorProto.INT64, [1], [1])
    off = helper.make_tensor(PREPARED, TensorProto.BOOL, [], [False])
    graph = helper.make_graph(
        [node, channel, *network.graph.node],
        "ocr_sweep",
        [
            helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ("batch", "height", "width", "channels")),
            helper.make_tensor_value_info(PREPARED, TensorProto.BOOL, ()),
        ],
        [*network.graph.output, helper.make_tensor_value_info(INK, TensorProto.UINT8, ("batch", image_size, image_size))],
        [off, axis, *constants, *network.graph.initializer],
    )
    file = helper.make_model(graph, producer_name="ocr_sweep", opset_imports=network.opset_import, ir_version=_IR_VERSION)
    onnx.checker.check_model(file, full_check=True)
    return file


def undelivered(file: ModelProto) -> ModelProto:
    """The network of a file that `delivered` gave: what takes `squares`."""
    ours = {PREPARED, *(tensor.name for tensor in file.graph.initializer if tensor.name.startswith("prepare/"))}
    shape = next(value for value in file.graph.output if value.name == INK).type.tensor_type.shape
    side = shape.dim[1].dim_value
    graph = helper.make_graph(
        file.graph.node[2:],
        "network",
        [helper.make_tensor_value_info(_SQUARES, TensorProto.UINT8, ("batch", 1, side, side))],
        [value for value in file.graph.output if value.name != INK],
        [tensor for tensor in file.graph.initializer if tensor.name not in ours],
    )
    return helper.make_model(graph, opset_imports=file.opset_import, ir_version=_IR_VERSION)


def _network(model: nn.Module, image_size: int) -> ModelProto:
    deployed = _Deployed(model).eval().cpu()
    example = torch.zeros((2, 1, image_size, image_size), dtype=torch.uint8)
    buffer: Any = io.BytesIO()  # what the older exporter takes, and its types forgot
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its successor, which is slower and writes two files
        torch.onnx.export(
            deployed,
            (example,),
            buffer,
            input_names=[_SQUARES],
            output_names=[LOGITS],
            dynamic_axes={_SQUARES: {0: "batch"}, LOGITS: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    return _without_aliases(onnx.load_model_from_string(buffer.getvalue()))


def _without_aliases(network: ModelProto) -> ModelProto:
    """Equal tensors are stored once, and the exporter passes them on by nodes that do nothing: name them where they are used."""
    stored = {tensor.name for tensor in network.graph.initializer}
    aliases = {
        node.output[0]: node.input[0] for node in network.graph.node if node.op_type == "Identity" and node.input[0] in stored
    }
    kept = [node for node in network.graph.node if node.output[0] not in aliases]
    for node in kept:
        node.input[:] = [aliases.get(name, name) for name in node.input]
    del network.graph.node[:]
    network.graph.node.extend(kept)
    return network
