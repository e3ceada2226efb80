"""Every planted fault is refused: by the certificate where the file answers otherwise, by the reader where it is not whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx_edits import edit, unchanged
from torch import nn

from ocr_sweep.corpus.glyphs import MARGIN
from ocr_sweep.delivery import Recogniser
from ocr_sweep.delivery.model_file import ModelFile
from ocr_sweep.errors import EvidenceError, IntegrityError
from ocr_sweep.export.parity import TOLERANCE, Parity, certify, require_parity
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.metrics import choose_acceptance
from ocr_sweep.training.predict import square_logits

Export = Callable[..., Path]
Images = NDArray[np.uint8]
CHARS = "一二三十口日田木"


@pytest.fixture
def network(networks: dict[str, nn.Module]) -> nn.Module:
    return networks["decoder"]


@pytest.fixture
def path(network: nn.Module, export: Export) -> Path:
    return export(network)


@pytest.fixture
def sealed(path: Path) -> Path:
    """A finished file, as a trial leaves it."""
    threshold = choose_acceptance(np.linspace(0.2, 1, 50), np.ones(50, bool)).as_dict()
    edit(path, unchanged, metadata=lambda facts: facts.update(temperature=1.0, threshold=threshold, card="# tiny"))
    return path


def certificate(path: Path, network: nn.Module, images: Images) -> Parity:
    scorer = Scorer(path, threads=1)
    answered = [(some, scorer.logits(some)) for some in (images[:30], images[30:])]
    return certify(scorer, partial(square_logits, network), answered, images[::6], CHARS)


def test_a_sound_file_gets_its_certificate(path: Path, network: nn.Module, images: Images) -> None:
    parity = certificate(path, network, images)
    assert parity.holds and parity.num_images == len(images) and parity.flips == 0
    asked = {(check.images, check.batch_size, check.optimised) for check in parity.checks}
    assert asked == {("validation", 48, True)} | {
        (name, size, level) for name in ("validation", "blank", "noise") for size in (1, 2, 7) for level in (True, False)
    }
    assert max(check.difference for check in parity.checks) == parity.max_difference < 1e-5
    assert parity.preparation is not None and parity.preparation.pictures == parity.preparation.agreeing == 8
    assert parity.preparation.max_levels <= 2 and parity.preparation.read_alike == 8
    require_parity(parity)


def tensor_of(file: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(tensor for tensor in file.graph.initializer if tensor.name == name)


def first_conv(file: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in file.graph.node if node.op_type == "Conv")


def head(file: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in file.graph.node if node.op_type == "Gemm")


def batch_norm_folded_wrongly(file: onnx.ModelProto) -> None:
    weight = tensor_of(file, first_conv(file).input[1])
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.02), weight.name))


def padded_on_one_side(file: onnx.ModelProto) -> None:
    pads = next(attribute for attribute in first_conv(file).attribute if attribute.name == "pads")
    pads.ints[:] = [0, 0, 2, 2]


def depends_on_the_batch(file: onnx.ModelProto) -> None:
    """The mean over the batch is taken away, as a batch norm left in training mode does."""
    last = next(node for node in file.graph.node if "logits" in node.output)
    last.output[0] = "before"
    file.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), "of_the_batch"))
    mean = helper.make_node("ReduceMean", ["before", "of_the_batch"], ["mean"])
    file.graph.node.extend([mean, helper.make_node("Sub", ["before", "mean"], ["logits"])])


def classes_in_another_order(file: onnx.ModelProto) -> None:
    for name in head(file).input[1:]:
        tensor = tensor_of(file, name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[::-1].copy(), name))


def not_a_number(file: onnx.ModelProto) -> None:
    bias = tensor_of(file, head(file).input[2])
    bias.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(bias), np.nan), bias.name))


def prepares_with_another_margin(file: onnx.ModelProto) -> None:
    """What a reader on the customer's side gets wrong most often: the border around the ink."""
    changed = 0
    for tensor in file.graph.initializer:
        if tensor.name.startswith("prepare/") and np.array_equal(numpy_helper.to_array(tensor), 1 - 2 * MARGIN):
            tensor.CopyFrom(numpy_helper.from_array(np.array(1.0), tensor.name))
            changed += 1
    assert changed == 1


