"""What cannot hold together in one trial, each with the sentence that says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocr_sweep.config.classifier import LearntScale, PosthocAdjustment, RetrainedHead, Stacking, TauNorm
from ocr_sweep.config.model import CapsuleConfig

if TYPE_CHECKING:
    from ocr_sweep.config.trial import TrialConfig


def contradictions(trial: TrialConfig) -> Iterator[str]:
    """Every contradiction between blocks that are right in themselves."""
    yield from _fold(trial)
    yield from _head(trial)
    yield from _frequencies(trial)
    yield from _glyphs(trial)
    yield from _scans_for_stacking(trial)


def _fold(trial: TrialConfig) -> Iterator[str]:
    if trial.training.fold >= (trial.corpus.folds or 1):
        folds = f"{trial.corpus.folds} folds" if trial.corpus.folds else "no `folds`"
        yield f"training.fold must be below the number of folds, but got {trial.training.fold} with {folds}"


def _head(trial: TrialConfig) -> Iterator[str]:
    """What a loss or a classifier asks of the head; capsules are a head of their own."""
    head = "capsule" if isinstance(trial.model, CapsuleConfig) else trial.model.head.kind
    if trial.loss.kind == "bce" and head == "cosine":
        yield (
            "loss.kind 'bce' needs a head with a bias, but got model.head.kind 'cosine', which has none; "
            "write 'linear' or 'low_rank', or the loss 'cross_entropy'"
        )
    if isinstance(trial.classifier, LearntScale | TauNorm) and head != "linear":
        yield (
            f"classifier {trial.classifier.kind} rescales the rows of a linear head, but the model's is {head!r}; "
            "make the head linear, or write the classifier crt or ncm"
        )


def _frequencies(trial: TrialConfig) -> Iterator[str]:
    """What makes up for class frequencies must do so once: a second time, rare classes would be read everywhere.

    A head that is learnt anew after the representation (crt) and class means (ncm) forget what the first loss did.
    """
    key, sampling = trial.loss.knows_frequencies, trial.training.sampling
    if key and sampling != "instance":
        yield (
            f"loss.{key} and training.sampling both make up for class frequencies, and that must happen once, but got "
            f"loss.{key} with sampling {sampling!r}; sample by 'instance' or leave loss.{key} out"
        )
    if key and isinstance(trial.classifier, LearntScale | TauNorm):
        yield (
            f"loss.{key} and classifier {trial.classifier.kind} both make up for class frequencies in one head, and that must "
            f"happen once; leave loss.{key} out, or write the classifier crt or ncm"
        )
    if isinstance(trial.calibration, PosthocAdjustment) and (balanced := _balanced_by(trial)):
        yield (
            "calibration posthoc_adjustment takes the training frequencies off the logits, and that must happen once, but "
            f"{balanced} has done so already; leave one of them out"
        )


def _balanced_by(trial: TrialConfig) -> str:
    """What has already made up for the class frequencies in the logits; empty when nothing has."""
    match trial.classifier:
        case None if trial.loss.knows_frequencies:
            return f"loss.{trial.loss.knows_frequencies}"
        case None:
            known = trial.training.sampling in ("instance", "square_root")
            return "" if known else f"training.sampling {trial.training.sampling!r}"
        case RetrainedHead(sampling="instance" | "square_root") | LearntScale(sampling="instance" | "square_root"):
            return ""
    return f"classifier {trial.classifier.kind}"


def _glyphs(trial: TrialConfig) -> Iterator[str]:
    similarity = trial.loss.similarity
    if similarity is None or similarity.source != "rendered":
        return
    if trial.corpus.rendered is None or "rendered" in trial.training.leave_out:
        why = "has none" if trial.corpus.rendered is None else "leaves them out"
        yield (
            f"loss.similarity.source 'rendered' needs the rendered glyphs of the corpus, but this trial {why}; "
            "name a file, or let rendered glyphs train"
        )


def _scans_for_stacking(trial: TrialConfig) -> Iterator[str]:
    if not isinstance(trial.calibration, Stacking):
        return
    sources = trial.corpus.scanned
    judged = any(source.split.val > 0 or (trial.corpus.folds and source.split.train > 0) for source in sources)
    if not judged or "scanned" in trial.training.leave_out:
        why = "leaves scans out of training" if judged else "validates on no scans"
        yield (
            f"calibration stacking weighs classes that learn from scans against those that do not, but this trial {why}; "
            "leave calibration out, or give scans to train and val"
        )
