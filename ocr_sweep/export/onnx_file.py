"""From a trained network to one self-describing ONNX file."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from ocr_sweep.corpus import PREPROCESSING
from ocr_sweep.disk import write_bytes
from ocr_sweep.errors import IntegrityError, NotFoundError

INPUT = "images"  # (batch, 1, S, S) uint8: 0 is paper, 255 is full ink
OUTPUT = "logits"  # (batch, K) float32
_PREFIX = "ocr_sweep."
_OPSET = 18


class _Deployed(nn.Module):
    """The network as it is delivered: bytes of ink in, logits out, no decoder."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images.float() / 255).logits
        return logits


def export_onnx(model: nn.Module, path: Path, *, chars: str, image_size: int) -> None:
    """Write a network as one ONNX file with a free batch size.

    The charset and the preprocessing stand in its metadata, so that a file can be used without its run. The same
    weights give the same bytes.

    Raises:
        StoreError: the disk refuses.
    """
    deployed = _Deployed(model).eval().cpu()
    example = torch.zeros((2, 1, image_size, image_size), dtype=torch.uint8)
    file = onnx.load_model_from_string(_export_bytes(deployed, example))
    metadata = {
        "charset": json.dumps(list(chars), ensure_ascii=False),
        "preprocessing": json.dumps({**PREPROCESSING, "image_size": image_size}, ensure_ascii=False, sort_keys=True),
    }
    onnx.helper.set_model_props(file, {f"{_PREFIX}{key}": value for key, value in metadata.items()})
    onnx.checker.check_model(file)
    write_bytes(path, file.SerializeToString(deterministic=True))


def _export_bytes(deployed: nn.Module, example: Tensor) -> bytes:
    buffer: Any = io.BytesIO()  # what the older exporter takes, and its types forgot
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its successor, which is slower and writes two files
        torch.onnx.export(
            deployed,
            (example,),
            buffer,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    content: bytes = buffer.getvalue()
    return content


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what an ONNX file says of itself: `charset` (list of characters) and `preprocessing`.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is no ONNX file of ours.
    """
    if not path.is_file():
        raise NotFoundError(f"no such ONNX file: {path}")
    try:
        file = onnx.load(path, load_external_data=False)
        found = {
            item.key.removeprefix(_PREFIX): json.loads(item.value) for item in file.metadata_props if item.key.startswith(_PREFIX)
        }
    except Exception as error:  # protobuf and json have their own trees
        raise IntegrityError(f"{path} cannot be read as an ONNX file: {error}") from error
    missing = {"charset", "preprocessing"} - set(found)
    if missing:
        raise IntegrityError(f"{path} must hold {', '.join(sorted(missing))} in its metadata; it was not exported by ocr_sweep")
    return found
