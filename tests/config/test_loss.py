"""What a loss may be: defaults that mean what they always meant, and contradictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ocr_sweep.config.loss import LossConfig
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import ConfigError

FILE = {"file": "similar/ids.txt", "sha256": "0" * 64}
MakeTrial = Callable[..., TrialConfig]

CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    (
        {"loss.adjustment": 1.0, "training.sampling": "class_balanced"},
        r"loss.adjustment and training.sampling both make up for class frequencies, and that must happen once, but got "
        r"loss.adjustment with sampling 'class_balanced'; sample by 'instance' or leave loss.adjustment out",
    ),
    (
        {"loss.class_weights_beta": 0.99, "training.sampling": "square_root"},
        r"got loss.class_weights_beta with sampling 'square_root'",
    ),
    ({"loss.adjustment": 0.5, "loss.class_weights_beta": 0.9}, r"adjustment and class_weights_beta .* but got 0.5 and 0.9"),
    ({"loss.similarity": {"mass": 0.3}, "loss.label_smoothing": 0.8}, r"must sum to at most 1, but got 0.8 \+ 0.3"),
    ({"loss.similarity": {"mass": 0.3}, "loss.label_smoothing_tail": 0.75}, r"must sum to at most 1, but got 0.75 \+ 0.3"),
    ({"loss.similarity": {"source": "file"}}, r"file must be given exactly when source is 'file', .* 'file' with no file"),
    ({"loss.similarity": {"file": FILE}}, r"but got source 'rendered' with file similar/ids.txt"),
    ({"loss.similarity": {"neighbours": 3}}, r"perplexity must be at most the number of neighbours, but got 4 with 3"),
    (
        {"loss.similarity": {}, "training.leave_out": ["rendered"]},
        r"loss.similarity.source 'rendered' needs the rendered glyphs of the corpus, but this trial leaves them out",
    ),
]


@pytest.mark.parametrize(("changes", "message"), CONTRADICTIONS)
def test_a_contradiction_is_refused_with_its_cure(changes: dict[str, Any], message: str, make_trial: MakeTrial) -> None:
    with pytest.raises(ValidationError, match=message):
        make_trial(changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss.similarity": {"source": "file", "file": FILE}, "training.leave_out": ["rendered"]},
        {"loss.adjustment": 1.0, "loss.similarity": {"arm": "anti"}},
        {"loss.similarity": {"perplexity": None, "neighbours": 1}},
        {"loss.adjustment": 0.0, "training.sampling": "class_balanced"},
        {"loss.similarity": {}, "training.sampling": "square_root"},
    ],
)
def test_what_does_not_contradict_itself_is_legal(changes: dict[str, Any], make_trial: MakeTrial) -> None:
    make_trial(changes)


def test_what_is_left_out_changes_nothing() -> None:
    loss = LossConfig.model_validate({"kind": "bce", "label_smoothing": 0.1})
    assert (loss.adjustment, loss.prior_synthetic, loss.knows_frequencies) == (0.0, 1.0, None)
    assert (loss.class_weights_beta, loss.label_smoothing_tail, loss.similarity) == (None, None, None)


def test_arms_of_similarity_can_be_searched_over(
    sweeps: Path, edit: Callable[..., None], load: Callable[[], StudyConfig]
) -> None:
    (sweeps / "bases" / "anti.yaml").write_text("arm: anti\nmass: 0.05\n", encoding="utf-8")
    kind = "loss.kind: {type: categorical, choices: [cross_entropy, bce]}"
    edit(
        kind,
        "loss.similarity: {type: categorical, choices: [null, bases/anti.yaml]}\n"
        "  loss.similarity.mass: {type: float, low: 0.01, high: 0.2, when: {loss.similarity: anti}}\n"
        "  loss.adjustment: {type: float, low: 0.0, high: 1.5}",
    )
    study = load()
    assert study.base_params()["loss.similarity"] == "null"
    trial = study.trial_config({**study.base_params(), "loss.similarity": "anti", "loss.similarity.mass": 0.1})
    assert trial.loss.similarity is not None and (trial.loss.similarity.arm, trial.loss.similarity.mass) == ("anti", 0.1)
    edit("high: 0.2,", "high: 0.6,")
    with pytest.raises(ConfigError, match=r"the value 0.6 is not legal: loss.similarity.mass: must be <= 0.5, but got 0.6"):
        load()
