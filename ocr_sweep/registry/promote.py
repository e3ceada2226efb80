"""Promotion: prove the file, then move stage and alias together."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import load_file

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import EvidenceError, IntegrityError, NotFoundError
from ocr_sweep.export.onnx_file import read_metadata
from ocr_sweep.export.parity import Parity, check_parity, require_parity
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.models import build_model, replace_head
from ocr_sweep.registry.register import Version, holder, registry_lock, version_of
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.mlflow_client import tracking_errors
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker

Stage = Literal["production", "staging"]


@dataclass(frozen=True)
class Promotion:
    """What a promotion changed."""

    version: Version
    former: Version | None
    stage: Stage
    parity: Parity
    changed: bool  # False when the version held the stage already


def promote(tracker: Tracker, paths: Paths, record: RunRecord, stage: Stage) -> Promotion:
    """Give a run's version a stage and its alias, after proving its file; the former holder is archived.

    The alias is moved last and is the truth: after a kill it points to the old version or to the new one.

    Raises:
        EvidenceError: the run is not complete, its ONNX is missing, or disagrees with PyTorch.
        IntegrityError: the ONNX differs from its recorded hash.
    """
    with registry_lock(paths):
        parity = prove(tracker, record)
        version = version_of(tracker, record)
        former = holder(tracker, version.name, stage)
        _move(tracker, version, former, stage)
        now = holder(tracker, version.name, stage)
    assert now is not None and now.number == version.number
    return Promotion(now, former, stage, parity, changed=former is None or former.number != version.number)


def _move(tracker: Tracker, version: Version, former: Version | None, stage: Stage) -> None:
    client, title = tracker.client, stage.capitalize()
    with tracking_errors(client.tracking_uri), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stages are announced to go one day; the alias carries the meaning
        if version.stage != title:
            client.transition_model_version_stage(version.name, str(version.number), title, archive_existing_versions=True)
        if former is None or former.number != version.number:
            client.set_registered_model_alias(version.name, stage, str(version.number))


def set_stage(tracker: Tracker, name: str, number: int, stage: str) -> None:
    """Give a version a stage and leave its alias and all others alone; for who holds the lock."""
    with tracking_errors(tracker.client.tracking_uri), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracker.client.transition_model_version_stage(name, str(number), stage, archive_existing_versions=False)


def prove(tracker: Tracker, record: RunRecord) -> Parity:
    """Fetch a run's ONNX and weights, compare both with their recorded hashes, and with each other on the probe images.

    Raises:
        EvidenceError: there is no ONNX, or the two disagree beyond the tolerance.
        IntegrityError: a file differs from its recorded hash, or its charset from the configuration's.
    """
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as temporary:
        folder = Path(temporary)
        try:
            onnx = tracker.artifact(record.run_id, "model/model.onnx", folder)
            weights = tracker.artifact(record.run_id, "weights.safetensors", folder)
            config_file = tracker.artifact(record.run_id, "config.yaml", folder)
            probe = tracker.artifact(record.run_id, "probe.npz", folder)
        except NotFoundError as error:
            raise EvidenceError(f"run {record.run_id} ({record.name}) cannot be promoted: {error}") from None
        _check_tags(record, onnx, weights)
        config = TrialConfig.model_validate(yaml.safe_load(config_file.read_text(encoding="utf-8")))
        _check_charset(read_metadata(onnx)["charset"], config.corpus.charset.chars, record)
        with np.load(probe, allow_pickle=False) as arrays:
            images = arrays["images"]
        scorer = Scorer(onnx, threads=config.training.threads)
        parity = check_parity(scorer, images, _reference(config, weights, images))
    require_parity(parity)
    return parity


def _check_tags(record: RunRecord, onnx: Path, weights: Path) -> None:
    """The run's own hashes lie in the database, so that files and manifest cannot be changed together."""
    for key, path in ((tag.ONNX_SHA256, onnx), (tag.WEIGHTS_SHA256, weights)):
        expected, came = record.tags.get(key), file_sha256(path)
        if came != expected:
            raise IntegrityError(
                f"{path.name} of run {record.run_id} must have sha256 {expected}, as its tag {key} says, but has {came}: "
                "it was changed or damaged"
            )


def _check_charset(came: list[str], expected: str, record: RunRecord) -> None:
    if came != list(expected):
        place = next(
            (i for i, pair in enumerate(zip(came, expected, strict=False)) if pair[0] != pair[1]), min(len(came), len(expected))
        )
        raise IntegrityError(
            f"the charset inside the ONNX of run {record.run_id} must be the configuration's, but they part at class {place} "
            f"({len(came)} and {len(expected)} characters)"
        )


def _reference(config: TrialConfig, weights: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """PyTorch's logits (N, K) of (N, S, S) ink images."""
    model = build_model(config.model, len(config.corpus.charset.chars), config.image_size)
    replace_head(model, config.classifier)
    model.load_state_dict(load_file(weights))
    model.eval()
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(torch.from_numpy(images).unsqueeze(1).float() / 255).logits.numpy()
    return logits
