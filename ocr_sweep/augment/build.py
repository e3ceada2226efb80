"""From augmentation's configuration to what is done: a policy and a strength for each source."""

from __future__ import annotations

from dataclasses import dataclass

from ocr_sweep.augment.binarise import Binarisation
from ocr_sweep.augment.blur import GaussianBlur, MotionBlur
from ocr_sweep.augment.digital import Jpeg, LowResolution
from ocr_sweep.augment.geometry import Affine, Elastic, Perspective
from ocr_sweep.augment.ink import BrightnessContrast, Gamma, InkFade, UnevenInk
from ocr_sweep.augment.kanungo import Kanungo
from ocr_sweep.augment.noise import PaperNoise, SaltAndPepper
from ocr_sweep.augment.policy import RENDERED, SCANNED, Op, Policy, Step
from ocr_sweep.augment.stroke import Dilation, Erosion, InkBleed
from ocr_sweep.config import augment as blocks
from ocr_sweep.errors import DataError
from ocr_sweep.store import Source

BUILT_IN = {"rendered": RENDERED, "scanned": SCANNED, "generated": RENDERED}
"""The table of each source that augmentation knows."""


@dataclass(frozen=True)
class Treatment:
    """What is done to the images of one source.

    Raises:
        DataError: the strength is not within 0 to 1.
    """

    policy: Policy
    strength: float  # 0: nothing; 1: the policy's full ranges

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise DataError(f"0 <= strength <= 1 must hold, but got {self.strength}")


def treatments(config: blocks.AugmentConfig) -> dict[Source, Treatment]:
    """The treatment of every source that training may meet."""
    named = {"rendered": config.rendered, "scanned": config.scanned, "generated": config.generated or config.rendered}
    return {Source[name.upper()]: treatment(name, block) for name, block in named.items()}


def treatment(name: str, block: blocks.SourceAugment) -> Treatment:
    """The treatment of one source, by its name in the configuration."""
    policy = BUILT_IN[name] if block.policy is None else Policy(tuple(build_step(step) for step in block.policy))
    return Treatment(policy, block.strength)


def build_step(block: blocks.OpConfig) -> Step:
    """An effect with its probability."""
    return Step(_build_op(block), block.probability)


def _build_op(block: blocks.OpConfig) -> Op:
    match block:
        case blocks.ElasticConfig():
            return Elastic(block.amplitude_range)
        case blocks.AffineConfig():
            return Affine(block.rotation_range, block.shear_range, block.scale_range, block.shift_range)
        case blocks.PerspectiveConfig():
            return Perspective(block.tilt_range)
        case blocks.ErosionConfig():
            return Erosion(block.radius_range)
        case blocks.DilationConfig():
            return Dilation(block.radius_range)
        case blocks.InkBleedConfig():
            return InkBleed(block.spread_range)
        case blocks.KanungoConfig():
            return Kanungo(block.decay_range, block.noise_range)
        case blocks.UnevenInkConfig():
            return UnevenInk(block.loss_range)
        case blocks.GammaConfig():
            return Gamma(block.gamma_range)
        case blocks.GaussianBlurConfig():
            return GaussianBlur(block.sigma_range)
        case blocks.MotionBlurConfig():
            return MotionBlur(block.length_range)
        case blocks.InkFadeConfig():
            return InkFade(block.ink_range, block.paper_range)
        case blocks.BrightnessContrastConfig():
            return BrightnessContrast(block.contrast_range, block.brightness_range)
        case blocks.PaperNoiseConfig():
            return PaperNoise(block.amplitude_range)
        case blocks.LowResolutionConfig():
            return LowResolution(block.factor_range)
        case blocks.SaltAndPepperConfig():
            return SaltAndPepper(block.share_range)
        case blocks.BinarisationConfig():
            return Binarisation(block.threshold_range)
        case blocks.JpegConfig():
            return Jpeg(block.quality_range)
