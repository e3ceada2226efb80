"""Half precision and whole numbers: the same contract, nearly the same answers, smaller."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from ocr_sweep.delivery import Recogniser
from ocr_sweep.delivery.model_file import ModelFile
from ocr_sweep.export.onnx_file import undelivered
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.export.variants import KINDS, Kind, write_variant
from ocr_sweep.store import CorpusView


def tensors(path: Path) -> int:
    """Bytes of the network's own tensors."""
    graph = undelivered(onnx.load(path)).graph
    return sum(len(tensor.raw_data) for tensor in graph.initializer)


@pytest.fixture(scope="module")
def variants(trained_file: Path, tiny_corpus: CorpusView, tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    folder = tmp_path_factory.mktemp("variants")
    calibration = np.array(tiny_corpus.images[tiny_corpus.indices("train")])
    source = ModelFile.read(trained_file)
    for kind in KINDS:
        write_variant(source, folder / f"{kind}.onnx", kind, calibration)
    return {kind: folder / f"{kind}.onnx" for kind in KINDS}


@pytest.mark.parametrize(("kind", "share", "difference"), [("fp16", 0.52, 2e-3), ("int8", 0.35, 0.1)])
def test_a_variant_is_smaller_and_answers_nearly_the_same(
    kind: Kind, share: float, difference: float, variants: dict[Kind, Path], trained_file: Path, tiny_corpus: CorpusView
) -> None:
    assert tensors(variants[kind]) < share * tensors(trained_file)
    val = tiny_corpus.indices("val")
    expected = Scorer(trained_file, threads=1).corpus_logits(tiny_corpus, val)
    came = Scorer(variants[kind], threads=1).corpus_logits(tiny_corpus, val)
    assert 0 < np.abs(came - expected).max() < difference * np.abs(expected).max()
    assert (came.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95


def test_int8_computes_in_whole_numbers_with_onnxs_own_operators(variants: dict[Kind, Path]) -> None:
    file = onnx.load(variants["int8"])
    assert [opset.domain for opset in file.opset_import] == [""]
    graph = undelivered(file).graph
    kinds = [node.op_type for node in graph.node]
    assert "QuantizeLinear" in kinds and "DequantizeLinear" in kinds
    made = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert convolutions and all(made[name] == "DequantizeLinear" for node in convolutions for name in node.input[:2])


@pytest.mark.parametrize("kind", KINDS)
def test_a_variant_keeps_the_contract_and_names_its_source(
    kind: Kind, variants: dict[Kind, Path], trained_file: Path, picture: Callable[..., NDArray[np.uint8]]
) -> None:
    file, source = ModelFile.read(variants[kind]), ModelFile.read(trained_file)
    assert file.metadata["variant"] == {"kind": kind, "of_sha256": source.sha256}
    assert file.charset == source.charset and file.metadata["card"] == source.metadata["card"]
    pictures = [picture(k, 5) for k in range(8)]
    expected = [reading.top[0][0] for reading in Recogniser.open(trained_file).read(pictures)]
    assert [reading.top[0][0] for reading in Recogniser.open(variants[kind]).read(pictures)] == expected
