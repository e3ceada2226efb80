from __future__ import annotations

import numpy as np
import pytest

from ocr_sweep.errors import DataError
from ocr_sweep.metrics import calibration_error, confidence_and_nll, fit_temperature, reliability


def simulated(num_images: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax at `temperature` is the truth that the labels are drawn from."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (num_images, 10)).astype(np.float32)
    noise = rng.gumbel(size=logits.shape)
    return logits, (logits / temperature + noise).argmax(axis=1)  # Gumbel's trick: argmax is a draw from the softmax


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_calibrated_simulator_has_no_error_once_its_temperature_is_found(temperature: float) -> None:
    logits, labels = simulated(40_000, temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.03)
    confidence, _ = confidence_and_nll(logits, labels, found)
    assert calibration_error(confidence, logits.argmax(axis=1) == labels) < 0.01
    if temperature != 1.0:
        wrong, _ = confidence_and_nll(logits, labels, 1.0)
        assert calibration_error(wrong, logits.argmax(axis=1) == labels) > 0.05


def test_the_temperature_is_the_best_of_a_grid() -> None:
    logits, labels = simulated(500, 1.7)
    found = fit_temperature(logits, labels)
    nll = [confidence_and_nll(logits, labels, t)[1].mean() for t in [found, *np.geomspace(0.1, 10, 60)]]
    assert min(nll) == pytest.approx(nll[0], abs=1e-6)


def test_the_temperature_does_not_depend_on_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = simulated(300, 1.7)
    whole = fit_temperature(logits, labels)
    monkeypatch.setattr("ocr_sweep.metrics.confidence._CHUNK", 70)
    assert fit_temperature(logits, labels) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize(("right", "expected"), [(True, 1e-3), (False, 1e3)])
def test_where_all_is_right_or_wrong_the_temperature_is_at_its_end(right: bool, expected: float) -> None:
    logits = np.eye(4, dtype=np.float32) * 5
    labels = np.arange(4) if right else (np.arange(4) + 1) % 4
    assert fit_temperature(logits, labels) == expected
    confidence, nll = confidence_and_nll(logits, labels, expected)
    assert np.isfinite(confidence).all() and np.isfinite(nll).all()


def test_confidence_and_likelihood_are_those_of_the_softmax() -> None:
    logits, labels = simulated(50, 1.0)
    p = np.exp(logits.astype(np.float64) / 1.3)
    p /= p.sum(axis=1, keepdims=True)
    confidence, nll = confidence_and_nll(logits, labels, 1.3)
    np.testing.assert_allclose(confidence, p.max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(nll, -np.log(p[np.arange(50), labels]), rtol=1e-4, atol=1e-6)


def test_the_error_is_the_sum_over_fifteen_bins() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.05, 1, 400)
    correct = rng.uniform(size=400) < 0.6
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert calibration_error(confidence, correct) == pytest.approx(expected, abs=1e-12)
    table = reliability(np.array([0.2, 0.2, 1.0]), np.array([True, False, True]), num_bins=5)
    assert table.count.tolist() == [2, 0, 0, 0, 1] and table.accuracy.tolist() == [0.5, 0, 0, 0, 1.0]
    assert table.error == pytest.approx(2 / 3 * 0.3)


def test_no_image_is_an_error() -> None:
    with pytest.raises(DataError, match="N > 0"):
        calibration_error(np.zeros(0), np.zeros(0, bool))
