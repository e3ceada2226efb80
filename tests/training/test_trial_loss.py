"""The loss of a trial on its corpus: priors, weights and neighbours from its own training images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import DataError
from ocr_sweep.losses import neighbour_weights, rendered_neighbours
from ocr_sweep.models.checkpoint import load_checkpoint
from ocr_sweep.store import CorpusView
from ocr_sweep.training.classification import Classification

MakeTrial = Callable[..., TrialConfig]
LossOf = Callable[..., Classification]

B, K = 16, 8  # the last two classes of the tiny corpus have 6 rendered and no scanned images, the others 6 of each


@pytest.fixture
def loss_of(tiny_corpus: CorpusView, make_trial: MakeTrial) -> LossOf:
    """The loss of the tiny trial with values put in."""

    def loss_of(changes: dict[str, Any]) -> Classification:
        trial = make_trial({"loss.label_smoothing": 0.0, **changes})
        device = torch.device("cpu")
        return Classification(trial.loss, tiny_corpus, device, leave_out=trial.training.leave_out, seed=trial.seed)

    return loss_of


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(B, K, generator=torch.Generator().manual_seed(0))


LABELS = torch.arange(B) % K


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, [12] * 6 + [6] * 2),
        ({"loss.prior_synthetic": 0.1}, [6.6] * 6 + [0.6] * 2),
        ({"training.leave_out": ["scanned"]}, [6] * 8),
    ],
)
def test_the_prior_counts_what_trains(changes: dict[str, Any], counts: list[float], loss_of: LossOf, logits: Tensor) -> None:
    prior = torch.tensor(counts) / sum(counts)
    came = loss_of({"loss.adjustment": 1.0, **changes})(logits, LABELS)
    torch.testing.assert_close(came, functional.cross_entropy(logits + prior.log(), LABELS))


def test_weights_and_smoothing_follow_the_counts(loss_of: LossOf, logits: Tensor) -> None:
    effective = (1 - 0.9 ** torch.tensor([12.0] * 6 + [6.0] * 2)) / 0.1
    weights = (1 / effective) * K / (1 / effective).sum()
    came = loss_of({"loss.class_weights_beta": 0.9})(logits, LABELS)
    each = functional.cross_entropy(logits, LABELS, reduction="none")
    torch.testing.assert_close(came, (weights[LABELS] * each).mean())
    head, tail = (functional.cross_entropy(logits, LABELS, label_smoothing=e, reduction="none") for e in (0.3, 0.1))
    came = loss_of({"loss.label_smoothing": 0.3, "loss.label_smoothing_tail": 0.1})(logits, LABELS)
    torch.testing.assert_close(came, torch.where(LABELS < 6, head, tail).mean())


@pytest.mark.parametrize(("arm", "sign"), [("similar", 1), ("anti", -1)])
def test_rendered_neighbours_get_the_mass_or_lose_it(
    arm: str, sign: int, loss_of: LossOf, logits: Tensor, tiny_corpus: CorpusView
) -> None:
    near = rendered_neighbours(tiny_corpus, 3)
    weights = torch.from_numpy(neighbour_weights(near, 2.0)).float()
    target = torch.eye(K) * (1 - sign * 0.2)
    target.scatter_add_(1, torch.from_numpy(near.indices), sign * 0.2 * weights)
    similarity = {"mass": 0.2, "neighbours": 3, "perplexity": 2.0, "arm": arm}
    came = loss_of({"loss.similarity": similarity})(logits, LABELS)
    torch.testing.assert_close(came, -(target[LABELS] * logits.log_softmax(dim=1)).sum(dim=1).mean())


def test_the_placebo_is_drawn_from_the_seed(loss_of: LossOf, logits: Tensor) -> None:
    similarity = {"mass": 0.2, "neighbours": 3, "perplexity": 2.0, "arm": "random"}
    one, again, other = (float(loss_of({"loss.similarity": similarity, "seed": seed})(logits, LABELS)) for seed in (1, 1, 2))
    similar = float(loss_of({"loss.similarity": {**similarity, "arm": "similar"}})(logits, LABELS))
    assert one == again and len({one, other, similar}) == 3


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sweeps").mkdir()
    monkeypatch.setenv("OCR_SWEEP_HOME", str(tmp_path))
    monkeypatch.setenv("OCR_SWEEP_DATA", str(tmp_path))
    return tmp_path


def test_a_users_file_is_read_from_the_data_root(data_root: Path, loss_of: LossOf, logits: Tensor) -> None:
    content = "一\t二\t3\n一\t三\t1\n日\t口\t1\n".encode()
    (data_root / "pairs.tsv").write_bytes(content)
    file = {"file": "pairs.tsv", "sha256": hashlib.sha256(content).hexdigest()}
    similarity = {"mass": 0.2, "perplexity": None, "source": "file", "file": file}
    target = torch.eye(K)
    target[0, :3] = torch.tensor([0.8, 0.15, 0.05])
    target[5, [5, 4]] = torch.tensor([0.8, 0.2])
    came = loss_of({"loss.similarity": similarity})(logits, LABELS)
    torch.testing.assert_close(came, -(target[LABELS] * logits.log_softmax(dim=1)).sum(dim=1).mean())
    (data_root / "pairs.tsv").write_bytes("一\t龍\t1\n".encode())
    with pytest.raises(DataError, match="must have sha256"):
        loss_of({"loss.similarity": similarity})
    file["sha256"] = hashlib.sha256((data_root / "pairs.tsv").read_bytes()).hexdigest()
    with pytest.raises(DataError, match=r"these are not in it: 龍 U\+9F8D"):
        loss_of({"loss.similarity": similarity})


@pytest.mark.parametrize(
    ("changes", "bias"), [({}, 0.0), ({"loss.kind": "bce"}, -np.log(7)), ({"loss.kind": "bce", "loss.adjustment": 1.0}, 0.0)]
)
def test_the_head_begins_where_its_loss_wants_it(changes: dict[str, Any], bias: float, loss_of: LossOf) -> None:
    assert loss_of(changes).head_bias == pytest.approx(bias)


@pytest.mark.parametrize("kind", ["cross_entropy", "bce"])
def test_a_training_with_everything_ends_with_the_same_bits_after_a_stop(
    kind: str, sit: Callable[..., Any], make_trial: MakeTrial
) -> None:
    changes = {
        "loss.kind": kind,
        "loss.adjustment": 1.0,
        "loss.prior_synthetic": 0.3,
        "loss.label_smoothing_tail": 0.05,
        "loss.similarity": {"mass": 0.1, "neighbours": 3, "perplexity": 2.0},
        "training.epochs": 2,
        "model": {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.1, "decoder": False, "reconstruction_weight": 0.0},
    }
    whole = sit(make_trial(changes), "whole")
    assert sit(make_trial(changes), "stopped", stop_after=2).trained is None
    resumed = sit(make_trial(changes), "stopped")
    one, other = (load_checkpoint(session.trainer.checkpoint) for session in (whole, resumed))
    assert one is not None and other is not None
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in one["model"])
    losses = [metrics["epoch/train_loss"] for _, metrics in whole.listener.told]
    assert losses[1] < losses[0]
