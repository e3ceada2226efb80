"""The second stage: the extractor stays to the bit, the head is what it should be, and no interruption shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from endings import plain
from listener import Listener
from scipy.stats import chisquare
from torch import Tensor
from torch.nn import functional

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.models import Network
from ocr_sweep.store import CorpusView, Source
from ocr_sweep.training import classifier_stage
from ocr_sweep.training.classifier_data import classifier_feed, classifier_indices
from ocr_sweep.training.classifier_heads import norm_count_correlation, normalise_rows
from ocr_sweep.training.feed import to_tensor
from ocr_sweep.training.memory import StepMemory
from ocr_sweep.training.train import Files, Finished, train
from ocr_sweep.training.trainer import predict_logits

MakeTrial = Callable[..., TrialConfig]
ENCODER = {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.1, "decoder": False, "reconstruction_weight": 0.0}
CRT = {"kind": "crt", "bn_mode": "eval", "epochs": 2, "lr": 0.5}
KINDS: dict[str, dict[str, Any]] = {
    "crt": CRT,
    "lws": {"kind": "lws", "bn_mode": "eval", "epochs": 2, "lr": 0.5},
    "tau_norm": {"kind": "tau_norm", "bn_mode": "eval", "tau": 1.0},
    "ncm": {"kind": "ncm", "bn_mode": "eval"},
}


@pytest.fixture
def run(tiny_corpus: CorpusView, tmp_path: Path) -> Callable[..., tuple[Finished | None, Listener]]:
    """Train in a folder until the end or for so many batches."""

    def run(config: TrialConfig, name: str = "trial", stop_after: int | None = None) -> tuple[Finished | None, Listener]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        listener = Listener(stop_after)
        return train(config, tiny_corpus, Files(folder / "checkpoint.pt", folder / "classifier.pt"), listener), listener

    return run


@pytest.fixture
def staged(make_trial: MakeTrial) -> Callable[..., TrialConfig]:
    """A trial of one epoch of three batches, and a classifier of this kind."""

    def staged(kind: str | None, **changes: Any) -> TrialConfig:
        classifier = None if kind is None else {**KINDS[kind], **changes}
        return make_trial({"model": ENCODER, "training.epochs": 1, "optim.handover_at": 1.0, "classifier": classifier})

    return staged


def bits(tensors: dict[str, Tensor], *, head: bool) -> dict[str, bytes]:
    found: dict[str, bytes] = plain({name: tensor for name, tensor in tensors.items() if name.startswith("head.") == head})
    return found


def network(finished: Finished | None) -> Network:
    assert finished is not None and isinstance(finished.trained.model, Network)
    assert not finished.trained.model.training
    return finished.trained.model.cpu()


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_extractor_stays_to_the_bit_and_the_head_does_not(kind: str, run: Any, staged: Any) -> None:
    joint = network(run(staged(None), "joint")[0]).state_dict()
    frozen = network(run(staged(kind), "frozen")[0]).state_dict()
    assert bits(frozen, head=False) == bits(joint, head=False)
    assert bits(frozen, head=True) != bits(joint, head=True)
    recalibrated = network(run(staged(kind, bn_mode="recalibrate"), "recalibrated")[0]).state_dict()
    changed = {name for name, value in bits(recalibrated, head=False).items() if value != bits(joint, head=False)[name]}
    assert changed and all(name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked") for name in changed)


@pytest.mark.parametrize(
    ("kind", "bn_mode"), [("crt", "recalibrate"), ("lws", "eval"), ("tau_norm", "recalibrate"), ("ncm", "eval")]
)
def test_a_stage_interrupted_at_every_batch_ends_with_the_same_bits(kind: str, bn_mode: str, run: Any, staged: Any) -> None:
    config = staged(kind, bn_mode=bn_mode)
    whole, heard = run(config, "whole")
    sittings = []
    finished = None
    while finished is None:  # class means that are stopped begin anew, and take two batches
        finished, again = run(config, "often", stop_after=2 if kind == "ncm" else 1)
        sittings.append(again.batches)
    assert len(sittings) >= 3 and sum(sittings) >= heard.batches
    if kind != "ncm":
        assert sum(sittings) == heard.batches, "no batch is done twice"
    assert bits(network(finished).state_dict(), head=True) == bits(network(whole).state_dict(), head=True)
    assert bits(network(finished).state_dict(), head=False) == bits(network(whole).state_dict(), head=False)
    assert plain(again.told) == plain(heard.told)
    assert {**finished.metrics, "cost/representation_seconds": 0} == {**whole.metrics, "cost/representation_seconds": 0}


def test_a_damaged_checkpoint_costs_time_and_nothing_else(run: Any, staged: Any, tmp_path: Path) -> None:
    whole = run(staged("crt"), "whole")[0]
    assert run(staged("crt"), "damaged", stop_after=6)[0] is None
    path = tmp_path / "damaged" / "classifier.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    finished, heard = run(staged("crt"), "damaged")
    assert heard.batches == 6, "the representation's own checkpoint is whole: two epochs of three batches are left"
    assert bits(network(finished).state_dict(), head=True) == bits(network(whole).state_dict(), head=True)


def test_a_new_head_learns_on_frozen_features(run: Any, make_trial: MakeTrial, tiny_corpus: CorpusView) -> None:
    """Good features under a head that knows nothing at first."""
    classifier = {**CRT, "epochs": 15, "lr": 1.0, "data": "all", "bn_mode": "recalibrate"}
    config = make_trial({"model": ENCODER, "training.epochs": 12, "optim.handover_at": 1.0, "classifier": classifier})
    finished, heard = run(config)
    losses = [metrics["epoch/train_loss"] for _, metrics in heard.told[12:]]
    assert losses[0] > losses[-1] and losses[-1] < 1.0
    test = tiny_corpus.indices("test")
    predicted = predict_logits(network(finished), tiny_corpus, test, 16).argmax(axis=1)
    assert (predicted == tiny_corpus.class_ids[test]).mean() > 0.8
    assert finished.trained.selected_epoch == 27 and 1 <= finished.metrics["selected/representation_epoch"] <= 12


def test_epochs_go_on_counting_and_say_their_stage(run: Any, staged: Any) -> None:
    finished, heard = run(staged("crt"))
    assert [(epoch, metrics["epoch/stage"]) for epoch, metrics in heard.told] == [(1, 1.0), (2, 2.0), (3, 2.0)]
    assert all("epoch/val/accuracy_macro" in metrics for _, metrics in heard.told)
    rates = [metrics["epoch/lr"] for _, metrics in heard.told[1:]]
    assert rates == pytest.approx([0.5 * (1 + np.cos(np.pi * step / 6)) / 2 for step in (2, 5)])
    assert finished.trained.seconds > finished.metrics["cost/representation_seconds"] > 0
    joint, heard = run(staged(None), "joint")
    assert joint.metrics == {} and "epoch/stage" not in heard.told[0][1]


def test_tau_one_gives_rows_of_length_one_and_no_bias(run: Any, staged: Any) -> None:
    finished, _ = run(staged("tau_norm"))
    head = network(finished).head
    np.testing.assert_allclose(head.weight.detach().norm(dim=1), 1.0, rtol=1e-6)  # type: ignore[operator, union-attr]
    assert (head.bias == 0).all()  # type: ignore[union-attr]
    assert -1 <= finished.metrics["classifier/norm_count_correlation"] <= 1


def test_tau_norm_is_its_formula() -> None:
    torch.manual_seed(0)
    linear, tau = torch.nn.Linear(5, 4), 0.7
    with torch.no_grad():
        linear.weight[2] = 0
    expected = np.array([row / max(np.linalg.norm(row), 1e-30) ** tau for row in linear.weight.detach().double().numpy()])
    normalise_rows(linear, tau)
    np.testing.assert_allclose(linear.weight.detach(), expected, rtol=1e-5)
    lengths = torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    linear = torch.nn.Linear(4, 4)
    linear.weight.data = lengths
    assert norm_count_correlation(linear, np.array([5, 6, 70, 800])) == pytest.approx(1.0)
    assert norm_count_correlation(linear, np.array([800, 70, 6, 5])) == pytest.approx(-1.0)
    assert norm_count_correlation(linear, np.full(4, 7)) == 0.0


def test_the_learnt_scale_changes_the_length_of_rows_alone(run: Any, staged: Any) -> None:
    joint = network(run(staged(None), "joint")[0]).head
    scaled = network(run(staged("lws"), "scaled")[0]).head
    assert type(scaled) is torch.nn.Linear
    factor = (scaled.weight / joint.weight).detach()  # type: ignore[operator]
    np.testing.assert_allclose(factor, factor[:, :1].expand_as(factor), rtol=1e-4)
    np.testing.assert_allclose((scaled.bias / joint.bias).detach(), factor[:, 0], rtol=1e-4)  # type: ignore[operator]
    assert (factor[:, 0] - 1).abs().max() > 1e-3


def test_the_nearest_mean_equals_its_three_lines(run: Any, staged: Any, tiny_corpus: CorpusView) -> None:
    config = staged("ncm")
    model = network(run(config)[0])
    chosen, val = classifier_indices(config, tiny_corpus), tiny_corpus.indices("val")
    with torch.no_grad():
        features, asked = (model.features(to_tensor(tiny_corpus.images[rows], 16)).double() for rows in (chosen, val))
    x, q = (functional.normalize(f - features.mean(dim=0), dim=1).numpy() for f in (features, asked))
    means = np.stack([x[tiny_corpus.class_ids[chosen] == k].mean(axis=0) for k in range(8)])
    distance = ((q[:, None] - means) ** 2).sum(axis=2)
    np.testing.assert_allclose(-predict_logits(model, tiny_corpus, val, 16), distance, atol=1e-4)


def test_the_reports_rule_takes_scans_or_else_the_rest(staged: Any, tiny_corpus: CorpusView) -> None:
    chosen = classifier_indices(staged("crt"), tiny_corpus)
    rows = tiny_corpus.rows[chosen]
    assert (rows["source"][rows["class_id"] < 6] == Source.SCANNED).all()
    assert (rows["source"][rows["class_id"] >= 6] == Source.RENDERED).all()
    assert np.bincount(rows["class_id"]).tolist() == [6] * 8
    assert classifier_indices(staged("crt", data="all"), tiny_corpus).tolist() == tiny_corpus.indices("train").tolist()


@pytest.mark.parametrize(("sampling", "exponent"), [("instance", 1.0), ("square_root", 0.5), ("class_balanced", 0.0)])
def test_the_stage_draws_classes_as_its_sampling_says(
    sampling: str, exponent: float, staged: Any, tiny_corpus: CorpusView
) -> None:
    config = staged("crt", sampling=sampling, data="all", images_per_epoch=8400)
    feed = classifier_feed(config, tiny_corpus, torch.device("cpu"))
    drawn = tiny_corpus.class_ids[feed._train[feed._draw(0)]]
    share = np.array([12] * 6 + [6] * 2) ** exponent
    observed = np.bincount(drawn, minlength=8)
    assert observed.sum() == 8400
    assert chisquare(observed, 8400 * share / share.sum()).pvalue > 1e-3


def test_a_loss_that_is_not_finite_ends_the_trial(run: Any, staged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocr_sweep.training.memory.step_memory", lambda config, num_classes: StepMemory(0, 0, 0))
    monkeypatch.setattr(classifier_stage.functional, "cross_entropy", lambda *_, **__: torch.tensor(float("nan")))
    config = TrialConfig.model_validate({**staged("crt").model_dump(), "loss": {"kind": "bce", "label_smoothing": 0.0}})
    with pytest.raises(TrialFailedError, match=r"nan-loss: .* is nan at step 0 of the classifier stage"):
        run(config)