@pytest.mark.parametrize(
    "fault",
    [
        batch_norm_folded_wrongly,
        padded_on_one_side,
        depends_on_the_batch,
        classes_in_another_order,
        not_a_number,
        prepares_with_another_margin,
    ],
)
def test_a_file_that_answers_otherwise_gets_none(
    fault: Callable[[onnx.ModelProto], None], path: Path, network: nn.Module, images: Images
) -> None:
    edit(path, fault)
    parity = certificate(path, network, images)
    assert not parity.holds
    words = "prepares 8 of 8 pictures otherwise" if fault is prepares_with_another_margin else "differs by"
    with pytest.raises(EvidenceError, match=rf"must agree with PyTorch within {TOLERANCE:g} of the largest logit, but .*{words}"):
        require_parity(parity)


def test_images_that_are_read_otherwise_are_named(path: Path, network: nn.Module, images: Images) -> None:
    edit(path, classes_in_another_order)
    parity = certificate(path, network, images)
    assert parity.flips > 20 and len(parity.flipped) == 20
    first = parity.flipped[0]
    assert first.char != first.came and {first.char, first.came} <= set(CHARS) and first.image < len(images)
    with pytest.raises(EvidenceError, match=f"{first.char} as {first.came}"):
        require_parity(parity)


def in_another_file(file: onnx.ModelProto) -> None:
    tensor = max(file.graph.initializer, key=lambda t: len(t.raw_data))
    onnx.external_data_helper.set_external_data(tensor, location="weights.bin")
    tensor.ClearField("raw_data")


def in_a_branch_in_another_file(file: onnx.ModelProto) -> None:
    branch = next(node for node in file.graph.node if node.op_type == "If").attribute[0].g
    branch.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "far"))
    in_branch = branch.initializer[0]
    onnx.external_data_helper.set_external_data(in_branch, location="/etc/passwd")


def operator_of_a_domain(file: onnx.ModelProto) -> None:
    file.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def operator_that_is_not_allowed(file: onnx.ModelProto) -> None:
    file.graph.node.append(helper.make_node("RandomUniform", [], ["chance"], shape=[1]))


def hidden_operator(file: onnx.ModelProto) -> None:
    branch = next(node for node in file.graph.node if node.op_type == "If").attribute[0].g
    branch.node.append(helper.make_node("Evil", [], ["evil"], domain="evil.example"))


def function_of_its_own(file: onnx.ModelProto) -> None:
    file.functions.append(helper.make_function("own", "f", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], []))


def third_output(file: onnx.ModelProto) -> None:
    file.graph.output.append(helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ("batch", 4)))


def one_output_less(file: onnx.ModelProto) -> None:
    del file.graph.output[1]


def no_flag(file: onnx.ModelProto) -> None:
    del file.graph.input[1]


def old_operators(file: onnx.ModelProto) -> None:
    file.opset_import[0].version = 9


