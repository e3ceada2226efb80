"""What becomes of the head once the representation is learnt, and how its logits are calibrated.

References:
    Kang et al., Decoupling representation and classifier for long-tailed recognition, arXiv:1910.09217.
    Chao et al., An empirical study and analysis of generalized zero-shot learning, arXiv:1605.04253.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ocr_sweep.config.block import Strict


class _Classifier(Strict):
    bn_mode: Literal["eval", "recalibrate"]  # recalibrate: batch norm's statistics are estimated again on this stage's images
    # report: a class's scans where it has any, else its rendered or generated images; all: every training image
    data: Literal["report", "all"] = "report"

    @property
    def num_epochs(self) -> int:
        """Epochs of the stage; a head that is not trained takes one."""
        return 1


class _Learning(_Classifier):
    epochs: int = Field(ge=1, le=10_000)
    lr: float = Field(gt=0.0, le=100.0)  # SGD's first rate, with momentum 0.9; half a cosine to 0
    sampling: Literal["instance", "square_root", "class_balanced"] = "class_balanced"
    images_per_epoch: int | None = Field(default=None, ge=2, le=100_000_000)  # null: as many as the stage has
    label_smoothing: float = Field(default=0.0, ge=0.0, le=0.9)  # of its cross entropy

    @property
    def num_epochs(self) -> int:
        """As it says."""
        return self.epochs


class RetrainedHead(_Learning):
    """cRT: a new head on the frozen features."""

    kind: Literal["crt"]
    weight_decay: float = Field(default=5e-4, ge=0.0, le=1.0)  # coupled, of matrices only


class LearntScale(_Learning):
    """LWS: the head as it is, and one factor a class is learnt."""

    kind: Literal["lws"]


class TauNorm(_Classifier):
    """The head's rows divided by their length to the power tau, without bias; nothing is trained."""

    kind: Literal["tau_norm"]
    tau: float = Field(ge=0.0, le=2.0)  # 1: rows of length 1


class NearestMean(_Classifier):
    """The nearest class mean of features that are centred by their mean and cut to length 1; nothing is trained."""

    kind: Literal["ncm"]


ClassifierConfig = Annotated[RetrainedHead | LearntScale | TauNorm | NearestMean, Field(discriminator="kind")]


class Stacking(Strict):
    """Calibrated stacking: one number is taken from the logits of the classes that have scans to learn from.

    It is chosen on one half of the validation scans, by macro accuracy, and reported on the other.
    """

    kind: Literal["stacking"]


class PosthocAdjustment(Strict):
    """tau times the logarithm of a class's share of the training images is taken from its logit."""

    kind: Literal["posthoc_adjustment"]
    tau: float = Field(gt=0.0, le=4.0)  # 1: consistent for the mean accuracy over classes


CalibrationConfig = Annotated[Stacking | PosthocAdjustment, Field(discriminator="kind")]
