"""Every mistake of a study file: its file and line, what must hold, what came, and all of them at once."""

# ruff: noqa: E501 - one mistake a line

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ocr_sweep.config.load import find_study, load_corpus, load_study
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.errors import ConfigError, NotFoundError

Edit = Callable[..., None]
Load = Callable[[], StudyConfig]

BASE, CORPUS, UNET = "bases/unet.yaml", "corpora/tiny.yaml", "bases/models/unet.yaml"
STRENGTH = "augment.rendered.strength: {type: float, low: 0.0, high: 1.0}"
SAMPLER, PRUNER = "sampler: {kind: tpe, seed: 17}", "pruner: {kind: none}"
LR = "{type: float, low: 1e-4, high: 1e-1, log: true}"
KIND = "loss.kind: {type: categorical, choices: [cross_entropy, bce]}"

MISTAKES = [  # file, what stands there, what is written instead, the problem
    # keys
    ("tiny_aug.yaml", "direction:", "dirction:", r"tiny_aug.yaml:5: dirction: unknown key 'dirction'; did you mean 'direction'\?"),
    ("tiny_aug.yaml", "direction:", "dirction:", r"tiny_aug.yaml:1: the key 'direction' is missing; add it"),
    ("tiny_aug.yaml", "trials: 4", "x: 4", r"tiny_aug.yaml:6: x: unknown key 'x'; known keys: against, arms, base, confirm, direction, gpu_share, max_failures"),
    (BASE, "sgd_momentum", "sgd_momentun", r"bases/unet.yaml:20: base.optim.sgd_momentun: .* did you mean 'sgd_momentum'\?"),
    (UNET, "depth: 2", "dept: 2", r"bases/models/unet.yaml:3: base.model.dept: unknown key 'dept'; did you mean 'depth'\?"),
    (UNET, "depth: 2", "name: 2", r"bases/models/unet.yaml:3: base.model.name: unknown key 'name'; known keys: base_channels, "),
    ("tiny_aug.yaml", "seed: 17}", "sed: 17}", r"tiny_aug.yaml:8: sampler.sed: unknown key 'sed'; did you mean 'seed'\?"),
    ("tiny_aug.yaml", "low: 8,", "lwo: 8,", r"tiny_aug.yaml:13: search.training.batch_size.lwo: unknown key 'lwo'; did you mean 'low'\?"),
    ("tiny_aug.yaml", LR, LR.replace("log", "steps"), r"unknown key 'steps'; did you mean 'step'"),
    ("tiny_aug.yaml", "trials: 4", "trials: 4\ntrials: 5", r"tiny_aug.yaml:7: the key 'trials' stands here twice; keep one"),
    # values
    ("tiny_aug.yaml", "trials: 4", "trials: four", r"tiny_aug.yaml:6: trials: must be a whole number, but got the text 'four'"),
    ("tiny_aug.yaml", "trials: 4", "trials: 4.0", r"tiny_aug.yaml:6: trials: must be a whole number, but got 4.0"),
    ("tiny_aug.yaml", "trials: 4", "trials: true", r"tiny_aug.yaml:6: trials: must be a whole number, but got true"),
    ("tiny_aug.yaml", "trials: 4", "trials:", r"tiny_aug.yaml:6: trials: must be a whole number, but got nothing \(null\)"),
    ("tiny_aug.yaml", "trials: 4", "trials: 0", r"tiny_aug.yaml:6: trials: must be >= 1, but got 0"),
    ("tiny_aug.yaml", "trials: 4", "trials: 1000000000000", r"tiny_aug.yaml:6: trials: must be <= 100000, but got 1000000000000"),
    ("tiny_aug.yaml", "trials: 4", "trials: 1e12", r"tiny_aug.yaml:6: trials: must be a whole number, but got 1000000000000.0"),
    ("tiny_aug.yaml", "{top: 1, seeds: 2}", "3", r"tiny_aug.yaml:7: confirm: must be a block of keys and values, .* but got 3"),
    ("tiny_aug.yaml", "seeds: 2}", "seeds: 2, min_seeds: 3}", r"tiny_aug.yaml:7: confirm: `min_seeds <= seeds` must hold, but got \(min_seeds=3, seeds=2\)"),
    ("tiny_aug.yaml", "seeds: 2}", "seeds: 1}", ""),  # as many as there are
    ("tiny_aug.yaml", "kind: tpe", "kind: tp", r"tiny_aug.yaml:8: sampler.kind: must be one of 'tpe', 'gp', 'qmc', 'random', 'grid' or 'nsga2', but got the text 'tp'"),
    ("tiny_aug.yaml", "question: Does it help?", "question: ''", r"question: must hold at least 1 value, but got the text ''"),
    ("tiny_aug.yaml", "question: Does it help?", "question: no", ""),  # a word
    (BASE, "lr: 3e-3", "lr: 1e999", r"base.optim.lr: must be a finite number, but got inf"),
    (BASE, "lr: 3e-3", "lr: .nan", r"base.optim.lr: must be a number, but got the text '.nan'"),
    (BASE, "lr: 3e-3", f"lr: {'9' * 300}", r"base.optim.lr: must be <= 1, but got 9999"),
    (BASE, "lr: 3e-3", f"lr: {'9' * 9999}", r"base.optim.lr: must be a number, but got the text '9999"),
    (BASE, "images_per_epoch: null", "images_per_epoch: [1]", r"images_per_epoch: must be a whole number, but got a list of 1"),
    (UNET, "decoder: true", "decoder: True", r"base.model.decoder: must be true or false, but got the text 'True'"),
    (UNET, "decoder: true", "decoder: yes", r"base.model.decoder: must be true or false, but got the text 'yes'"),
    (UNET, "kind: unet", "kind: unett", r"bases/unet.yaml:4: base.model: kind must be one of unet, dense_unet, capsule, timm, but got 'unett'; did you mean 'unet'"),
    (UNET, "dropout: 0.1", "dropout: 0.1\nhead: {kind: cosine, scale: 30.0}", r"search.loss.kind: the value 'bce' is not legal: loss.kind 'bce' needs a head with a bias, but got model.head.kind 'cosine', which has none; write 'linear'"),
    (UNET, "kind: unet", "kinf: unet", r"bases/unet.yaml:4: base.model: the key 'kind' is missing; add it"),
    # names
    *[
        ("tiny_aug.yaml", "name: tiny_aug", f"name: {name}", r"tiny_aug.yaml:1: name: a name must be 1 to 64 letters, digits, '.', '_' or '-'")
        for name in ("../x", "a/b", "😀", '"a\\0"', '"a\\n"', "草書", ".hidden", "-x", "a" * 65, "'a b'", "''", '"$(id)"', "..")
    ],
    # the metric
    ("tiny_aug.yaml", "val/accuracy_macro", "test/accuracy", r"tiny_aug.yaml:4: metric: must be one of val/accuracy_macro, val/accuracy, val/book/accuracy, val/simulated/accuracy \(test sets are never chosen by\), but got 'test/accuracy'"),
    ("tiny_aug.yaml", "val/accuracy_macro", "val/bok/accuracy", r"tiny_aug.yaml:4: metric: must be one of"),
    ("tiny_aug.yaml", "maximize", "minimize", r"tiny_aug.yaml:5: direction: must be maximize, .* but got minimize"),
    # ranges
    ("tiny_aug.yaml", "low: 0.0, high: 1.0", "low: 0.5, high: 0.1", r"tiny_aug.yaml:11: .*`low <= high` must hold, but got \(low=0.5, high=0.1\); swap them"),
    ("tiny_aug.yaml", "low: 8, high: 64", f"low: {'9' * 300}, high: 64", r"tiny_aug.yaml:13: .*`low <= high` must hold, but got \(low=1e\+300, high=64\)"),
    ("tiny_aug.yaml", "low: 1e-4", "low: 0", r"tiny_aug.yaml:12: .*`low > 0` must hold when log is true, but got \(low=0\); raise low or leave log out"),
    ("tiny_aug.yaml", "low: 8, high", "low: 8.5, high", r"tiny_aug.yaml:13: .*low: must be a whole number, but got 8.5"),
    ("tiny_aug.yaml", "type: int", "type: integer", r"tiny_aug.yaml:13: .*type must be one of float, int, categorical, but got 'integer'; did you mean 'int'"),
    ("tiny_aug.yaml", "high: 64}", "high: 9000}", r"tiny_aug.yaml:13: search.training.batch_size: the value 9000 is not legal: training.batch_size: must be <= 8192, but got 9000"),
    ("tiny_aug.yaml", "low: 8,", "low: 33,", r"tiny_aug.yaml:13: .*: the base's value 32 must lie in \[33, 64\], because trial 0 is the base; widen the range or change the base"),
    ("tiny_aug.yaml", "training.batch_size: {type: int, low: 8, high: 64}", "training.epochs: {type: float, low: 1.0, high: 8.0}", r"the value 1.0 is not legal: training.epochs: must be a whole number"),
    ("tiny_aug.yaml", STRENGTH, "augment.rendered.strenght: 5", r"tiny_aug.yaml:11: .*must be a block of keys and values.*but got 5"),
    ("tiny_aug.yaml", STRENGTH, STRENGTH.replace("strength", "strenght"), r"tiny_aug.yaml:11: search.augment.rendered.strenght: a search path must name a value that the base has; did you mean 'augment.rendered.strength'\?"),
    ("tiny_aug.yaml", STRENGTH, STRENGTH.replace("augment.rendered.strength", "zzz"), r"tiny_aug.yaml:11: search.zzz: a search path must name a value that the base has; known paths: augment, augment.generated"),
    ("tiny_aug.yaml", STRENGTH, "corpus.seed: {type: int, low: 0, high: 9}", r"tiny_aug.yaml:11: search.corpus.seed: the corpus cannot be searched over"),
    ("tiny_aug.yaml", STRENGTH, "optim.lr.x: {type: int, low: 0, high: 9}", r"search.optim.lr.x: a search path must name a value that the base has"),
    # choices
    ("tiny_aug.yaml", "[cross_entropy, bce]", "[cross_entropy]", r"tiny_aug.yaml:14: .*choices: must hold at least 2 values, but got a list of 1"),
    ("tiny_aug.yaml", "[cross_entropy, bce]", "[bce, focal]", r"tiny_aug.yaml:14: search.loss.kind: the base's value must be one of the choices bce, focal, because trial 0 is the base"),
    ("tiny_aug.yaml", "[cross_entropy, bce]", "[cross_entropy, focal]", r"tiny_aug.yaml:14: search.loss.kind: the value 'focal' is not legal: loss.kind: must be one of 'cross_entropy' or 'bce', but got the text 'focal'"),
    ("tiny_aug.yaml", "[cross_entropy, bce]", "[cross_entropy, bce, bce]", r"tiny_aug.yaml:14: each choice must stand here once, but got 'bce' again"),
    ("tiny_aug.yaml", KIND, "training.epochs: {type: categorical, choices: [4, true, 1]}", r"tiny_aug.yaml:14: each choice must stand here once, but got 1 again"),
    ("tiny_aug.yaml", KIND, "training.epochs: {type: categorical, choices: [4, 4.0]}", r"tiny_aug.yaml:14: each choice must stand here once, but got 4.0 again"),
    ("tiny_aug.yaml", KIND, "training.epochs: {type: categorical, choices: [4, '4']}", r"tiny_aug.yaml:14: each choice must stand here once, but got '4' again"),
    ("tiny_aug.yaml", KIND, "training.images_per_epoch: {type: categorical, choices: [null, 'null']}", r"tiny_aug.yaml:14: each choice must stand here once"),
    ("tiny_aug.yaml", "[cross_entropy, bce]", "[cross_entropy, [bce]]", r"tiny_aug.yaml:14: a block as a choice must be a file of its own: name it here"),
    ("tiny_aug.yaml", "bases/models/resnet.yaml]", "{kind: timm, name: resnet18, dropout: 0.0}]", r"tiny_aug.yaml:15: a block as a choice must be a file of its own: name it here"),
    ("tiny_aug.yaml", "choices: [true, false]", "choices: [true, false]\n    labels: [1, 2]", r"tiny_aug.yaml:19: unknown key 'labels'; choices name themselves"),
    ("bases/models/resnet.yaml", "name:", "nmae:", r"tiny_aug.yaml:15: search.model: the value timm is not legal: model.nmae: unknown key 'nmae'; did you mean 'name'"),
    # when
    ("tiny_aug.yaml", "when: {model: unet}", "when: {mode: unet}", r"tiny_aug.yaml:16: search.model.decoder: `when` must name another search path and one of its choices, but got mode: unet \(no such categorical\)"),
    ("tiny_aug.yaml", "when: {model: unet}", "when: {model: unett}", r"tiny_aug.yaml:16: .*but got model: unett \(unet, resnet\)"),
    ("tiny_aug.yaml", "when: {model: unet}", "when: {optim.lr: 1}", r"tiny_aug.yaml:16: .*but got optim.lr: 1 \(no such categorical\)"),
    ("tiny_aug.yaml", "when: {model: unet}", "when: {model: 1.5}", r"tiny_aug.yaml:19: .*when.model: must be text or true or false or a whole number, but got 1.5"),
    ("tiny_aug.yaml", "when: {model: unet}", "when: unet", r"tiny_aug.yaml:19: .*when: must be a block of keys and values, but got the text 'unet'"),
    ("tiny_aug.yaml", "model.decoder:", "model.name:", r"tiny_aug.yaml:16: search.model.name: a search path must name a value that the base has; did you mean"),
    # SGD's rate
    (BASE, "handover_rate: matched", "handover_rate: fixed", r"bases/unet.yaml:11: base.optim: sgd_lr must be given exactly when handover_rate is 'fixed', but got \(handover_rate='fixed', sgd_lr=None\)"),
    (BASE, "sgd_momentum: 0.9", "sgd_momentum: 0.9\n  sgd_lr: 0.1", r"but got \(handover_rate='matched', sgd_lr=0.1\)"),
    ("tiny_aug.yaml", KIND, "optim.handover_rate: {type: categorical, choices: [matched, fixed]}", r"tiny_aug.yaml:14: search.optim.handover_rate: the value 'fixed' is not legal: optim: sgd_lr must be given"),
    # samplers, pruners, repeats, a second number
    ("tiny_aug.yaml", SAMPLER, "sampler: {kind: tpe, seed: 17, population: 30}", r"tiny_aug.yaml:8: sampler: population must go with the sampler nsga2, but got kind 'tpe'; leave population out"),
    ("tiny_aug.yaml", SAMPLER, "sampler: {kind: qmc, seed: 17, startup_trials: 9}", r"sampler: startup_trials must go with the sampler tpe or gp, but got kind 'qmc'"),
    ("tiny_aug.yaml", SAMPLER, "sampler: {kind: nsga2, seed: 17, population: 1}", r"sampler.population: must be >= 2, but got 1"),
    ("tiny_aug.yaml", SAMPLER, "sampler: {kind: gp, seed: 17}", r"sampler 'gp' needs values that every trial has, .* these have `when:`: model.decoder; write kind: tpe"),
    ("tiny_aug.yaml", SAMPLER, "sampler: {kind: qmc, seed: 17}", r"sampler 'qmc' needs values that every trial has"),
    ("tiny_aug.yaml", SAMPLER, "sampler: {kind: nsga2, seed: 17}", r"sampler 'nsga2' needs values that every trial has"),
    ("tiny_aug.yaml", SAMPLER, "sampler: {kind: grid, seed: 17}", r"sampler 'grid' tries every point, so every number needs steps, but these have none: augment.rendered.strength, optim.lr; add e.g. step: 0.1"),
    ("tiny_aug.yaml", LR, LR.replace("log: true", "step: 0"), r"tiny_aug.yaml:12: .*step: must be > 0, but got 0"),
    ("tiny_aug.yaml", LR, LR.replace("log: true", "step: 0.01, log: true"), r"tiny_aug.yaml:12: .*step must go with log: false, but got \(step=0.01, log=true\)"),
    ("tiny_aug.yaml", LR, "{type: float, low: 0.001, high: 0.01, step: 0.002}", r"high must lie on a step, but got \(low=0.001, high=0.01, step=0.002\); write high: 0.009"),
    ("tiny_aug.yaml", LR, "{type: float, low: 0.002, high: 0.01, step: 0.002}", r"tiny_aug.yaml:12: search.optim.lr: the base's value 0.003 must lie in \[0.002, 0.01\] on a step of 0.002, because trial 0 is the base"),
    ("tiny_aug.yaml", "low: 8, high: 64", "low: 8, high: 64, step: 0", r"step: must be >= 1, but got 0"),
    ("tiny_aug.yaml", "trials: 4", "trials: 4\nrepeats: 0", r"tiny_aug.yaml:7: repeats: must be >= 1, but got 0"),
    ("tiny_aug.yaml", "trials: 4", "trials: 4\nagainst: cost/train_seconds", r"against: must be one of 'cost/latency_ms', 'cost/onnx_bytes' or 'cost/parameters', but got the text 'cost/train_seconds'"),
    ("tiny_aug.yaml", PRUNER, "pruner: {kind: median}\nagainst: cost/onnx_bytes", r"pruner must be {kind: none} where trials are compared by two numbers, .* but got kind 'median' with against: cost/onnx_bytes"),
    ("tiny_aug.yaml", PRUNER, "pruner: {kind: wilcoxon}\nrepeats: 3", r"pruner 'wilcoxon' must have repeats >= 5, but got repeats: 3: .*with three 1/8"),
    ("tiny_aug.yaml", PRUNER, "pruner: {kind: wilcoxon}\nrepeats: 5", ""),
    ("tiny_aug.yaml", PRUNER, "pruner: {kind: asha}", r"pruner.kind: must be one of 'none', 'median', 'hyperband' or 'wilcoxon', but got the text 'asha'"),
    ("tiny_aug.yaml", PRUNER, "pruner: {kind: median, audit: 1.5}", r"pruner.audit: must be <= 1, but got 1.5"),
    ("tiny_aug.yaml", PRUNER, "pruner: {kind: none, audit: 0.5}", r"pruner: audit must go with the pruner median, hyperband or wilcoxon, but got kind 'none'; leave audit out"),
    ("tiny_aug.yaml", PRUNER, "pruner: {kind: hyperband, startup_trials: 9}", r"pruner: startup_trials must go with the pruner median, but got kind 'hyperband'; leave startup_trials out"),
    ("tiny_aug.yaml", PRUNER, "pruner: {kind: none, warmup_epochs: 9}", r"pruner: warmup_epochs must go with the pruner median or hyperband, but got kind 'none'"),
    # the corpus
    (CORPUS, "test: 0.25", "test: 0.5", r"corpora/tiny.yaml:10: base.corpus.scanned.0.split: train \+ val \+ test must be 1, but got 1.25"),
    (CORPUS, "name: simulated,", "name: printed,", r"corpora/tiny.yaml:14: .*the name of a simulated set must begin with 'simulated', but got 'printed'"),
    (CORPUS, "name: book", "name: simulated", r"each source must have a name of its own, but got twice: simulated"),
    (CORPUS, "name: book", "name: simulated_2", r"only simulated sets may be named so, but got a scanned source simulated_2"),
    (CORPUS, "test_per_class: 2", "test_per_class: 2, wera: 1", r"corpora/tiny.yaml:14: .*unknown key 'wera'; did you mean 'wear'"),
    (CORPUS, "{file: chars.txt, first: 4}", "{chars: 一二三一}", r"corpora/tiny.yaml:4: base.corpus.charset: a charset must name each character once, but these repeat: 一"),
    (CORPUS, "{file: chars.txt, first: 4}", "{chars: '一 二'}", r"tiny.yaml:4: .*a charset must hold visible characters only, but got U\+0020"),
    (CORPUS, "{file: chars.txt, first: 4}", '{chars: "一\\u200b二\\u0007"}', r"a charset must hold visible characters only, but got U\+0007"),
    (CORPUS, "{file: chars.txt, first: 4}", '{chars: "\\uF9DC\\u2F00"}', r"must be in Unicode form NFC, but these characters are not: \S+ U\+F9DC -> U\+9686"),
    (CORPUS, "{file: chars.txt, first: 4}", "{chars: 一}", r"charset.chars: must hold at least 2 values, but got the text '一'"),
    (CORPUS, "{file: chars.txt, first: 4}", "{fil: chars.txt}", r"tiny.yaml:4: base.corpus.charset.fil: unknown key 'fil'"),
    (CORPUS, "first: 4", "frist: 4", r"tiny.yaml:4: unknown key 'frist'; did you mean 'first'"),
    (CORPUS, "first: 4", "first: 1", r"tiny.yaml:4: first must be a whole number >= 2, but got 1"),
    (CORPUS, "first: 4", "first: 7", r"tiny.yaml:4: `first: 7` must not exceed the 6 characters of .*chars.txt"),
    (CORPUS, "chars.txt", "none.txt", r"tiny.yaml:4: no such charset file: .*none.txt"),
    (CORPUS, "chars.txt", "x" * 9999, r"tiny.yaml:4: no such charset file: "),
    # files
    ("tiny_aug.yaml", BASE, "bases/none.yaml", r"tiny_aug.yaml:3: no such file: bases/none.yaml \(looked for .*bases/none.yaml, "),
    ("tiny_aug.yaml", BASE, "tiny_aug.yaml", r"tiny_aug.yaml:3: tiny_aug.yaml names itself"),
    ("tiny_aug.yaml", "trials: 4", "trials: *four", r"tiny_aug.yaml:6: .*alias"),
    ("tiny_aug.yaml", "trials: 4", "trials: !!int 4", r"tiny_aug.yaml:6: tags are not read here"),
    ("tiny_aug.yaml", "top: 1, ", "top: 1 ", r"tiny_aug.yaml:7: this is not YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "message"), MISTAKES)
def test_a_mistake_is_told_with_its_place_and_its_cure(
    file: str, old: str, new: str, message: str, edit: Edit, load: Load
) -> None:
    edit(old, new, file)
    if not message:
        load()
        return
    with pytest.raises(ConfigError) as caught:
        load()
    assert any(re.search(message, problem, re.DOTALL) for problem in caught.value.problems), caught.value.problems
    assert all(re.match(r"[\w/.]+\.yaml:\d+: ", problem) for problem in caught.value.problems)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_files(edit: Edit, load: Load) -> None:
    edit("trials: 4", "trials: 0")
    edit("top: 1", "top: one")
    edit("low: 8,", "low: 33,")
    edit("[cross_entropy, bce]", "[cross_entropy, focal]")
    edit("lr: 3e-3", "lr: 30", BASE)
    edit("depth: 2", "depth: 9", UNET)
    edit("max_bad: 0.0", "max_bad: 2", CORPUS)
    edit("chars.txt", "none.txt", CORPUS)
    with pytest.raises(ConfigError) as caught:
        load()
    places = [problem.split(": ")[0] for problem in caught.value.problems]
    assert places == [
        "bases/models/unet.yaml:3",
        "bases/unet.yaml:12",
        "corpora/tiny.yaml:4",
        "corpora/tiny.yaml:11",
        "tiny_aug.yaml:6",
        "tiny_aug.yaml:7",
        "tiny_aug.yaml:12",  # the base's 30 is outside of the range
        "tiny_aug.yaml:13",
        "tiny_aug.yaml:14",
        "tiny_aug.yaml:15",  # a choice of the search names the same broken file
    ], caught.value.problems


@pytest.mark.parametrize(
    ("old", "new"), [("depth: 2", "depth: [2"), ("depth: 2", "depth: &two 2\nbase_channels: *two"), ("depth", "\0")]
)
def test_what_an_unreadable_file_would_have_held_is_no_further_mistake(old: str, new: str, edit: Edit, load: Load) -> None:
    edit(old, new, UNET)
    with pytest.raises(ConfigError) as caught:
        load()
    (problem,) = caught.value.problems
    assert problem.startswith("bases/models/unet.yaml:")


def test_a_wrong_charset_file_is_told_once(edit: Edit, load: Load) -> None:
    edit("charset: {file: chars.txt, first: 4}", "charset:\n  file: none.txt\n  first: 4", CORPUS)
    with pytest.raises(ConfigError) as caught:
        load()
    (problem,) = caught.value.problems
    assert problem.startswith("corpora/tiny.yaml:5: no such charset file")


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a\n- b\n", "words\n", "5"])
def test_a_file_without_keys_is_one_problem(content: str, sweeps: Path, load: Load) -> None:
    (sweeps / "tiny_aug.yaml").write_text(content)
    with pytest.raises(
        ConfigError, match=r"^tiny_aug.yaml:1: a study file must hold keys and values, but it is empty or a list$"
    ):
        load()


def test_a_charset_file_that_is_not_utf8(sweeps: Path, load: Load) -> None:
    (sweeps / "corpora" / "chars.txt").write_bytes("一二三四".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"tiny.yaml:4: a charset file must be UTF-8 text, but .*chars.txt is not \(byte 0\)"):
        load()


def test_a_corpus_recipe_is_read_alone(sweeps: Path, edit: Edit) -> None:
    path = sweeps / CORPUS
    assert load_corpus(path, sweeps).charset.chars == "一二三十"
    edit("max_faces: 1", "max_faces: 0", CORPUS)
    with pytest.raises(ConfigError, match=r"^corpora/tiny.yaml:5: rendered.max_faces: must be >= 1, but got 0$"):
        load_corpus(path, sweeps)


def test_a_corpus_must_train_and_judge(edit: Edit, sweeps: Path) -> None:
    edit("scanned:\n  - name: book\n    path: book\n    group: null\n    split: {train: 0.5, val: 0.25, test: 0.25}\n    max_bad: 0.0\n", "scanned: []\n", CORPUS)  # fmt: skip
    load_corpus(sweeps / CORPUS, sweeps)
    edit("val_per_class: 2", "val_per_class: 0", CORPUS)
    with pytest.raises(ConfigError, match="a corpus needs at least one val set"):
        load_corpus(sweeps / CORPUS, sweeps)
    edit("rendered: {fonts: [system], max_faces: 1}", "rendered: null", CORPUS)
    with pytest.raises(ConfigError, match=r"a corpus needs a training source: give `rendered`"):
        load_corpus(sweeps / CORPUS, sweeps)


def test_a_study_goes_by_the_name_of_its_file(edit: Edit, load: Load) -> None:
    edit("name: tiny_aug", "name: other")
    with pytest.raises(ConfigError, match=r"tiny_aug.yaml:\d+: name: must be the file's own, 'tiny_aug', but got 'other'"):
        load()


def test_a_study_is_found_by_its_name_or_its_file(sweeps: Path) -> None:
    assert find_study("tiny_aug", sweeps) == sweeps / "tiny_aug.yaml"
    assert find_study(str(sweeps / "tiny_aug.yaml"), sweeps) == sweeps / "tiny_aug.yaml"
    with pytest.raises(NotFoundError, match=r"no study 'tiny_agu' in .*; did you mean 'tiny_aug'\? Known studies: tiny_aug"):
        find_study("tiny_agu", sweeps)
    with pytest.raises(NotFoundError, match=r"no such study file: none\.yaml"):
        find_study("none.yaml", sweeps)


@pytest.mark.parametrize(
    "name", ["../study", "/etc/passwd", "", ".", "..", "😀", "a\0b", "x" * 9999, "x" * 9999 + ".yaml", "$(id)"]
)
def test_an_odd_name_finds_nothing(name: str, sweeps: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no s(tudy|uch study file)"):
        find_study(name, sweeps / "bases")


def test_the_studies_of_this_project_load() -> None:
    sweeps = Path(__file__).parents[2] / "sweeps"
    studies = sorted(sweeps.glob("*.yaml"))
    assert studies
    for path in studies:
        load_study(path, sweeps)
    for path in sorted((sweeps / "corpora").glob("*.yaml")):
        load_corpus(path, sweeps)


_PIECES = [
    "", " ", "\n", ": ", "- ", "{", "}", "[", "]", ",", "null", "true", "no", "1e999", "-1", "9" * 400, "0.0", "'", '"', "&a ", "*a",
    "!!python/name:os.system ", "? ", "<<: ", "|", "bases/unet.yaml", "tiny_aug.yaml", "corpora/tiny.yaml", "草", "\u200b", "\0", "#",
    "model", "model.decoder", "type: float", "choices: [[1], {a: 1}]", "when: {model: unet}", "low: 5", "file: chars.txt", "labels: 1",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_study_is_a_config_error_and_never_a_crash(seed: int, sweeps: Path, load: Load) -> None:
    """One hundred random edits for each seed, of the study, its base and its recipe."""
    rng = random.Random(seed)
    refused = 0
    for _ in range(100):
        path = sweeps / rng.choice(["tiny_aug.yaml", "tiny_aug.yaml", BASE, CORPUS, UNET])
        whole = path.read_text(encoding="utf-8")
        text = whole
        for _ in range(rng.randint(1, 3)):
            words = list(re.finditer(r"[\w./]+|[^\w\s]|\n *", text))
            hit = rng.choice(words)
            piece = rng.choice([*_PIECES, rng.choice(words).group()])
            text = text[: hit.start()] + piece + text[hit.end() :]
        path.write_text(text, encoding="utf-8")
        try:
            load()
        except (ConfigError, NotFoundError) as error:
            refused += 1
            assert str(error).encode()
        except Exception as error:
            raise AssertionError(f"{path.name} became\n{text}") from error
        path.write_text(whole, encoding="utf-8")
    assert refused > 60
