from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_sweep.augment import BUILT_IN, Step
from ocr_sweep.augment.binarise import Binarisation
from ocr_sweep.augment.blur import GaussianBlur, MotionBlur, line_kernels
from ocr_sweep.augment.digital import Jpeg, LowResolution
from ocr_sweep.augment.geometry import Affine, Elastic, Perspective, Warps, warp_image
from ocr_sweep.augment.ink import BrightnessContrast, Gamma, InkFade, UnevenInk
from ocr_sweep.augment.kanungo import Kanungo
from ocr_sweep.augment.noise import PaperNoise, SaltAndPepper
from ocr_sweep.augment.op import Effect, Entry
from ocr_sweep.augment.stroke import Dilation, Erosion, InkBleed, stroke_width

Glyph = NDArray[np.uint8]
STEPS = [pytest.param(step, id=f"{name}-{type(step.op).__name__}") for name, p in list(BUILT_IN.items())[:2] for step in p.steps]


def ranges(op: Any) -> dict[str, tuple[float, float]]:
    return {field.name: getattr(op, field.name) for field in fields(op)}


def draw(op: Effect, seed: int = 0, strength: float = 1.0, size: int = 48) -> Entry:
    """The parameters of one image."""
    return op.draw(np.random.default_rng(seed).random((1, op.num_draws)), strength, size)[0]


