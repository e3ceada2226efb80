"""Whether a run's ONNX is what it says: its charset that of the configuration, its answers those of PyTorch."""

from __future__ import annotations

from functools import partial

from safetensors.torch import load_file
from torch import nn

from ocr_sweep.delivery.model_file import read_metadata
from ocr_sweep.errors import IntegrityError
from ocr_sweep.export.parity import Parity, certify, require_parity
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.models import build_model, replace_head
from ocr_sweep.registry.evidence import ONNX, WEIGHTS, Evidence
from ocr_sweep.training.predict import square_logits


def prove(evidence: Evidence) -> Parity:
    """Compare a run's ONNX with its configuration, and with PyTorch on the probe images.

    Raises:
        EvidenceError: the two disagree beyond the tolerance, or a file is missing.
        IntegrityError: the charset is not the configuration's.
    """
    _check_charset(evidence)
    images = evidence.probe()
    scorer = Scorer(evidence.file(ONNX), threads=evidence.config.training.threads)
    charset = evidence.config.corpus.charset.chars
    answered = [(images, scorer.logits(images))]
    parity = certify(scorer, partial(square_logits, _network(evidence)), answered, images, charset)
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


def _network(evidence: Evidence) -> nn.Module:
    config = evidence.config
    model = build_model(config.model, len(config.corpus.charset.chars), config.image_size)
    replace_head(model, config.classifier)
    model.load_state_dict(load_file(evidence.file(WEIGHTS)))
    return model
