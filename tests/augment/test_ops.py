from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_sweep.augment import POLICIES, Step
from ocr_sweep.augment.binarise import Binarisation
from ocr_sweep.augment.blur import GaussianBlur, MotionBlur
from ocr_sweep.augment.digital import Jpeg, LowResolution
from ocr_sweep.augment.geometry import Affine, Elastic, Perspective, combine, warp_image
from ocr_sweep.augment.ink import BrightnessContrast, Gamma, InkFade, UnevenInk
from ocr_sweep.augment.noise import PaperNoise, SaltAndPepper
from ocr_sweep.augment.stroke import Dilation, Erosion, stroke_width
from ocr_sweep.store import Source

Glyph = NDArray[np.uint8]
STEPS = [pytest.param(step, id=f"{source.name}-{type(step.op).__name__}") for source, p in POLICIES.items() for step in p.steps]


def ranges(op: Any) -> dict[str, tuple[float, float]]:
    return {field.name: getattr(op, field.name) for field in fields(op)}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestEveryOp:
    """The contract of an op, for each one that a policy names."""

    @pytest.mark.parametrize("step", STEPS)
    def test_gives_a_new_image_and_leaves_the_old_one(self, step: Step, glyph: Glyph) -> None:
        before = glyph.copy()
        changed = 0
        for seed in range(8):
            found = step.op.apply(glyph, step.op.draw(rng(seed), 1.0, 48))
            assert found.shape == glyph.shape and found.dtype == np.uint8
            assert not np.shares_memory(found, glyph)
            changed += not np.array_equal(found, glyph)
        np.testing.assert_array_equal(glyph, before)
        if not isinstance(step.op, Binarisation | Gamma):  # these leave pure black and white alone
            assert changed >= 6

    @pytest.mark.parametrize("step", STEPS)
    def test_same_draw_same_picture(self, step: Step, glyph: Glyph) -> None:
        first, second = (step.op.apply(glyph, step.op.draw(rng(3), 0.7, 48)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("step", STEPS)
    def test_strength_nearly_nothing_changes_nearly_nothing(self, step: Step, glyph: Glyph) -> None:
        found = step.op.apply(glyph, step.op.draw(rng(1), 1e-6, 48))
        assert np.abs(found.astype(int) - glyph).mean() < 1.0

    @pytest.mark.parametrize("step", STEPS)
    def test_ranges_are_ordered_and_named(self, step: Step) -> None:
        for name, (low, high) in ranges(step.op).items():
            assert name.endswith("_range") and low <= high
        assert 0.0 < step.probability <= 1.0


def _one_of(rendered: bool) -> set[type]:
    return {type(step.op) for step in POLICIES[Source.RENDERED if rendered else Source.SCANNED].steps}


def test_scans_are_treated_gently() -> None:
    assert _one_of(rendered=False) == {Affine, Elastic, GaussianBlur, BrightnessContrast}
    gentle = {type(step.op): step for step in POLICIES[Source.SCANNED].steps}
    harsh = {type(step.op): step for step in POLICIES[Source.RENDERED].steps}
    assert ranges(gentle[Affine].op)["rotation_range"] == (-3, 3)
    for kind in (Affine, Elastic, GaussianBlur):
        assert gentle[kind].probability <= harsh[kind].probability
        for name, (low, high) in ranges(gentle[kind].op).items():
            wide_low, wide_high = ranges(harsh[kind].op)[name]
            assert wide_low <= low <= high <= wide_high


def test_glyphs_are_treated_by_everything() -> None:
    assert _one_of(rendered=True) >= {
        *(Erosion, Dilation, Binarisation, SaltAndPepper, Affine, Perspective, Elastic, GaussianBlur, MotionBlur),
        *(InkFade, UnevenInk, PaperNoise, LowResolution, Jpeg),
    }


def test_a_quarter_turn_is_clockwise_and_numpys(glyph: Glyph) -> None:
    turn = Affine(rotation_range=(90, 90), shear_range=(0, 0), scale_range=(1, 1), shift_range=(0, 0))
    np.testing.assert_allclose(turn.apply(glyph, turn.draw(rng(), 1.0, 48)).astype(int), np.rot90(glyph, -1), atol=1)


def test_shift_moves_the_glyph_back_by_whole_pixels(glyph: Glyph) -> None:
    shift = Affine(rotation_range=(0, 0), shear_range=(0, 0), scale_range=(1, 1), shift_range=(4 / 48, 4 / 48))
    np.testing.assert_array_equal(shift.apply(glyph, shift.draw(rng(), 1.0, 48)), np.roll(glyph, (-4, -4), axis=(0, 1)))


def test_scale_scales_the_area(glyph: Glyph) -> None:
    scale = Affine(rotation_range=(0, 0), shear_range=(0, 0), scale_range=(0.8, 0.8), shift_range=(0, 0))
    found = scale.apply(glyph, scale.draw(rng(), 1.0, 48))
    assert found.sum() / glyph.sum() == pytest.approx(0.8**2, rel=0.02)


def test_merged_warps_are_warps_one_after_the_other(glyph: Glyph) -> None:
    soft = GaussianBlur(sigma_range=(0.05, 0.05)).apply(glyph, 2.0)
    affine = Affine((-7, 7), (-8, 8), (0.8, 1.1), (-0.06, 0.06)).draw(rng(1), 1.0, 48)
    tilt = Perspective((-0.12, 0.12)).draw(rng(2), 1.0, 48)
    elastic = Elastic((0.04, 0.04)).draw(rng(3), 1.0, 48)
    in_turn = warp_image(warp_image(soft, affine), tilt).astype(int)
    swapped = warp_image(warp_image(soft, tilt), affine).astype(int)
    merged = warp_image(soft, combine([affine, tilt])).astype(int)
    assert np.abs(merged - in_turn).mean() < 1.0 < np.abs(merged - swapped).mean()
    bent = warp_image(warp_image(soft, elastic), combine([affine, tilt])).astype(int)
    assert np.abs(warp_image(soft, combine([elastic, affine, tilt])) - bent).mean() < 0.7 * np.abs(merged - bent).mean()


def test_stroke_width_is_measured(glyph: Glyph) -> None:
    # City blocks measure this upright outline exactly, and the mean over directions corrects it by 4 / pi.
    assert stroke_width(glyph) == pytest.approx(4.0 * 4.0 / np.pi, rel=0.1)
    assert stroke_width(np.zeros((48, 48), dtype=np.uint8)) == 0.0


def test_whole_pixels_of_erosion_are_the_classical_one(glyph: Glyph) -> None:
    radius = 1.0 / stroke_width(glyph)
    thin = np.min([np.roll(glyph, shift, axis=axis) for axis in (0, 1) for shift in (-1, 0, 1)], axis=0)
    bold = np.max([np.roll(glyph, shift, axis=axis) for axis in (0, 1) for shift in (-1, 0, 1)], axis=0)
    np.testing.assert_allclose(Erosion((0, 1)).apply(glyph, radius).astype(int), thin, atol=1)
    np.testing.assert_allclose(Dilation((0, 1)).apply(glyph, radius).astype(int), bold, atol=1)


def test_erosion_at_full_strength_keeps_every_stroke(glyph: Glyph) -> None:
    step = next(step for step in POLICIES[Source.RENDERED].steps if isinstance(step.op, Erosion))
    thin = step.op.apply(glyph, 0.2)
    assert thin[8:12, 13:34].max(axis=0).min() > 127 and thin[23:27, 13:34].max(axis=0).min() > 127


@pytest.mark.parametrize("threshold", [None, 0.4])
def test_binarisation_leaves_two_tones_of_a_faded_glyph(threshold: float | None, glyph: Glyph) -> None:
    faded = (glyph * 0.3).astype(np.uint8)
    np.testing.assert_array_equal(Binarisation((0.3, 0.7)).apply(faded, threshold), glyph)


def test_motion_blur_spreads_a_dot_along_its_direction() -> None:
    op = MotionBlur(length_range=(0.25, 0.25))
    kernel = op.draw(rng(), 1.0, 32)
    angle = np.pi * rng().random(2)[1]
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1.0)
    along = (kernel * (x * np.cos(angle) + y * np.sin(angle)) ** 2).sum()
    across = (kernel * (x * np.sin(angle) - y * np.cos(angle)) ** 2).sum()
    assert along == pytest.approx(8**2 / 12, rel=0.2)  # variance of a uniform line of 8 pixels
    assert across < 0.5


def test_salt_and_pepper_keep_their_share() -> None:
    grey = np.full((256, 256), 100, dtype=np.uint8)
    op = SaltAndPepper(share_range=(0.05, 0.05))
    found = op.apply(grey, op.draw(rng(), 1.0, 256))
    assert np.mean(found == 0) == pytest.approx(0.025, abs=0.004)
    assert np.mean(found == 255) == pytest.approx(0.025, abs=0.004)
    assert set(np.unique(found)) == {0, 100, 255}


def test_fade_maps_paper_and_ink(glyph: Glyph) -> None:
    assert set(np.unique(InkFade((0, 1), (0, 1)).apply(glyph, (0.6, 0.2)))) == {51, 153}


def test_gamma_moves_grey_only() -> None:
    tones = np.array([[0, 64], [128, 255]], dtype=np.uint8)
    np.testing.assert_allclose(Gamma((0, 3)).apply(tones, 2.0), 255 * (tones / 255.0) ** 2, atol=1)


def test_brightness_and_contrast_turn_about_middle_grey() -> None:
    tones = np.array([[0, 100], [127, 255]], dtype=np.uint8)
    expected = np.clip((tones - 127.5) * 1.2 + 127.5 + 25.5, 0, 255)
    np.testing.assert_allclose(BrightnessContrast((0, 2), (0, 1)).apply(tones, (1.2, 0.1)), expected, atol=1)


def test_uneven_ink_only_takes_away(glyph: Glyph) -> None:
    op = UnevenInk(loss_range=(0.6, 0.6))
    found = op.apply(glyph, op.draw(rng(), 1.0, 48))
    assert np.all(found <= glyph)
    assert found[glyph == 255].min() >= 0.4 * 255 - 1
    assert np.ptp(found[glyph == 255]) > 40


def test_low_resolution_loses_the_fine_and_keeps_the_ink(glyph: Glyph) -> None:
    checks = (np.indices((48, 48)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.ptp(LowResolution((0, 1)).apply(checks, 24)) <= 2
    assert LowResolution((0, 1)).apply(glyph, 24).mean() == pytest.approx(glyph.mean(), rel=0.03)


def test_jpeg_gets_worse_with_lower_quality(glyph: Glyph) -> None:
    errors = [np.abs(Jpeg((0, 100)).apply(glyph, quality).astype(int) - glyph).mean() for quality in (95, 50, 10)]
    assert errors == sorted(errors) and errors[0] < 2 < errors[2]
