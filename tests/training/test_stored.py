from __future__ import annotations

import numpy as np
import pytest
import torch

from ocr_sweep.store import CorpusView
from ocr_sweep.training.stored import StoredImages, fits

CPU = torch.device("cpu")


@pytest.mark.parametrize("resident", [False, True])
def test_images_are_those_of_the_corpus_wherever_they_are_kept(resident: bool, tiny_corpus: CorpusView) -> None:
    train = tiny_corpus.indices("train")[5:60:3]  # as if others were left out
    stored = StoredImages(tiny_corpus, train, CPU, resident=resident)
    chosen = np.random.default_rng(0).choice(train, 20)
    came = stored.take(chosen)
    assert came.dtype == torch.uint8 and np.array_equal(came.numpy(), tiny_corpus.images[chosen])
    came.zero_()
    assert np.array_equal(stored.take(chosen).numpy(), tiny_corpus.images[chosen])  # a batch is its own memory


def test_only_the_training_images_are_kept(tiny_corpus: CorpusView) -> None:
    train = tiny_corpus.indices("train")[:7]
    resident = StoredImages(tiny_corpus, train, CPU, resident=True)._resident
    assert resident is not None and resident.shape == (7, 16, 16)
    assert StoredImages(tiny_corpus, train, CPU)._resident is None  # a CPU has them in memory as they are


def test_a_gpu_keeps_most_of_its_memory_for_the_network() -> None:
    million = 1_000_000 * 64 * 64
    assert fits(million, 24 * 2**30) and not fits(million, 8 * 2**30)
