"""Augmentation as a study states it: a strength per source, and where wanted a policy of its own, effect by effect.

Each block names an effect of `ocr_sweep.augment`, how often it happens at strength 1, and the ranges that strength 1 draws
from. Every range is two numbers, low and high.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ocr_sweep.config.block import Strict

Ends = tuple[float, float]


def within(least: float, most: float) -> BeforeValidator:
    """A check of a range: two numbers in order, both within [least, most]."""

    def check(value: Any) -> Ends:
        numbers = value if isinstance(value, list | tuple) else ()
        if len(numbers) != 2 or any(isinstance(x, bool) or not isinstance(x, int | float) for x in numbers):
            raise ValueError(f"a range must be two numbers, for example [{least:g}, {most:g}], but got {_short(value)}")
        low, high = numbers
        if low > high:
            raise ValueError(f"`low <= high` must hold, but got [{low:g}, {high:g}]; swap them")
        if not least <= low <= high <= most:  # false for not-a-number as well
            raise ValueError(f"both ends must lie within {least:g} to {most:g}, but got [{low:g}, {high:g}]")
        return float(low), float(high)

    return BeforeValidator(check)


def _short(value: Any) -> str:
    return f"a list of {len(value)}" if isinstance(value, list | tuple) and len(value) != 2 else repr(value)[:60]


class _Effect(Strict):
    probability: float = Field(ge=0.0, le=1.0)  # how often it happens at strength 1


class ElasticConfig(_Effect):
    """Strokes bend."""

    op: Literal["elastic"]
    amplitude_range: Annotated[Ends, within(0.0, 0.5)]  # greatest displacement, share of the side


class AffineConfig(_Effect):
    """Turn, slant, scale and shift about the middle."""

    op: Literal["affine"]
    rotation_range: Annotated[Ends, within(-180.0, 180.0)]  # degrees
    shear_range: Annotated[Ends, within(-45.0, 45.0)]  # degrees, of uprights and of horizontals
    scale_range: Annotated[Ends, within(0.1, 4.0)]  # factor of the glyph's size
    shift_range: Annotated[Ends, within(-0.5, 0.5)]  # share of the side


class PerspectiveConfig(_Effect):
    """The page is seen at an angle."""

    op: Literal["perspective"]
    tilt_range: Annotated[Ends, within(-0.45, 0.45)]  # relative change of size from the middle to a side


class ErosionConfig(_Effect):
    """Strokes get thinner from both sides."""

    op: Literal["erosion"]
    radius_range: Annotated[Ends, within(0.0, 0.5)]  # share of the stroke's width, each side


class DilationConfig(_Effect):
    """Strokes get bolder on both sides."""

    op: Literal["dilation"]
    radius_range: Annotated[Ends, within(0.0, 1.0)]  # share of the stroke's width, each side


class InkBleedConfig(_Effect):
    """Ink creeps into the paper around a stroke, here more and there less."""

    op: Literal["ink_bleed"]
    spread_range: Annotated[Ends, within(0.0, 1.0)]  # tone, of the ink beside it, that the wettest pixel takes on


class KanungoConfig(_Effect):
    """Pixels flip near the edges of strokes (Kanungo et al., IEEE PAMI 22(11), 2000)."""

    op: Literal["kanungo"]
    decay_range: Annotated[Ends, within(0.5, 20.0)]  # alpha = beta, per square pixel
    noise_range: Annotated[Ends, within(0.0, 0.5)]  # eta, probability that any pixel flips


class UnevenInkConfig(_Effect):
    """Ink is dense here and dry there."""

    op: Literal["uneven_ink"]
    loss_range: Annotated[Ends, within(0.0, 1.0)]  # share of the ink that the driest place loses


class GammaConfig(_Effect):
    """Grey edges of strokes get darker or lighter."""

    op: Literal["gamma"]
    gamma_range: Annotated[Ends, within(0.05, 20.0)]  # exponent


class GaussianBlurConfig(_Effect):
    """Out of focus."""

    op: Literal["gaussian_blur"]
    sigma_range: Annotated[Ends, within(0.0, 0.2)]  # share of the side


class MotionBlurConfig(_Effect):
    """Page or camera moved."""

    op: Literal["motion_blur"]
    length_range: Annotated[Ends, within(0.0, 0.5)]  # share of the side


class InkFadeConfig(_Effect):
    """Ink pales and paper yellows."""

    op: Literal["ink_fade"]
    ink_range: Annotated[Ends, within(0.0, 1.0)]  # tone of full ink, share of 255
    paper_range: Annotated[Ends, within(0.0, 1.0)]  # tone of clean paper, share of 255


class BrightnessContrastConfig(_Effect):
    """The scanner's exposure."""

    op: Literal["brightness_contrast"]
    contrast_range: Annotated[Ends, within(0.0, 4.0)]  # factor about middle grey
    brightness_range: Annotated[Ends, within(-1.0, 1.0)]  # share of 255, added