class TestEveryOp:
    """The contract of an op, for each one that a policy names."""

    @pytest.mark.parametrize("step", STEPS)
    def test_gives_a_new_image_and_leaves_the_old_one(self, step: Step, glyph: Glyph) -> None:
        before = glyph.copy()
        changed = 0
        for seed in range(8):
            found = step.op.apply(glyph, draw(step.op, seed, 1.0, 48))
            assert found.shape == glyph.shape and found.dtype == np.uint8
            assert not np.shares_memory(found, glyph)
            changed += not np.array_equal(found, glyph)
        np.testing.assert_array_equal(glyph, before)
        if not isinstance(step.op, Binarisation | Gamma):  # these leave pure black and white alone
            assert changed >= 6

    @pytest.mark.parametrize("step", STEPS)
    def test_same_draw_same_picture(self, step: Step, glyph: Glyph) -> None:
        first, second = (step.op.apply(glyph, draw(step.op, 3, 0.7, 48)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("step", STEPS)
    def test_strength_nearly_nothing_changes_nearly_nothing(self, step: Step, glyph: Glyph) -> None:
        found = step.op.apply(glyph, draw(step.op, 1, 1e-6, 48))
        assert np.abs(found.astype(int) - glyph).mean() < 1.0

    @pytest.mark.parametrize("step", STEPS)
    def test_ranges_are_ordered_and_named(self, step: Step) -> None:
        for name, (low, high) in ranges(step.op).items():
            assert name.endswith("_range") and low <= high
        assert 0.0 < step.probability <= 1.0


def _one_of(rendered: bool) -> set[type]:
    return {type(step.op) for step in BUILT_IN["rendered" if rendered else "scanned"].steps}


def test_scans_are_treated_gently() -> None:
    assert _one_of(rendered=False) == {Affine, Elastic, GaussianBlur, BrightnessContrast}
    gentle = {type(step.op): step for step in BUILT_IN["scanned"].steps}
    harsh = {type(step.op): step for step in BUILT_IN["rendered"].steps}
    assert ranges(gentle[Affine].op)["rotation_range"] == (-3, 3)
    for kind in (Affine, Elastic, GaussianBlur):
        assert gentle[kind].probability <= harsh[kind].probability
        for name, (low, high) in ranges(gentle[kind].op).items():
            wide_low, wide_high = ranges(harsh[kind].op)[name]
            assert wide_low <= low <= high <= wide_high


def test_glyphs_are_treated_by_everything() -> None:
    assert _one_of(rendered=True) >= {
        *(Erosion, Dilation, Binarisation, SaltAndPepper, Affine, Perspective, Elastic, GaussianBlur, MotionBlur),
        *(InkFade, UnevenInk, InkBleed, Kanungo, PaperNoise, LowResolution, Jpeg),
    }


def test_a_quarter_turn_is_clockwise_and_numpys(glyph: Glyph) -> None:
    turn = Affine(rotation_range=(90, 90), shear_range=(0, 0), scale_range=(1, 1), shift_range=(0, 0))
    np.testing.assert_allclose(turn.apply(glyph, draw(turn, 0, 1.0, 48)).astype(int), np.rot90(glyph, -1), atol=1)


def test_shift_moves_the_glyph_back_by_whole_pixels(glyph: Glyph) -> None:
    shift = Affine(rotation_range=(0, 0), shear_range=(0, 0), scale_range=(1, 1), shift_range=(4 / 48, 4 / 48))
    np.testing.assert_array_equal(shift.apply(glyph, draw(shift, 0, 1.0, 48)), np.roll(glyph, (-4, -4), axis=(0, 1)))


def test_scale_scales_the_area(glyph: Glyph) -> None:
    scale = Affine(rotation_range=(0, 0), shear_range=(0, 0), scale_range=(0.8, 0.8), shift_range=(0, 0))
    found = scale.apply(glyph, draw(scale, 0, 1.0, 48))
    assert found.sum() / glyph.sum() == pytest.approx(0.8**2, rel=0.02)


def test_merged_warps_are_warps_one_after_the_other(glyph: Glyph) -> None:
    soft = GaussianBlur(sigma_range=(0.05, 0.05)).apply(glyph, np.float64(2.0))
    affine, tilt = draw(Affine((-7, 7), (-8, 8), (0.8, 1.1), (-0.06, 0.06)), 1), draw(Perspective((-0.12, 0.12)), 2)
    elastic = Elastic((0.04, 0.04))
    bend, places = draw(elastic, 3), np.array([0])
    in_turn = warp_image(warp_image(soft, affine), tilt).astype(int)
    swapped = warp_image(warp_image(soft, tilt), affine).astype(int)
    warps = Warps.none(1)
    for op, parameters in ((Affine((0, 0), (0, 0), (1, 1), (0, 0)), affine), (Perspective((0, 0)), tilt)):
        warps.add(op, places, parameters[None])
    merged = warp_image(soft, warps.matrices[0]).astype(int)
    assert np.abs(merged - in_turn).mean() < 1.0 < np.abs(merged - swapped).mean()
    bent = warp_image(warp_image(soft, np.eye(3), bend), warps.matrices[0]).astype(int)
    warps.add(elastic, places, bend[None])
    both = warp_image(soft, warps.matrices[0], warps.bends[0])
    assert warps.moved.all() and np.abs(both - bent).mean() < 0.7 * np.abs(merged - bent).mean()


def test_stroke_width_is_measured(glyph: Glyph) -> None:
    # City blocks measure this upright outline exactly, and the mean over directions corrects it by 4 / pi.
    assert stroke_width(glyph) == pytest.approx(4.0 * 4.0 / np.pi, rel=0.1)
    assert stroke_width(np.zeros((48, 48), dtype=np.uint8)) == 0.0


def test_whole_pixels_of_erosion_are_the_classical_one(glyph: Glyph) -> None:
    radius = 1.0 / stroke_width(glyph)
    thin = np.min([np.roll(glyph, shift, axis=axis) for axis in (0, 1) for shift in (-1, 0, 1)], axis=0)
    bold = np.max([np.roll(glyph, shift, axis=axis) for axis in (0, 1) for shift in (-1, 0, 1)], axis=0)
    np.testing.assert_allclose(Erosion((0, 1)).apply(glyph, np.float64(radius)).astype(int), thin, atol=1)
    np.testing.assert_allclose(Dilation((0, 1)).apply(glyph, np.float64(radius)).astype(int), bold, atol=1)


def test_erosion_at_full_strength_keeps_every_stroke(glyph: Glyph) -> None:
    step = next(step for step in BUILT_IN["rendered"].steps if isinstance(step.op, Erosion))
    thin = step.op.apply(glyph, np.float64(0.2))
    assert thin[8:12, 13:34].max(axis=0).min() > 127 and thin[23:27, 13:34].max(axis=0).min() > 127


@pytest.mark.parametrize("threshold", [np.nan, 0.4])
def test_binarisation_leaves_two_tones_of_a_faded_glyph(threshold: float, glyph: Glyph) -> None:
    faded = (glyph * 0.3).astype(np.uint8)
    np.testing.assert_array_equal(Binarisation((0.3, 0.7)).apply(faded, np.float64(threshold)), glyph)


def test_motion_blur_spreads_a_dot_along_its_direction() -> None:
    op = MotionBlur(length_range=(0.25, 0.25))
    way = draw(op, size=32)
    kernel = line_kernels(way[None], 4)[0]
    angle = np.pi * np.random.default_rng(0).random(2)[1]
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1.0)
    along = (kernel * (x * np.cos(angle) + y * np.sin(angle)) ** 2).sum()
    across = (kernel * (x * np.sin(angle) - y * np.cos(angle)) ** 2).sum()
    assert along == pytest.approx(8**2 / 12, rel=0.2)  # variance of a uniform line of 8 pixels
    assert across < 0.5


def test_salt_and_pepper_keep_their_share() -> None:
    grey = np.full((256, 256), 100, dtype=np.uint8)
    op = SaltAndPepper(share_range=(0.05, 0.05))
    found = op.apply(grey, draw(op, 0, 1.0, 256))
    assert np.mean(found == 0) == pytest.approx(0.025, abs=0.004)
    assert np.mean(found == 255) == pytest.approx(0.025, abs=0.004)
    assert set(np.unique(found)) == {0, 100, 255}


def test_fade_maps_paper_and_ink(glyph: Glyph) -> None:
    assert set(np.unique(InkFade((0.6, 0.6), (0.2, 0.2)).apply(glyph, draw(InkFade((0.6, 0.6), (0.2, 0.2)))))) == {51, 153}


def test_gamma_moves_grey_only() -> None:
    tones = np.array([[0, 64], [128, 255]], dtype=np.uint8)
    np.testing.assert_allclose(Gamma((0, 3)).apply(tones, np.float64(2.0)), 255 * (tones / 255.0) ** 2, atol=1)


def test_brightness_and_contrast_turn_about_middle_grey() -> None:
    tones = np.array([[0, 100], [127, 255]], dtype=np.uint8)
    expected = np.clip((tones - 127.5) * 1.2 + 127.5 + 25.5, 0, 255)
    op = BrightnessContrast((1.2, 1.2), (0.1, 0.1))
    np.testing.assert_allclose(op.apply(tones, draw(op)), expected, atol=1)


def test_uneven_ink_only_takes_away(glyph: Glyph) -> None:
    op = UnevenInk(loss_range=(0.6, 0.6))
    found = op.apply(glyph, draw(op, 0, 1.0, 48))
    assert np.all(found <= glyph)
    assert found[glyph == 255].min() >= 0.4 * 255 - 1
    assert np.ptp(found[glyph == 255]) > 40


def test_low_resolution_loses_the_fine_and_keeps_the_ink(glyph: Glyph) -> None:
    checks = (np.indices((48, 48)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.ptp(LowResolution((0, 1)).apply(checks, np.float64(24))) <= 2
    assert LowResolution((0, 1)).apply(glyph, np.float64(24)).mean() == pytest.approx(glyph.mean(), rel=0.03)


def test_jpeg_gets_worse_with_lower_quality(glyph: Glyph) -> None:
    errors = [np.abs(Jpeg((0, 100)).apply(glyph, np.float64(quality)).astype(int) - glyph).mean() for quality in (95, 50, 10)]
    assert errors == sorted(errors) and errors[0] < 2 < errors[2]


def test_ink_bleeds_into_the_paper_beside_it_and_unevenly(glyph: Glyph) -> None:
    op = InkBleed(spread_range=(0.8, 0.8))
    found = op.apply(glyph, draw(op))
    bold = np.max([np.roll(glyph, shift, axis=axis) for axis in (0, 1) for shift in (-1, 0, 1)], axis=0)
    wet = found[(bold == 255) & (glyph == 0)]
    assert np.all(found[bold == 0] == 0) and np.all(found[glyph == 255] == 255)
    assert wet.max() <= 0.8 * 255 + 1 and np.ptp(wet) > 80


def test_grain_has_the_deviation_that_was_drawn() -> None:
    op = PaperNoise(amplitude_range=(0.1, 0.1))
    entry = draw(op, size=256)
    entry[2:] = 0.0  # no stains
    found = op.apply(np.full((256, 256), 128, dtype=np.uint8), entry).astype(float)
    assert found.std() == pytest.approx(25.5, rel=0.03) and found.mean() == pytest.approx(128, abs=0.5)


def test_a_wide_stroke_is_no_wider_than_the_image() -> None:
    assert stroke_width(np.full((48, 48), 255, dtype=np.uint8)) == 48.0
