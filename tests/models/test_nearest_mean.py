from __future__ import annotations

import torch

from ocr_sweep.config.classifier import NearestMean
from ocr_sweep.config.model import UNetConfig
from ocr_sweep.models import NearestMeanHead, build_model, replace_head


def test_a_logit_is_minus_the_squared_distance() -> None:
    torch.manual_seed(0)
    head = NearestMeanHead(6, 4)
    head.mean.copy_(torch.randn(6))
    head.class_means.copy_(torch.randn(4, 6) / 3)
    features = torch.randn(5, 6, dtype=torch.float64)
    x = (features - head.mean) / (features - head.mean).norm(dim=1, keepdim=True)
    expected = -torch.cdist(x, head.class_means.double()).square()
    torch.testing.assert_close(head(features.float()).double(), expected, rtol=0, atol=1e-5)


def test_weights_of_a_trial_with_class_means_fit_the_network_that_they_are_loaded_into() -> None:
    config = UNetConfig(kind="unet", base_channels=4, depth=2, dropout=0.0, decoder=False, reconstruction_weight=0.0)
    fitted, again = build_model(config, 8, 16), build_model(config, 8, 16)
    for model in (fitted, again):
        replace_head(model, NearestMean(kind="ncm", bn_mode="eval"))
    fitted.head.class_means.normal_()  # type: ignore[operator, union-attr]
    again.load_state_dict(fitted.state_dict())
    images = torch.rand(3, 1, 16, 16)
    assert torch.equal(fitted.eval()(images).logits, again.eval()(images).logits)
    plain = build_model(config, 8, 16)
    replace_head(plain, None)
    assert isinstance(plain.head, torch.nn.Linear)
