"""What a run is tagged with from its first moment, and its configuration as flat parameters."""

from __future__ import annotations

from typing import Any

from ocr_sweep.config.dotted import flatten
from ocr_sweep.config.model import CapsuleConfig, DenseUNetConfig, TimmConfig, UNetConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.watching.board import Job
from ocr_sweep.tracking import record


def run_tags(job: Job, view: CorpusView, provenance: dict[str, Any]) -> dict[str, str]:
    """What a run is, for those who look for it."""
    code = provenance["code"]
    return {
        record.STUDY: job.study,
        record.TRIAL: str(job.trial),
        record.ROLE: job.role,
        record.ARM: job.arm or arm(job.config),
        record.CORPUS: view.fingerprint,
        record.SIMULATED: str(view.simulated).lower(),
        **({record.REPRODUCES: job.reproduces} if job.reproduces else {}),
        "mlflow.source.name": "ocr-sweep",
        "mlflow.source.type": "LOCAL",
        **({"mlflow.source.git.commit": code["commit"]} if code["commit"] else {}),
    }


def run_params(config: TrialConfig) -> dict[str, Any]:
    """The configuration as flat parameters; the charset as its size, since the whole of it stands in config.yaml."""
    data = config.model_dump(mode="json")
    data["corpus"]["charset"] = {"size": len(config.corpus.charset.chars)}
    return flatten(data)


def arm(config: TrialConfig) -> str:
    """The architecture's name, by which runs are grouped."""
    match config.model:
        case UNetConfig(decoder=decoder) | DenseUNetConfig(decoder=decoder):
            return config.model.kind if decoder else f"{config.model.kind}_encoder"
        case CapsuleConfig(routing=routing, latent=latent):
            return f"capsule_{routing.kind}" if latent else f"capsule_{routing.kind}_full"
        case TimmConfig(name=name):
            return name
