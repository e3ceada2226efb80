"""Smaller files of the same network: half precision, and whole numbers of eight bits. The preparation of pictures stays as it is.

Static quantisation, calibrated on training images: dynamic quantisation is slower than fp32 on a CPU.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from ocr_sweep.delivery.model_file import ModelFile
from ocr_sweep.disk import write_bytes
from ocr_sweep.export.onnx_file import delivered, described, undelivered

Kind = Literal["fp16", "int8"]
KINDS: tuple[Kind, ...] = ("fp16", "int8")

_BATCH = 32
_QUANTISED = ["Conv", "ConvTranspose", "Gemm", "MatMul"]


def write_variant(source: ModelFile, path: Path, kind: Kind, calibration: NDArray[np.uint8]) -> None:
    """Write a variant of a delivered file; its temperature, threshold and card are still those of the source.

    Args:
        calibration: (N, S, S) training squares of the network's size, from which int8 learns the ranges of its activations.

    Raises:
        StoreError: the disk refuses.
    """
    network = undelivered(onnx.load_model_from_string(source.content))
    smaller = _half(network) if kind == "fp16" else _quantised(network, calibration)
    facts = {**source.metadata, "variant": {"kind": kind, "of_sha256": source.sha256}}
    write_bytes(path, described(delivered(smaller, source.image_size, source.stored_size), facts))


def _half(network: ModelProto) -> ModelProto:
    converted: ModelProto = convert_float_to_float16(network, keep_io_types=True)
    return converted


def _quantised(network: ModelProto, calibration: NDArray[np.uint8]) -> ModelProto:
    """Weights by channel and activations as whole numbers, in ONNX's own operators, QuantizeLinear and DequantizeLinear."""
    with TemporaryDirectory(prefix="ocr-sweep-") as folder:
        before, prepared, after = (Path(folder) / name for name in ("network.onnx", "prepared.onnx", "quantised.onnx"))
        onnx.save(network, before)
        level = logging.root.level
        logging.root.setLevel(logging.ERROR)  # it recommends what is done one line above
        try:
            quant_pre_process(str(before), str(prepared), skip_symbolic_shape=True, skip_optimization=True)
            quantize_static(
                str(prepared),
                str(after),
                _Squares(calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_QUANTISED,
                per_channel=True,
                reduce_range=True,  # without it, processors without VNNI add up past sixteen bits
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.root.setLevel(level)
        quantised = onnx.load(after)
    own = [opset for opset in quantised.opset_import if not opset.domain]
    del quantised.opset_import[:]  # the tool asks for a domain of its own and uses nothing of it
    quantised.opset_import.extend(own)
    return quantised


class _Squares(CalibrationDataReader):  # type: ignore[misc]
    """Training squares, some at a time."""

    def __init__(self, squares: NDArray[np.uint8]) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = iter(np.array_split(squares[:, None], max(1, len(squares) // _BATCH)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch, or None."""
        batch = next(self._batches, None)
        return None if batch is None else {"squares": batch}
