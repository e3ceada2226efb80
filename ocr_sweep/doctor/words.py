"""The words in which runs and folders are written: the contract with the program's writers, of whom nothing is imported."""

from __future__ import annotations

from typing import Final

STUDY: Final = "ocr_sweep.study"
TRIAL: Final = "ocr_sweep.trial"
ROLE: Final = "ocr_sweep.role"
SUMMARY: Final = "summary"  # the role of the one run of a study that is no training
KEY: Final = "ocr_sweep.key"
OUTCOME: Final = "ocr_sweep.outcome"
REASON: Final = "ocr_sweep.reason"
CORPUS: Final = "ocr_sweep.corpus"
REPRODUCES: Final = "ocr_sweep.reproduces"
SUPERSEDED: Final = "ocr_sweep.superseded"
ONNX_SHA256: Final = "ocr_sweep.onnx_sha256"
WEIGHTS_SHA256: Final = "ocr_sweep.weights_sha256"

IDENTITY: Final = "ocr_sweep.identity"  # of an Optuna study: what it may not change
VERDICT: Final = "ocr_sweep.verdict"
RUN_ID: Final = "ocr_sweep.run_id"  # of an Optuna trial
CONTRADICTION: Final = "ocr_sweep.contradiction"
FENCED: Final = "ocr_sweep.fenced"  # of a trial and its runs: why they are no part of the study any more
VERSION: Final = "ocr_sweep.version"  # of an Optuna study whose making was finished

HEAD: Final = "ocr_sweep.history"  # of a registered model: where its history ends
GATE: Final = ".gate.json"  # how the names of the gate's records end

ONNX: Final = "model/model.onnx"
WEIGHTS: Final = "weights.safetensors"
PREDICTIONS: Final = "predictions.npz"
CONFIG: Final = "config.yaml"
PROVENANCE: Final = "provenance.json"
PARITY: Final = "parity.json"
MANIFEST: Final = "manifest.json"
LOG: Final = "log.txt"

STATUS: Final = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "oom": "FAILED", "stopped": "KILLED"}
"""MLflow's status for each outcome."""

STATE: Final = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "oom": "FAIL"}
"""Optuna's state for each outcome that ends a trial; a stopped one goes on and stays RUNNING."""

REASONS: Final = (
    "nan-loss", "nan-logits", "no-gradient", "oom", "compile", "devices", "parity",  # what a training met
    "died", "hung", "integrity", "fenced",  # what its supervisor met
    "mistake", "bug", "other",
)  # fmt: skip
"""How the reason of a failed run may begin; after the word comes a colon and a sentence."""
