from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx_edits import edit, unchanged
from torch import nn

from ocr_sweep.corpus import PREPROCESSING
from ocr_sweep.delivery.model_file import read_metadata
from ocr_sweep.errors import IntegrityError, NotFoundError, StoreError
from ocr_sweep.export import onnx_file
from ocr_sweep.export.onnx_file import delivered, describe_onnx, undelivered
from ocr_sweep.export.scorer import Scorer

Export = Callable[..., Path]
Networks = dict[str, nn.Module]


def test_a_file_says_what_it_reads_and_how(networks: Networks, export: Export) -> None:
    metadata = read_metadata(export(networks["decoder"]))
    assert metadata["charset"] == list("一二三十口日田木")
    assert metadata["labels"][:2] == ["U+4E00", "U+4E8C"] and len(metadata["labels"]) == 8
    expected = {**PREPROCESSING, "image_size": 16, "stored_size": 16}
    assert metadata["preprocessing"] == json.loads(json.dumps(expected))
    assert metadata["normalisation"]["scale"] == pytest.approx(1 / 255)


def test_a_file_takes_pictures_of_any_size_and_number(networks: Networks, export: Export) -> None:
    graph = onnx.load(export(networks["decoder"])).graph
    images, prepared = graph.input
    shape = [dim.dim_param for dim in images.type.tensor_type.shape.dim]
    assert (images.name, shape) == ("images", ["batch", "height", "width", "channels"])
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert prepared.name == "prepared" and "prepared" in {tensor.name for tensor in graph.initializer}, "it may be left out"
    logits, ink = graph.output
    shape = [dim.dim_param or dim.dim_value for dim in logits.type.tensor_type.shape.dim]
    assert (logits.name, shape, logits.type.tensor_type.elem_type) == ("logits", ["batch", 8], onnx.TensorProto.FLOAT)
    shape = [dim.dim_param or dim.dim_value for dim in ink.type.tensor_type.shape.dim]
    assert (ink.name, shape, ink.type.tensor_type.elem_type) == ("ink", ["batch", 16, 16], onnx.TensorProto.UINT8)


def test_a_file_is_one_file_and_needs_onnxruntime_alone(networks: Networks, export: Export, tmp_path: Path) -> None:
    path = export(networks["decoder"])
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    session = onnxruntime.InferenceSession(path.read_bytes())
    logits, ink = session.run(None, {"images": np.full((2, 40, 30, 3), 200, np.uint8)})
    assert logits.shape == (2, 8) and ink.shape == (2, 16, 16)


def test_the_network_of_a_file_can_be_taken_out_and_put_back(
    networks: Networks, export: Export, images: NDArray[np.uint8]
) -> None:
    path = export(networks["decoder"])
    alone = undelivered(onnx.load(path))
    session = onnxruntime.InferenceSession(alone.SerializeToString())
    expected = Scorer(path, threads=1).logits(images)
    np.testing.assert_array_equal(session.run(None, {"squares": images[:, None]})[0], expected)
    assert delivered(alone, 16, 16).graph == onnx.load(path).graph


def test_describing_a_file_changes_no_number(networks: Networks, export: Export, images: NDArray[np.uint8]) -> None:
    path = export(networks["decoder"])
    before, graph = Scorer(path, threads=1).logits(images), onnx.load(path).graph
    describe_onnx(path, {"temperature": 1.5, "card": "# 書"})
    assert onnx.load(path).graph == graph and (read_metadata(path)["temperature"], read_metadata(path)["card"]) == (1.5, "# 書")
    np.testing.assert_array_equal(Scorer(path, threads=1).logits(images), before)
    once = path.read_bytes()
    describe_onnx(path, {"temperature": 1.5, "card": "# 書"})
    assert path.read_bytes() == once


def test_the_decoder_is_not_delivered(networks: Networks, export: Export) -> None:
    network = networks["decoder"]
    graph = undelivered(onnx.load(export(network))).graph
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
    edit(path, unchanged, metadata=lambda facts: facts.pop("preprocessing"))
    with pytest.raises(IntegrityError, match=r"must hold preprocessing in its metadata; it was not exported by ocr_sweep"):
        read_metadata(path)
    file = onnx.load(path)
    onnx.helper.set_model_props(file, {"ocr_sweep.charset": "[", "ocr_sweep.preprocessing": "{}"})
    onnx.save(file, path)
    with pytest.raises(IntegrityError, match="cannot be read as an ONNX file of ocr_sweep: its metadata are no JSON"):
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
