from __future__ import annotations

import numpy as np
import pytest

from ocr_sweep.store import CorpusView
from ocr_sweep.training.score import score


def test_every_number_of_a_split(tiny_corpus: CorpusView) -> None:
    """Validation: 32 scanned and 16 simulated images; classes 0 to 5 are `few`, 6 and 7 `unseen`."""
    indices = tiny_corpus.indices("val")
    labels = tiny_corpus.class_ids[indices]
    predicted = labels.copy()
    book = np.flatnonzero(tiny_corpus.rows["set_id"][indices] == 1)
    wrong = book[labels[book] == 7][:3]  # 3 of the 6 images of class 7
    predicted[wrong] = 0
    assert score(tiny_corpus, "val", predicted) == pytest.approx(
        {
            "val/accuracy": 45 / 48,
            "val/accuracy_macro": (7 + 3 / 6) / 8,
            "val/accuracy_few": 1.0,
            "val/accuracy_unseen": 9 / 12,
            "val/book/accuracy": 29 / 32,
            "val/simulated/accuracy": 1.0,
        }
    )


def test_the_test_set_has_numbers_of_its_own(tiny_corpus: CorpusView) -> None:
    labels = tiny_corpus.class_ids[tiny_corpus.indices("test")]
    assert set(score(tiny_corpus, "test", labels)) == {
        "test/accuracy", "test/accuracy_macro", "test/accuracy_few", "test/accuracy_unseen", "test/book/accuracy"
    }  # fmt: skip
