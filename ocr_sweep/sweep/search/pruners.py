"""Pruning that compares like with like: a trial and its peers, before their handover, in a study of their own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial

from ocr_sweep.config.pruner import WILCOXON_P
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.sweep.running.run_tags import arm
from ocr_sweep.sweep.search.journal import RUNG
from ocr_sweep.sweep.search.memory import memory_study

PEERS = "ocr_sweep.peers"  # user attribute: trials of one value may be compared epoch by epoch


def make_pruner(study: StudyConfig) -> optuna.pruners.BasePruner:
    """The pruner that a study asks for."""
    pruner = study.pruner
    match pruner.kind:
        case "none":
            return optuna.pruners.NopPruner()
        case "median":
            return optuna.pruners.MedianPruner(
                n_startup_trials=pruner.startup_trials, n_warmup_steps=pruner.warmup_epochs, n_min_trials=pruner.startup_trials
            )
        case "hyperband":
            epochs = study.base.training.epochs
            return optuna.pruners.HyperbandPruner(min_resource=min(pruner.warmup_epochs, epochs), max_resource=epochs)
        case "wilcoxon":
            return optuna.pruners.WilcoxonPruner(p_threshold=WILCOXON_P)


def peers_of(config: TrialConfig, label: object) -> str:
    """What trials must have in common to be compared: arm, architecture, and the epochs over which their rate falls.

    Args:
        label: of the study's arm; "" where it compares none.
    """
    return f"{label}/{arm(config)}/{config.training.epochs}"


def gives_up(study: StudyConfig, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> tuple[bool, dict[str, float]]:
    """Whether the pruner gives a trial up, and which of Hyperband's rungs it has just reached.

    Args:
        trials: all trials of the study; those of a former version of this program did not say whose peers they are.
    """
    peers = [other for other in trials if other.user_attrs.get(PEERS) == trial.user_attrs[PEERS]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown, storage = memory_study(study.name, peers, length=len(trials), objectives=1)
        hopeless = make_pruner(study).prune(shown, trial)
    rungs = storage.get_trial(trial.number).system_attrs
    return bool(hopeless), {key: rungs[key] for key in rungs.keys() - trial.system_attrs.keys() if key.startswith(RUNG)}
