"""The repeats of a trial: its configuration with other seeds, and other folds where the corpus has them."""

from __future__ import annotations

from ocr_sweep.config.trial import TrialConfig

_SEED_STRIDE = 104_729  # a prime that no multiple of the confirmation's stride meets


def repeat_config(config: TrialConfig, repeat: int) -> TrialConfig:
    """A trial's configuration for one of its repeats; the first (0) is the configuration itself."""
    training = config.training
    fold = (training.fold + repeat) % (config.corpus.folds or 1)
    seed = (config.seed + _SEED_STRIDE * repeat) % 2**31
    return config.model_copy(update={"seed": seed, "training": training.model_copy(update={"fold": fold})})


def repeat_suffix(repeat: int) -> str:
    """What tells the run of a repeat from the others of its trial."""
    return f"repeat{repeat + 1}" if repeat else ""
