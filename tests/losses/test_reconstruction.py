from __future__ import annotations

import pytest
import torch

from ocr_sweep.losses import reconstruction_loss, reconstruction_weight


def test_the_loss_is_the_mean_cross_entropy_of_each_pixel() -> None:
    generator = torch.Generator().manual_seed(0)
    restored = torch.randn(2, 1, 3, 3, dtype=torch.float64, generator=generator)
    clean = torch.rand(2, 1, 3, 3, dtype=torch.float64, generator=generator)
    ink = restored.sigmoid()
    expected = -(clean * ink.log() + (1 - clean) * (1 - ink).log()).mean()
    torch.testing.assert_close(reconstruction_loss(restored, clean), expected)


def test_the_weight_is_constant_and_fades_over_the_last_fifth() -> None:
    weights = [reconstruction_weight(2.0, step, 10) for step in range(10)]
    assert weights == pytest.approx([2.0] * 9 + [1.0])
    assert reconstruction_weight(2.0, 100, 100) == 0.0
    fading = [reconstruction_weight(1.0, step, 100) for step in range(80, 101)]
    assert fading == pytest.approx([1 - i / 20 for i in range(21)])


def test_no_weight_is_no_loss() -> None:
    assert {reconstruction_weight(0.0, step, 7) for step in range(7)} == {0.0}


def test_the_fade_is_as_long_as_asked() -> None:
    assert reconstruction_weight(1.0, 5, 10, fade=1.0) == 0.5
    assert [reconstruction_weight(1.0, step, 10, fade=0.0) for step in (0, 9)] == [1.0, 1.0]


def test_images_whose_target_is_unknown_do_not_count() -> None:
    restored, target = torch.randn(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    known = torch.tensor([True, False, True])
    torch.testing.assert_close(reconstruction_loss(restored, target, known), reconstruction_loss(restored[known], target[known]))
    assert reconstruction_loss(restored, target, torch.zeros(3, dtype=torch.bool)) == 0.0
