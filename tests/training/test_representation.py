"""Trials that differ only behind the representation learn it once, and nobody can tell from the result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from endings import plain
from listener import Listener

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import file_lock
from ocr_sweep.store import CorpusView
from ocr_sweep.training.representation import RepresentationStore
from ocr_sweep.training.train import Files, Finished, train

MakeTrial = Callable[..., TrialConfig]
ENCODER = {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.1, "decoder": False, "reconstruction_weight": 0.0}
CRT = {"kind": "crt", "bn_mode": "recalibrate", "epochs": 1, "lr": 0.5}
NCM = {"kind": "ncm", "bn_mode": "eval"}
EPOCH = 3  # batches of the representation's only one


@pytest.fixture
def store(tmp_path: Path) -> RepresentationStore:
    return RepresentationStore(tmp_path / "representations", "code")


@pytest.fixture
def config(make_trial: MakeTrial) -> Callable[..., TrialConfig]:
    def config(classifier: dict[str, Any] | None = None, **changes: Any) -> TrialConfig:
        return make_trial({"model": ENCODER, "training.epochs": 1, "optim.handover_at": 1.0, "classifier": classifier, **changes})

    return config


@pytest.fixture
def run(tiny_corpus: CorpusView, tmp_path: Path) -> Callable[..., tuple[Finished | None, Listener]]:
    def run(
        config: TrialConfig, name: str, store: RepresentationStore | None, stop_after: int | None = None
    ) -> tuple[Finished | None, Listener]:
        (tmp_path / name).mkdir(exist_ok=True)
        files, listener = Files(tmp_path / name / "checkpoint.pt", tmp_path / name / "classifier.pt"), Listener(stop_after)
        return train(config, tiny_corpus, files, listener, store), listener

    return run


def bits(finished: Finished | None) -> dict[str, bytes]:
    assert finished is not None
    found: dict[str, bytes] = plain(finished.trained.model.state_dict())
    return found


@pytest.mark.parametrize("classifier", [None, CRT, NCM])
def test_a_fork_equals_a_training_of_its_own(
    classifier: dict[str, Any] | None, run: Any, config: Any, store: RepresentationStore
) -> None:
    first, learnt = run(config(), "first", store)
    assert first.metrics["cost/representation_shared"] == 0.0 and learnt.batches == EPOCH
    forked, heard = run(config(classifier), "forked", store)
    alone, other = run(config(classifier), "alone", None)
    assert bits(forked) == bits(alone)
    assert other.batches - heard.batches == EPOCH, "the representation is not trained again"
    assert forked.trained.selected_epoch == alone.trained.selected_epoch
    assert (forked.trained.handover_epoch, forked.representation) == (alone.trained.handover_epoch, first.representation)
    assert forked.metrics["cost/representation_shared"] == 1.0
    assert forked.metrics["cost/representation_seconds"] == first.trained.seconds > 0
    assert forked.trained.seconds == 0 if classifier is None else forked.trained.seconds > 0
    assert [metrics.get("epoch/shared") for _, metrics in heard.told] == [1.0] + [None] * (len(heard.told) - 1)
    same = [name for name in learnt.told[0][1] if "per_second" not in name]
    assert [heard.told[0][1][name] for name in same] == [learnt.told[0][1][name] for name in same]


def test_a_fork_that_is_interrupted_stays_a_fork(run: Any, config: Any, store: RepresentationStore, tmp_path: Path) -> None:
    run(config(), "first", store)
    whole, _ = run(config(CRT), "whole", store)
    assert run(config(CRT), "often", store, stop_after=4)[0] is None
    (tmp_path / "representations" / whole.representation / "representation.pt").unlink()
    resumed, _ = run(config(CRT), "often", store)
    assert bits(resumed) == bits(whole)
    assert resumed.metrics["cost/representation_shared"] == 1.0


def test_a_trial_that_has_begun_goes_on_with_its_own(run: Any, config: Any, store: RepresentationStore) -> None:
    assert run(config(CRT), "begun", store, stop_after=2)[0] is None
    other, _ = run(config(), "other", store)
    assert other.metrics["cost/representation_shared"] == 0.0, "what was stopped has left nothing to share"
    resumed, _ = run(config(CRT), "begun", store)
    assert resumed.metrics["cost/representation_shared"] == 0.0


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_representation_is_learnt_anew(
    damage: str, run: Any, config: Any, store: RepresentationStore, tmp_path: Path
) -> None:
    first, _ = run(config(), "first", store)
    path = tmp_path / "representations" / first.representation / "representation.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    match damage:
        case "flipped":
            path.write_bytes(content)
        case "cut":
            path.write_bytes(content[:100])
        case "gone":
            path.unlink()
    second, heard = run(config(), "second", store)
    assert heard.batches == EPOCH and second.metrics["cost/representation_shared"] == 0.0
    assert bits(second) == bits(first)
    third, heard = run(config(), "third", store)
    assert heard.batches == 0 and bits(third) == bits(first)


def test_a_key_is_all_that_a_representation_depends_on(
    config: Any, store: RepresentationStore, tiny_corpus: CorpusView, tmp_path: Path
) -> None:
    key = store.key(config(), tiny_corpus)
    assert store.key(config(CRT, calibration={"kind": "stacking"}), tiny_corpus) == key
    others = [
        store.key(config(**{"optim.lr": 0.011}), tiny_corpus),
        store.key(config(seed=4), tiny_corpus),
        store.key(config(), replace(tiny_corpus, manifest={**tiny_corpus.manifest, "fingerprint": "other"})),
        RepresentationStore(tmp_path, "other code").key(config(), tiny_corpus),
    ]
    assert len({key, *others}) == 5


def test_a_second_trial_waits_for_the_first(
    run: Any, config: Any, store: RepresentationStore, tiny_corpus: CorpusView, tmp_path: Path
) -> None:
    """The lock is held by another process's stand-in; the waiting trial stops when it is told to, and forks when it may."""
    lock = tmp_path / "representations" / store.key(config(), tiny_corpus) / "lock"
    with file_lock(lock, wait=False):
        finished, heard = run(config(CRT), "waits", store, stop_after=1)
        assert finished is None and heard.told == []
    first, _ = run(config(), "first", store)
    results: list[Any] = []
    with file_lock(lock, wait=False):
        waiting = threading.Thread(target=lambda: results.append(run(config(CRT), "waits", store)))
        waiting.start()
        time.sleep(0.3)
        assert not results
    waiting.join(timeout=60)
    assert results[0][0].metrics["cost/representation_shared"] == 1.0
    assert results[0][0].representation == first.representation