class PaperNoiseConfig(_Effect):
    """Grain of the paper and soft stains."""

    op: Literal["paper_noise"]
    amplitude_range: Annotated[Ends, within(0.0, 0.5)]  # standard deviation of the grain, share of 255


class LowResolutionConfig(_Effect):
    """The picture was once smaller."""

    op: Literal["low_resolution"]
    factor_range: Annotated[Ends, within(0.05, 1.0)]  # share of the side that the small picture had


class SaltAndPepperConfig(_Effect):
    """Specks of ink on paper and of paper on ink."""

    op: Literal["salt_and_pepper"]
    share_range: Annotated[Ends, within(0.0, 0.5)]  # share of the pixels


class BinarisationConfig(_Effect):
    """Every pixel becomes paper or ink, by Otsu's threshold or a drawn one, each half of the time."""

    op: Literal["binarisation"]
    threshold_range: Annotated[Ends, within(0.0, 1.0)]  # share of the darkest ink


class JpegConfig(_Effect):
    """Rings and blocks of JPEG."""

    op: Literal["jpeg"]
    quality_range: Annotated[Ends, within(1.0, 100.0)]  # of 100


GeometryConfig = ElasticConfig | AffineConfig | PerspectiveConfig
ToneConfig = (
    ErosionConfig
    | DilationConfig
    | InkBleedConfig
    | KanungoConfig
    | UnevenInkConfig
    | GammaConfig
    | GaussianBlurConfig
    | MotionBlurConfig
    | InkFadeConfig
    | BrightnessContrastConfig
    | PaperNoiseConfig
    | LowResolutionConfig
    | SaltAndPepperConfig
    | BinarisationConfig
    | JpegConfig
)
OpConfig = Annotated[GeometryConfig | ToneConfig, Field(discriminator="op")]

NOT_FOR_SCANS = ("erosion", "dilation", "binarisation")
"""What may not happen to a scan: the width and the grey of its strokes carry what makes a rare character readable."""


class SourceAugment(Strict):
    """How far the images of one source are distorted in training, and by what."""

    strength: float = Field(ge=0.0, le=1.0)  # 0: untouched; 1: the policy's full ranges
    policy: list[OpConfig] | None = Field(default=None, min_length=1, max_length=64)  # in this order; null: the built-in table

    @field_validator("policy")
    @classmethod
    def _geometry_comes_first(cls, policy: list[OpConfig] | None) -> list[OpConfig] | None:
        toned = ""
        for block in policy or ():
            if isinstance(block, GeometryConfig) and toned:
                raise ValueError(
                    f"elastic, affine and perspective are one resampling and must stand before all others, but got {block.op} "
                    f"after {toned}; move it up"
                )
            toned = toned or ("" if isinstance(block, GeometryConfig) else block.op)
        return policy


class AugmentConfig(Strict):
    """What happens to the images of each training source; the built-in tables stand in `ocr_sweep.augment.policy`."""

    rendered: SourceAugment
    scanned: SourceAugment
    generated: SourceAugment | None = None  # null: as the rendered

    @model_validator(mode="after")
    def _scans_keep_their_strokes(self) -> AugmentConfig:
        refused = [block.op for block in self.scanned.policy or () if block.op in NOT_FOR_SCANS]
        if refused:
            raise ValueError(
                f"scanned.policy must leave the strokes of scans as they are, but got {', '.join(dict.fromkeys(refused))}; "
                "leave them out, or put them into rendered.policy"
            )
        return self
