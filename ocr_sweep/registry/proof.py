"""Whether a run's ONNX is what it says: its charset that of the configuration, its answers those of PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from ocr_sweep.errors import IntegrityError
from ocr_sweep.export.onnx_file import read_metadata
from ocr_sweep.export.parity import Parity, check_parity, require_parity
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.models import build_model, replace_head
from ocr_sweep.registry.evidence import ONNX, PROBE, WEIGHTS, Evidence


def prove(evidence: Evidence) -> Parity:
    """Compare a run's ONNX with its configuration, and with PyTorch on the probe images.

    Raises:
        EvidenceError: the two disagree beyond the tolerance, or a file is missing.
        IntegrityError: the charset is not the configuration's.
    """
    _check_charset(evidence)
    with np.load(evidence.file(PROBE), allow_pickle=False) as arrays:
        images = arrays["images"]
    scorer = Scorer(evidence.file(ONNX), threads=evidence.config.training.threads)
    parity = check_parity(scorer, images, _reference(evidence, images))
    require_parity(parity)
    return parity


def _check_charset(evidence: Evidence) -> None:
    came, expected = read_metadata(evidence.file(ONNX))["charset"], list(evidence.config.corpus.charset.chars)
    if came != expected:
        place = next(
            (i for i, pair in enumerate(zip(came, expected, strict=False)) if pair[0] != pair[1]), min(len(came), len(expected))
        )
        raise IntegrityError(
            f"the charset inside the ONNX of run {evidence.record.run_id} must be the configuration's, but they part at class "
            f"{place} ({len(came)} and {len(expected)} characters)"
        )


def _reference(evidence: Evidence, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """PyTorch's logits (N, K) of (N, S, S) ink images."""
    config = evidence.config
    model = build_model(config.model, len(config.corpus.charset.chars), config.image_size)
    replace_head(model, config.classifier)
    model.load_state_dict(load_file(evidence.file(WEIGHTS)))
    model.eval()
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(torch.from_numpy(images).unsqueeze(1).float() / 255).logits.numpy()
    return logits
