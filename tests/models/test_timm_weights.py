"""Weights that were learnt elsewhere, from a local file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.config.model import TimmConfig
from ocr_sweep.errors import DataError
from ocr_sweep.models import build_model, check_model
from ocr_sweep.models.timm_import import timm


def learnt(folder: Path, name: str = "test_resnet", **arguments: Any) -> dict[str, torch.Tensor]:
    """timm's own three-channel network with its head, written as timm writes it."""
    network = timm.create_model(name, num_classes=13, **arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01)  # otherwise than any new network
    tensors = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    save_file(tensors, folder / "weights.safetensors")
    return tensors


def config(folder: Path, name: str = "test_resnet", **changes: Any) -> TimmConfig:
    weights = {"file": "weights.safetensors", "sha256": file_sha256(folder / "weights.safetensors")}
    return TimmConfig.model_validate({"kind": "timm", "name": name, "dropout": 0.0, "weights": weights, **changes})


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit"])
def test_a_gray_image_gives_what_it_gave_in_colour(name: str, tmp_path: Path) -> None:
    tensors = learnt(tmp_path, name, **({"img_size": 32} if name == "test_vit" else {}))
    original = timm.create_model(name, num_classes=13, **({"img_size": 32} if name == "test_vit" else {}))
    original.load_state_dict(tensors)
    original.reset_classifier(0)
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        expected = original.eval()(images.expand(-1, 3, -1, -1))
        for channels in (1, 3):
            model = build_model(config(tmp_path, name, channels=channels), 7, 32, tmp_path).eval()
            torch.testing.assert_close(model.features(images), expected, rtol=1e-4, atol=1e-4)
            assert model(images).logits.shape == (2, 7)


def test_without_a_data_root_the_file_is_left_alone(tmp_path: Path) -> None:
    learnt(tmp_path)
    wanted = config(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    build_model(wanted, 7, 32)  # the weights of a finished training follow
    with pytest.raises(DataError, match=r"^no such file: .*weights.safetensors; set OCR_SWEEP_DATA"):
        build_model(wanted, 7, 32, tmp_path)
    with pytest.raises(DataError, match=r"^no such file: "):
        check_model(wanted, 32, tmp_path)


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    learnt(tmp_path)
    wanted = config(tmp_path)
    learnt(tmp_path)
    with pytest.raises(DataError, match="must have sha256 "):
        build_model(wanted, 7, 32, tmp_path)


def test_another_networks_weights_are_refused_by_name(tmp_path: Path) -> None:
    learnt(tmp_path, "test_efficientnet")
    with pytest.raises(
        DataError,
        match=r"tensors differ \(\d+ missing: conv1\.weight, bn1\.weight, bn1\.bias \.\.\.; \d+ unknown: bn1|\d+ missing",
    ):
        build_model(config(tmp_path), 7, 32, tmp_path)


def test_another_image_size_is_refused_by_shape(tmp_path: Path) -> None:
    learnt(tmp_path, "test_vit", img_size=64)
    with pytest.raises(
        DataError, match=r"\(1 of another shape: pos_embed \(1, 17, \d+\) for \(1, 5, \d+\)\); write the model.name"
    ):
        build_model(config(tmp_path, "test_vit"), 7, 32, tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 40, b"PK\x03\x04 a pickle in a zip"])
def test_what_is_no_safetensors_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"weights\.safetensors cannot be read as a \.safetensors file: "):
        build_model(config(tmp_path), 7, 32, tmp_path)
