from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from ocr_sweep.corpus import PREPROCESSING
from ocr_sweep.errors import IntegrityError, NotFoundError, StoreError
from ocr_sweep.export import onnx_file
from ocr_sweep.export.onnx_file import read_metadata

Export = Callable[..., Path]
Networks = dict[str, nn.Module]


def test_a_file_says_what_it_reads_and_how(networks: Networks, export: Export) -> None:
    metadata = read_metadata(export(networks["decoder"]))
    assert metadata["charset"] == list("一二三十口日田木")
    assert metadata["preprocessing"] == json.loads(json.dumps({**PREPROCESSING, "image_size": 16}))


def test_a_file_takes_bytes_of_ink_in_any_number(networks: Networks, export: Export) -> None:
    graph = onnx.load(export(networks["decoder"])).graph
    (came,), (goes,) = graph.input, graph.output
    shape = [dim.dim_param or dim.dim_value for dim in came.type.tensor_type.shape.dim]
    assert (came.name, shape, came.type.tensor_type.elem_type) == ("images", ["batch", 1, 16, 16], onnx.TensorProto.UINT8)
    shape = [dim.dim_param or dim.dim_value for dim in goes.type.tensor_type.shape.dim]
    assert (goes.name, shape, goes.type.tensor_type.elem_type) == ("logits", ["batch", 8], onnx.TensorProto.FLOAT)


def test_the_decoder_is_not_delivered(networks: Networks, export: Export) -> None:
    network = networks["decoder"]
    graph = onnx.load(export(network)).graph
    delivered = sum(int(torch.tensor(list(tensor.dims)).prod()) for tensor in graph.initializer)
    encoder = sum(p.numel() for name, p in network.named_parameters() if name.startswith(("down", "head")))
    assert delivered <= encoder + 16  # batch norm is folded in
    assert "ConvTranspose" not in {node.op_type for node in graph.node}
    assert not any("restore" in tensor.name or "up." in tensor.name for tensor in graph.initializer)


@pytest.mark.parametrize("name", ["decoder", "timm"])
def test_the_same_weights_give_the_same_bytes(name: str, networks: Networks, export: Export) -> None:
    first = export(networks[name], "first.onnx").read_bytes()
    assert export(copy.deepcopy(networks[name]), "second.onnx").read_bytes() == first
    other = copy.deepcopy(networks[name])
    with torch.no_grad():
        next(other.parameters()).flatten()[0] += 1e-3
    assert export(other, "third.onnx").read_bytes() != first


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no such ONNX file: .*model\.onnx"):
        read_metadata(tmp_path / "model.onnx")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_no_onnx_file(share: float, networks: Networks, export: Export) -> None:
    path = export(networks["decoder"])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(IntegrityError, match=r"model\.onnx (cannot be read as an ONNX file|must hold charset, preprocessing)"):
        read_metadata(path)


def test_a_file_of_somebody_else(networks: Networks, export: Export) -> None:
    path = export(networks["decoder"])
    file = onnx.load(path)
    onnx.helper.set_model_props(file, {"ocr_sweep.charset": "[]"})
    onnx.save(file, path)
    with pytest.raises(IntegrityError, match=r"must hold preprocessing in its metadata; it was not exported by ocr_sweep"):
        read_metadata(path)
    onnx.helper.set_model_props(file, {"ocr_sweep.charset": "[", "ocr_sweep.preprocessing": "{}"})
    onnx.save(file, path)
    with pytest.raises(IntegrityError, match="cannot be read as an ONNX file"):
        read_metadata(path)


def test_a_full_disk_leaves_the_former_file(networks: Networks, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export(networks["decoder"])
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise StoreError("no room")

    monkeypatch.setattr(onnx_file, "write_bytes", full)
    with pytest.raises(StoreError):
        export(networks["timm"])
    assert path.read_bytes() == before
