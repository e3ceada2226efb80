"""The folder of a trial in progress: nothing acknowledged is lost, and nothing torn is believed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import write_bytes
from ocr_sweep.errors import IntegrityError, StoreError
from ocr_sweep.sweep.trials.attempt import Attempt, config_yaml, read_config
from ocr_sweep.sweep.trials.events import Event

EVENTS = [Event(epoch, {"epoch/val/accuracy": 0.1 * epoch}, 1000 + epoch) for epoch in (1, 2, 3)]


@pytest.fixture
def attempt(tmp_path: Path, make_trial: Callable[..., TrialConfig]) -> Attempt:
    attempt = Attempt(tmp_path / "trial-0")
    attempt.prepare(make_trial(), tmp_path / "corpora" / "abc", {"commit": "f00"})
    return attempt


def test_a_folder_carries_all_that_its_process_needs(
    attempt: Attempt, tmp_path: Path, make_trial: Callable[..., TrialConfig]
) -> None:
    again = Attempt(attempt.folder)
    assert again.config() == make_trial()
    assert again.store() == tmp_path / "corpora" / "abc"
    assert (again.events(), again.outcome(), again.wished()) == ([], None, None)


def test_a_prepared_folder_is_kept_as_it_is(attempt: Attempt, tmp_path: Path, make_trial: Callable[..., TrialConfig]) -> None:
    attempt.append(EVENTS[0])
    attempt.prepare(make_trial({"seed": 9}), tmp_path / "elsewhere", {})
    assert attempt.config().seed == 3 and attempt.events() == EVENTS[:1] and attempt.store().name == "abc"


def test_a_folder_that_was_torn_while_it_was_prepared_is_prepared_again(
    attempt: Attempt, tmp_path: Path, make_trial: Callable[..., TrialConfig]
) -> None:
    (attempt.folder / "job.json").unlink()
    (attempt.result / "config.yaml").write_text("torn")
    attempt.prepare(make_trial({"seed": 9}), tmp_path / "elsewhere", {})
    assert attempt.config().seed == 9 and attempt.store() == tmp_path / "elsewhere"


@pytest.mark.parametrize("changes", [{}, {"optim.lr": 1e-7, "loss.label_smoothing": 1 / 3}, {"corpus.charset.chars": "no‘’草:#"}])
def test_a_configuration_comes_back_to_the_bit(
    changes: dict[str, object], make_trial: Callable[..., TrialConfig], tmp_path: Path
) -> None:
    config = make_trial(changes)
    (tmp_path / "config.yaml").write_text(config_yaml(config), encoding="utf-8")
    assert read_config(tmp_path / "config.yaml") == config


def test_events_cut_at_any_byte_are_the_whole_lines_before_it(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a thousand times would take seconds
    path = attempt.folder / "events.jsonl"
    for event in EVENTS:
        attempt.append(event)
    content = path.read_bytes()
    ends = [i for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        whole = sum(cut >= end for end in ends)  # the last line counts without its line end: it is complete
        assert attempt.events() == EVENTS[:whole], cut
        attempt.heal_events()
        for event in EVENTS[whole:]:
            attempt.append(event)
        assert attempt.events() == EVENTS, cut


def test_an_event_told_twice_counts_once_and_the_first_time(attempt: Attempt) -> None:
    attempt.append(EVENTS[1])
    attempt.append(EVENTS[0])
    attempt.append(Event(2, {"epoch/val/accuracy": 0.9}, 5))
    assert attempt.events() == EVENTS[:2]


@pytest.mark.parametrize(
    "line", [b"5\n", b"null\n", b'{"epoch": 1}\n', b'{"epoch": 1, "metrics": {}, "timestamp": 1, "x": 1}\n', b"\xff\xfe\n", b"\n"]
)
def test_a_line_that_is_no_event_is_passed_over(line: bytes, attempt: Attempt) -> None:
    attempt.append(EVENTS[0])
    with (attempt.folder / "events.jsonl").open("ab") as file:
        file.write(line)
    attempt.append(EVENTS[1])
    assert attempt.events() == EVENTS[:2]


def test_an_event_is_synced_before_it_counts(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}")))  # noqa: PTH115
    for event in EVENTS[:2]:
        attempt.append(event)
    file = str(attempt.folder / "events.jsonl")
    assert synced == [file, str(attempt.folder), file], "the file's name, too, when it is new"


def test_an_event_must_be_finite(attempt: Attempt) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        attempt.append(Event(1, {"loss": float("nan")}, 1))
    assert attempt.events() == []


def test_a_full_disk_is_a_store_error(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"writing .*events\.jsonl failed: No space left on device"):
        attempt.append(EVENTS[0])


def test_wishes_and_endings_are_forgotten_when_it_begins_again(attempt: Attempt) -> None:
    attempt.wish("prune")
    attempt.end("stopped", "by hand")
    assert attempt.wished() == "prune" and attempt.outcome() == ("stopped", "by hand")
    attempt.begin()
    assert attempt.wished() is None and attempt.outcome() is None
    attempt.begin()


def test_deaths_are_counted_over_sessions(attempt: Attempt) -> None:
    assert [attempt.died(), attempt.died(), Attempt(attempt.folder).died()] == [1, 2, 3]


def test_sealed_results_are_compared_with_their_hashes(attempt: Attempt) -> None:
    (attempt.result / "model").mkdir()
    write_bytes(attempt.result / "model" / "model.onnx", b"weights")
    attempt.seal({"metrics": {"val/accuracy": 0.5}})
    manifest = attempt.sealed()
    assert manifest["metrics"] == {"val/accuracy": 0.5}
    assert set(manifest["sha256"]) == {"config.yaml", "provenance.json", "model/model.onnx"}
    (attempt.result / "model" / "model.onnx").write_bytes(b"weightz")
    with pytest.raises(IntegrityError, match=r"result .*model\.onnx must have sha256 \w{64}, but has \w{64}"):
        attempt.sealed()
    (attempt.result / "model" / "model.onnx").unlink()
    with pytest.raises(IntegrityError, match="but has no file"):
        attempt.sealed()


@pytest.mark.parametrize("manifest", [None, b"", b'{"sha256": {'])
def test_a_missing_or_torn_manifest_is_an_integrity_error(manifest: bytes | None, attempt: Attempt) -> None:
    if manifest is not None:
        (attempt.result / "manifest.json").write_bytes(manifest)
    with pytest.raises(IntegrityError, match=r"the manifest of .*result cannot be read"):
        attempt.sealed()


def test_what_a_kill_left_half_written_is_swept_away(attempt: Attempt) -> None:
    """And what the supervisor may be writing at this moment is not."""
    left = [attempt.result / ".weights.safetensors.0123abcd.tmp", attempt.folder / ".checkpoint.pt.0123abcd.tmp"]
    left.append(attempt.folder / ".outcome.json.0123abcd.tmp")
    kept = [attempt.folder / ".wish.0123abcd.tmp", attempt.result / "config.yaml"]
    for path in [*left, kept[0]]:
        path.write_bytes(b"half")
    attempt.heal_events()
    assert not any(path.exists() for path in left) and all(path.exists() for path in kept)


def test_a_kill_while_a_folder_is_removed_leaves_none_that_could_be_believed(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, **_: object) -> None:
        (path / "job.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            attempt.remove()
    assert not attempt.folder.exists() and len(list(attempt.folder.parent.iterdir())) == 1
    attempt.remove()
    assert not list(attempt.folder.parent.iterdir())


def test_a_removed_folder_is_gone_and_may_be_removed_again(attempt: Attempt) -> None:
    attempt.remove()
    attempt.remove()
    assert not attempt.folder.exists()
