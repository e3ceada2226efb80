"""Acceptance: the right label at the right probability, by a recogniser that was taught by other faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ocr_sweep.corpus.gan.acceptance import accepted_share, judge, measure
from ocr_sweep.corpus.gan.recogniser import Recogniser
from ocr_sweep.corpus.glyphs import draw_glyph

CHARS = "一口國書永龍"
SIZE = 32


def test_the_rule() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.4, 0.3, 0.3]], np.float32)
    verdicts = judge(probabilities, "天地玄", "天地天", 0.5)
    assert [verdict.accepted for verdict in verdicts] == [True, False, False]  # right; another label; too unsure
    assert [verdict.read_as for verdict in verdicts] == ["天", "天", "天"]
    assert accepted_share(verdicts) == pytest.approx(1 / 3)


def test_the_measure_names_the_refused_and_the_ceiling() -> None:
    sure = np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)
    drawn, true = judge(sure[::-1], "天地", "天地", 0.5), judge(sure, "天地", "天地", 0.5)
    images = np.zeros((2, 4, 4), np.uint8)
    found = measure(drawn, true, drawings=images, glyphs=images + np.uint8(255), source=images + np.uint8(51))
    assert (found["accepted"], found["ceiling"], found["refused"], found["characters"]) == (0.0, 1.0, "天地", 2)
    assert found["distance_of_drawings"] == 1.0 and found["distance_of_source"] == pytest.approx(0.8)


def test_a_picture_of_another_character_is_refused(ipaex: Path, subset: Callable[..., Path], tmp_path: Path) -> None:
    """The recogniser knows IPAex; what it judges is another face, narrower by a seventh."""
    torch.set_num_threads(1)
    other = subset(tmp_path / "narrow.ttf", CHARS, shift=-15)
    taught = np.stack([draw_glyph(ipaex, 0, char, SIZE) for char in CHARS])
    recogniser = Recogniser(taught, np.arange(len(CHARS)), len(CHARS), steps=25, seed=0)
    for number in range(25):
        recogniser.step(number)
    shown = recogniser.probabilities(np.stack([draw_glyph(other, 0, char, SIZE) for char in CHARS]))
    assert shown.shape == (6, 6) and np.allclose(shown.sum(axis=1), 1, atol=1e-5)
    assert all(verdict.accepted for verdict in judge(shown, CHARS, CHARS, 0.5))
    turned = CHARS[1:] + CHARS[:1]
    assert not any(verdict.accepted for verdict in judge(shown, CHARS, turned, 0.0))
