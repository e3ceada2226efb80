"""The batched path makes the CPU path's pictures from the same parameters, effect by effect and as whole policies.

Tolerances, in grey levels of 255: resampling and resizing 1 (OpenCV weighs with fixed-point numbers), Gaussian blur 2 (its
weights have eight bits), what is decided by chance or by a threshold 0, everything else 1 where a tie is rounded. JPEG is
another matter: a coefficient that lies on the border of two steps falls to either side, so that some blocks differ by a
step; there the mean over an image counts.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ocr_sweep.augment import BUILT_IN, Policy, Step, Treatment, augment_batch
from ocr_sweep.augment.batched import apply_op, augment_tensor, resize
from ocr_sweep.augment.binarise import Binarisation
from ocr_sweep.augment.blur import GaussianBlur, MotionBlur
from ocr_sweep.augment.digital import Jpeg, LowResolution
from ocr_sweep.augment.geometry import Affine, Elastic, Perspective
from ocr_sweep.augment.ink import Gamma
from ocr_sweep.augment.kanungo import Kanungo
from ocr_sweep.augment.noise import SaltAndPepper
from ocr_sweep.store import Source, resized

Glyph = NDArray[np.uint8]
TOLERANCE = {Gamma: 0, Kanungo: 0, SaltAndPepper: 0, Binarisation: 0, GaussianBlur: 2}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]
OPS = {type(step.op): step.op for policy in BUILT_IN.values() for step in policy.steps}
WIDE = [  # far beyond the built-in ranges
    Affine((-180, 180), (-30, 30), (0.3, 2.0), (-0.4, 0.4)),
    Perspective((-0.4, 0.4)),
    Elastic((0.2, 0.3)),
    GaussianBlur((0.0, 0.2)),
    MotionBlur((0.0, 0.5)),
    LowResolution((0.05, 1.0)),
]


@pytest.fixture
def images(glyph: Glyph) -> Glyph:
    """Glyphs sharp, soft, grey and cut, and the images in which a rule may break: blank, full, noise."""
    soft = GaussianBlur((0, 1)).apply(glyph, np.float64(1.2))
    rng = np.random.default_rng(0)
    odd = [np.zeros_like(glyph), np.full_like(glyph, 255), rng.integers(0, 256, glyph.shape, dtype=np.uint8)]
    return np.stack(
        [*odd, *(np.roll(image // dim, shift, axis=0) for shift in range(4) for dim in (1, 2) for image in (glyph, soft))]
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("side", [48, 45])
@pytest.mark.parametrize("op", [*OPS.values(), *WIDE], ids=lambda op: type(op).__name__)
def test_an_effect_makes_the_same_pictures_on_whole_batches(op: Step, side: int, device: str, images: Glyph) -> None:
    images = np.ascontiguousarray(images[:, :side, :side])
    parameters = op.draw(np.random.default_rng(1).random((len(images), op.num_draws)), 1.0, side)
    expected = np.stack([op.apply(image, entry) for image, entry in zip(images, parameters, strict=True)])
    found = apply_op(op, torch.from_numpy(images).float().to(device), parameters).cpu().numpy()
    difference = np.abs(found - expected)
    if isinstance(op, Jpeg):
        assert difference.mean(axis=(1, 2)).max() < 1.0 and np.mean(difference > 1) < 0.03
    else:
        assert difference.max() <= TOLERANCE.get(type(op), 1)
        assert difference.mean() < 0.2
    assert found.min() >= 0 and found.max() <= 255 and np.array_equal(found, np.rint(found))
    if not isinstance(op, Gamma):
        assert np.abs(expected.astype(int) - images).mean() > 5 * difference.mean()  # the effect, beside the difference


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("strength", [0.3, 1.0])
@pytest.mark.parametrize("source", [Source.RENDERED, Source.SCANNED])
def test_a_whole_policy_makes_the_same_pictures(source: Source, strength: float, device: str, images: Glyph) -> None:
    # Without the effects that decide by a threshold: after a tone that differs by 1 they may decide otherwise.
    policy = Policy(tuple(s for s in BUILT_IN[source.name.lower()].steps if not isinstance(s.op, Binarisation | Kanungo | Jpeg)))
    many = np.repeat(images, 8, axis=0)
    sources, how = np.full(len(many), source, dtype=np.uint8), {source: Treatment(policy, strength)}
    place = {"seed": 3, "epoch": 1, "positions": np.arange(len(many))}
    expected = augment_batch(many, sources, how, **place)
    found = augment_tensor(torch.from_numpy(many).to(device), sources, how, **place).cpu().numpy()
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 8 and np.mean(difference > 2) < 0.002 and difference.mean() < 0.15


def test_the_full_policy_stays_near_for_nearly_all_images(images: Glyph) -> None:
    many = np.repeat(images, 16, axis=0)
    sources, how = np.zeros(len(many), dtype=np.uint8), {Source.RENDERED: Treatment(BUILT_IN["rendered"], 1.0)}
    place = {"seed": 5, "epoch": 0, "positions": np.arange(len(many))}
    expected = augment_batch(many, sources, how, **place).astype(int)
    found = augment_tensor(torch.from_numpy(many), sources, how, **place).numpy()
    apart = np.abs(found - expected).mean(axis=(1, 2))
    assert np.mean(apart < 1.0) > 0.97 and apart.mean() < 0.2


def test_each_source_has_its_own_policy_and_strength_zero_is_the_same_bits(images: Glyph) -> None:
    sources = (np.arange(len(images)) % 2).astype(np.uint8)
    how = {
        source: Treatment(BUILT_IN["rendered"], float(source is Source.RENDERED)) for source in (Source.RENDERED, Source.SCANNED)
    }
    given = torch.from_numpy(images)
    found = augment_tensor(given, sources, how, seed=1, epoch=0, positions=np.arange(len(images)))
    same = (found == given).flatten(1).all(dim=1).numpy()
    assert same[sources == Source.SCANNED].all() and same[sources == Source.RENDERED].mean() < 0.3
    assert found.data_ptr() != given.data_ptr()
    again = augment_tensor(given, sources, how, seed=1, epoch=0, positions=np.arange(len(images)))
    assert torch.equal(found, again)


@pytest.mark.parametrize("size", [20, 32, 48, 64])
def test_resizing_is_the_stores(size: int, images: Glyph) -> None:
    found = resize(torch.from_numpy(images).float(), size).numpy()
    assert np.abs(found - resized(images, size)).max() <= 1
