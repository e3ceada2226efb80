"""What a trial writes arrives elsewhere whole, changed files alone, and the outcome after everything that it speaks of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import IntegrityError
from ocr_sweep.sweep.cluster.parcels import collect, deliver, stamps
from ocr_sweep.sweep.trials.attempt import ONNX, WEIGHTS, Attempt, Event


@pytest.fixture
def there(tmp_path: Path, make_trial: Callable[..., TrialConfig]) -> Attempt:
    """A trial on a node after its first epoch."""
    attempt = Attempt(tmp_path / "node" / "0000-search")
    attempt.prepare(make_trial(), Path("/corpora/f"), {"code": {}})
    attempt.append(Event(1, {"epoch/train_loss": 0.5}, 1000))
    attempt.checkpoint.write_bytes(b"first")
    return attempt


@pytest.fixture
def here(tmp_path: Path, make_trial: Callable[..., TrialConfig]) -> Attempt:
    """The same on the driver, before anything came back."""
    attempt = Attempt(tmp_path / "driver" / "0000-search")
    attempt.prepare(make_trial(), Path("/other/f"), {"code": {}})
    return attempt


def finish(attempt: Attempt) -> None:
    (attempt.result / ONNX).parent.mkdir(parents=True)
    (attempt.result / ONNX).write_bytes(b"onnx")
    (attempt.result / WEIGHTS).write_bytes(b"weights")
    attempt.seal({"metrics": {"val/accuracy": 0.5}, "timestamp": 1})
    attempt.end("complete")


def test_a_running_trial_gives_its_events_and_its_checkpoint_and_keeps_its_results(there: Attempt, here: Attempt) -> None:
    (there.folder / "rendezvous-1").write_bytes(b"")
    (there.folder / ".checkpoint.pt.0123.tmp").write_bytes(b"half")
    there.wish("stop")
    deliver(here.folder, collect(there, {}, ended=False))
    assert here.events() == there.events() and here.checkpoint.read_bytes() == b"first"
    assert here.store() == Path("/other/f"), "where the corpus lies is each machine's own business"
    assert here.wished() is None and here.outcome() is None
    assert sorted(path.name for path in here.folder.iterdir()) == ["checkpoint.pt", "events.jsonl", "job.json", "result"]


def test_only_what_has_changed_comes_again(there: Attempt, here: Attempt) -> None:
    known = stamps(collect(there, {}, ended=False))
    assert collect(there, known, ended=False) == []
    there.append(Event(2, {"epoch/train_loss": 0.4}, 2000))
    news = collect(there, known, ended=False)
    assert [parcel.name for parcel in news] == ["events.jsonl"]
    there.checkpoint.write_bytes(b"other")
    known |= stamps(news)
    assert [parcel.name for parcel in collect(there, known, ended=False)] == ["checkpoint.pt"]
    assert set(known) == {"events.jsonl", "checkpoint.pt"}


def test_the_outcome_comes_last_and_the_manifest_before_it(there: Attempt, here: Attempt) -> None:
    finish(there)
    parcels = collect(there, {}, ended=True)
    names = [parcel.name for parcel in parcels]
    assert names[-2:] == ["result/manifest.json", "outcome.json"]
    assert "job.json" not in names
    for count in range(len(parcels)):
        deliver(here.folder, parcels[:count])
        assert here.outcome() is None, "whoever is interrupted here has not ended"
        if "result/manifest.json" in names[:count]:
            here.sealed()
    deliver(here.folder, parcels)
    assert here.outcome() == ("complete", "") and here.sealed()["metrics"] == {"val/accuracy": 0.5}


def test_a_parcel_that_is_not_what_was_sent_is_refused_and_the_old_file_stays(there: Attempt, here: Attempt) -> None:
    here.checkpoint.write_bytes(b"old")
    parcels = [dataclasses.replace(parcel, content=parcel.content + b"!") for parcel in collect(there, {}, ended=False)]
    with pytest.raises(IntegrityError, match=r"checkpoint\.pt of trial 0000-search must have sha256 \w{64}, but came with"):
        deliver(here.folder, parcels)
    assert here.checkpoint.read_bytes() == b"old" and here.events() == []
