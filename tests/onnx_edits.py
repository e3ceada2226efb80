"""Changing an exported file the way a careless exporter or a thorough forger would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from ocr_sweep.delivery.model_file import DIGEST, PREFIX
from ocr_sweep.export.onnx_file import described


def edit(
    path: Path, change: Callable[[onnx.ModelProto], None], *, metadata: Callable[[dict[str, Any]], object] | None = None
) -> None:
    """Change a file's graph and metadata, and give it the digest of its new bytes."""
    file = onnx.load(path, load_external_data=False)
    known = {item.key: item.value for item in file.metadata_props if item.key != DIGEST}
    facts = {key.removeprefix(PREFIX): json.loads(value) for key, value in known.items()}
    change(file)
    if metadata is not None:
        metadata(facts)
    path.write_bytes(described(file, facts))


def unchanged(file: onnx.ModelProto) -> None:
    """The graph stays as it is."""