REFUSED = {
    in_another_file: "must hold all its tensors, but some lie in another file",
    in_a_branch_in_another_file: "must hold all its tensors, but some lie in another file",
    operator_of_a_domain: "must use ONNX's own operators alone, but asks for com.microsoft",
    operator_that_is_not_allowed: "must use allowed operators alone, but uses RandomUniform",
    hidden_operator: "must use allowed operators alone, but uses evil.example.Evil",
    function_of_its_own: "but asks for functions of its own",
    third_output: "must have the outputs logits, ink, but has logits, ink, features",
    one_output_less: "must have the outputs logits, ink, but has logits",
    no_flag: "must have the inputs images, prepared, but has images",
    old_operators: "must use version 16 to 21 of ONNX's operators, but uses version 9",
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_file_that_reaches_outside_is_not_opened(fault: Callable[[onnx.ModelProto], None], sealed: Path) -> None:
    edit(sealed, fault)
    for opening in (Recogniser.open, lambda path: Scorer(path, threads=1)):
        with pytest.raises(IntegrityError, match=REFUSED[fault]):
            opening(sealed)


def swapped(facts: dict[str, Any]) -> None:
    facts["charset"][:2] = facts["charset"][1::-1]


def swapped_with_its_hash(facts: dict[str, Any]) -> None:
    swapped(facts)
    facts["charset_sha256"] = hashlib.sha256("\n".join(facts["charset"]).encode()).hexdigest()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swapped, "the charset of .* must have the recorded hash, but has another"),
        (swapped_with_its_hash, "the label map of .* must name the charset's characters in their order"),
        (lambda facts: facts.update(charset={"a": 1}), "must hold a list of characters"),
        (lambda facts: facts.update(preprocessing={"image_size": "16"}), "must say the sides of the squares"),
        (lambda facts: facts.update(temperature=0), "the temperature of .* must be a number of at least 1e-06, but is 0"),
        (lambda facts: facts.update(threshold={"value": "low"}), "the threshold of .* must be a number of at least 0"),
        (lambda facts: facts.pop("threshold"), "must hold threshold in its metadata: it is not finished"),
        (lambda facts: facts["preprocessing"].update(image_size=32), "must give the outputs"),
        (lambda facts: facts.update(format=1), "must be of format 2, but is of a former one"),
    ],
)
def test_metadata_that_contradict_are_refused(change: Callable[[dict[str, Any]], object], words: str, sealed: Path) -> None:
    edit(sealed, unchanged, metadata=change)
    with pytest.raises(IntegrityError, match=words):
        Recogniser.open(sealed)


def test_a_swapped_file_is_refused_by_its_recorded_hash(sealed: Path) -> None:
    recorded = Recogniser.open(sealed).sha256
    Recogniser.open(sealed, sha256=recorded)
    edit(sealed, batch_norm_folded_wrongly)
    Recogniser.open(sealed)  # it is whole
    with pytest.raises(IntegrityError, match=f"must have sha256 {recorded}, as its record says, but has .*changed or swapped"):
        Recogniser.open(sealed, sha256=recorded)


def test_every_flipped_bit_and_every_missing_end_is_seen(sealed: Path) -> None:
    content = sealed.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 60).tolist():
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        sealed.write_bytes(changed)
        with pytest.raises(IntegrityError):
            ModelFile.read(sealed)
    for length in [0, 1, *rng.integers(2, len(content), 40).tolist()]:
        sealed.write_bytes(content[:length])
        with pytest.raises(IntegrityError):
            ModelFile.read(sealed)


def test_a_file_of_a_former_version_can_be_scored_and_not_opened(
    network: nn.Module, images: Images, sealed: Path, tmp_path: Path
) -> None:
    from ocr_sweep.export.onnx_file import undelivered

    former = undelivered(onnx.load(sealed))
    former.graph.input[0].name = "images"
    former.graph.node[0].input[0] = "images"
    helper.set_model_props(former, {"ocr_sweep.charset": '["一"]', "ocr_sweep.preprocessing": "{}"})
    path = tmp_path / "former.onnx"
    onnx.save(former, path)
    scorer = Scorer(path, threads=1)
    assert (scorer.image_size, scorer.num_classes, scorer.pictures) == (16, 8, None)
    assert scorer.picture_latency_ms(images[0]) is None
    expected = Scorer(sealed, threads=1).logits(images)
    np.testing.assert_array_equal(scorer.logits(images), expected)
    parity = certificate(path, network, images)
    assert parity.holds and parity.preparation is None, "it can still be promoted"
    with pytest.raises(IntegrityError, match="exported by an earlier version of ocr_sweep and does not prepare pictures itself"):
        Recogniser.open(path)
