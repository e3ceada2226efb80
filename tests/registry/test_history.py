"""What is promised in the history comes true, whatever is killed, cut off or changed behind its back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from small_registry import MODEL, SmallRegistry

from ocr_sweep.errors import ConfigError, IntegrityError
from ocr_sweep.registry.history import HEAD, History
from ocr_sweep.registry.pointer import STAGING, Pointer
from ocr_sweep.registry.scribe import Scribe, plain
from ocr_sweep.registry.verify import verify
from ocr_sweep.tracking.tracker import Tracker


class Kill(BaseException):
    """The process ends here."""


def lines(registry: SmallRegistry) -> list[bytes]:
    return registry.history.file.read_bytes().splitlines(keepends=True)


def test_a_move_is_written_and_followed(registry: SmallRegistry) -> None:
    registry.promote(1)
    registry.promote(2)
    assert registry.aliases() == {"production": 2} and registry.stages() == {1: "Archived", 2: "Production"}
    entries = registry.history.entries()
    assert [(entry.what, entry.version, entry.former) for entry in entries] == [("promote", 1, None), ("promote", 2, 1)]
    assert registry.history.file.stat().st_mode & 0o022 == 0, "nobody else may write"
    found = verify(registry.tracker, registry.paths, MODEL)
    assert found.head == entries[-1].sha256 and not found.notes
    copy = registry.artifact(2, f"registry/{MODEL}.jsonl")
    assert copy.read_bytes() == registry.history.file.read_bytes()


def test_a_registry_from_before_there_was_a_history_begins_one(registry: SmallRegistry) -> None:
    client = registry.tracker.client
    for alias, number in (("production", "1"), ("staging", "2"), ("champion", "1")):
        client.set_registered_model_alias(MODEL, alias, number)
    found = verify(registry.tracker, registry.paths, MODEL)
    assert not found.problems and "no history yet" in found.notes[0]
    assert registry.sit_down() == [1, 2]
    entries = registry.history.entries()
    assert [(entry.what, entry.alias) for entry in entries] == [("found", "production"), ("found", "staging")]
    assert entries[0].evidence["model/model.onnx"] and registry.sit_down() == [1, 2], "once"
    assert not verify(registry.tracker, registry.paths, MODEL).problems


def test_a_pointer_to_a_version_without_files_is_found_without_evidence(registry: SmallRegistry) -> None:
    registry.tracker.client.set_registered_model_alias(MODEL, "production", "1")
    registry.artifact(1, "model/model.onnx").unlink()
    registry.sit_down()
    assert registry.history.entries()[0].evidence == {}


POINTS = [  # what is called in turn, once the entry's line is written
    (Tracker, "upload_file"),
    (MlflowClient, "transition_model_version_stage"),
    (MlflowClient, "set_registered_model_alias"),
    (MlflowClient, "set_registered_model_tag"),
]


@pytest.mark.parametrize(("owner", "name"), POINTS, ids=[name for _, name in POINTS])
def test_a_kill_leaves_the_old_version_or_the_new_one_and_the_next_finishes(
    registry: SmallRegistry, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    registry.promote(1)

    real = getattr(owner, name)

    def kill(*arguments: Any, **named: Any) -> Any:
        if str(arguments[2]).endswith(".gate.json"):  # that comes before
            return real(*arguments, **named)
        raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, kill)
        with pytest.raises(Kill):
            registry.promote(2)
    stood = registry.aliases()["production"]
    assert stood in (1, 2)
    found = verify(registry.tracker, registry.paths, MODEL)
    assert not found.problems and "entry 2 (promote) was interrupted" in found.notes[0]
    assert registry.sit_down() == [1, 2]
    assert registry.aliases() == {"production": 2} and registry.stages() == {1: "Archived", 2: "Production"}
    assert verify(registry.tracker, registry.paths, MODEL).notes == ()


def test_a_line_that_a_kill_tore_is_removed(registry: SmallRegistry) -> None:
    registry.promote(1)
    whole = registry.history.file.read_bytes()
    registry.history.file.write_bytes(whole + whole[:100])
    found = verify(registry.tracker, registry.paths, MODEL)
    assert not found.problems and "interrupted the last line" in found.notes[0]
    assert registry.sit_down() == [1] and registry.history.file.read_bytes() == whole
    registry.promote(2)
    assert registry.sit_down() == [1, 2]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda found: found[:-1], "must have 3 entries, as the registry says, but has 2: its end was cut off. A copy lies in"),
        (lambda found: [], "must have 3 entries, as the registry says, but has 0"),
        (lambda found: [found[0], found[2]], "is broken at entry 2"),
        (lambda found: [found[1], found[0], found[2]], "is broken at entry 1"),
        (lambda found: [*found[:2], found[2][:-1]], "its end was cut off"),
        (lambda found: [found[0], found[1].replace(b"a test", b"a best"), found[2]], "is broken at entry 2: was changed"),
    ],
    ids=["last line dropped", "emptied", "a line dropped", "reordered", "last byte dropped", "a word changed"],
)
def test_a_history_that_was_tampered_with_is_found_out(
    registry: SmallRegistry, damage: Callable[..., list[bytes]], words: str
) -> None:
    for number in (1, 2, 1):
        registry.promote(number)
    registry.history.file.write_bytes(b"".join(damage(lines(registry))))
    found = verify(registry.tracker, registry.paths, MODEL)
    assert words in found.problems[0]
    with pytest.raises(IntegrityError, match="the history of ocr-small"):
        found.require_whole()
    with pytest.raises(IntegrityError):
        registry.promote(2)
    with pytest.raises(IntegrityError):
        registry.history.entries()
    assert registry.aliases() == {"production": 1}


def test_a_registry_that_was_set_back_is_found_out(registry: SmallRegistry) -> None:
    registry.promote(1)
    head = registry.tracker.client.get_registered_model(MODEL).tags[HEAD]
    for number in (2, 1):
        registry.promote(number)
    client = registry.tracker.client
    client.set_registered_model_tag(MODEL, HEAD, head)
    assert "the registry was set back" in verify(registry.tracker, registry.paths, MODEL).problems[0]
    client.set_registered_model_tag(MODEL, HEAD, "3:" + "a" * 64 + ":x")
    assert "is not the one that the registry knows" in verify(registry.tracker, registry.paths, MODEL).problems[0]
    client.set_registered_model_tag(MODEL, HEAD, "three")
    assert "must name the end of the history, but reads 'three'" in verify(registry.tracker, registry.paths, MODEL).problems[0]


def test_a_pointer_that_another_program_moved_is_found_out_and_can_be_adopted(registry: SmallRegistry) -> None:
    registry.promote(1)
    registry.tracker.client.set_registered_model_alias(MODEL, "production", "2")
    problem = verify(registry.tracker, registry.paths, MODEL).problems[0]
    assert "production of ocr-small stands at version 2, but its history says version 1" in problem
    Scribe(registry.history, registry.signer, registry.history.entries()).adopt("we know")
    last = registry.history.entries()[-1]
    assert (last.what, last.version, last.former, last.why) == ("found", 2, 1, "we know")
    assert not verify(registry.tracker, registry.paths, MODEL).problems
    registry.tracker.client.delete_registered_model_alias(MODEL, "production")
    assert "stands at version None" in verify(registry.tracker, registry.paths, MODEL).problems[0]


def test_a_stage_that_another_program_gave_is_found_out(registry: SmallRegistry) -> None:
    registry.promote(1)
    with pytest.warns(FutureWarning):
        registry.tracker.client.transition_model_version_stage(MODEL, "2", "Production")
    assert (
        "must hold version 1, as its alias does, but holds version 1 and version 2"
        in verify(registry.tracker, registry.paths, MODEL).problems[0]
    )
    registry.promote(1)
    assert registry.stages() == {1: "Production", 2: "Archived"}


def test_a_version_in_staging_that_goes_to_production_leaves_staging(registry: SmallRegistry) -> None:
    registry.promote(1)
    registry.promote(2, STAGING)
    assert registry.stages() == {1: "Production", 2: "Staging"}
    registry.promote(2)
    assert registry.aliases() == {"production": 2} and registry.stages() == {1: "Archived", 2: "Production"}
    assert [entry.what for entry in registry.history.entries()] == ["promote", "promote", "vacate", "promote"]
    assert not verify(registry.tracker, registry.paths, MODEL).problems


def test_customers_have_pointers_of_their_own(registry: SmallRegistry) -> None:
    registry.promote(1)
    registry.promote(2, Pointer.of("production", "acme"))
    registry.promote(1, Pointer.of("production", "mint"))
    assert registry.aliases() == {"production": 1, "production-acme": 2, "production-mint": 1}
    assert registry.stages() == {1: "Production", 2: "None"}, "a version has one stage, and customers have none"
    assert [entry.parent for entry in registry.history.entries()] == [None, 1, 1]


@pytest.mark.parametrize("name", ["", "../x", "a b", "a.b", "x" * 65, "-a", "客"])
def test_a_customer_has_a_name_that_an_alias_can_hold(name: str) -> None:
    with pytest.raises(ConfigError, match="--for"):
        Pointer.of("production", name)
    assert Pointer.of_alias("champion") is None and Pointer.of_alias("production-acme") == Pointer("production", "acme")
    with pytest.raises(ConfigError, match="no staging"):
        Pointer.of("staging", "acme")


def test_another_checkout_fetches_the_history_from_a_server(registry: SmallRegistry, tmp_path: Path) -> None:
    """Any store that is not the checkout's own is treated like a server."""
    registry.promote(1)
    elsewhere = dataclasses.replace(registry.paths, root=tmp_path / "elsewhere")
    other = History(registry.tracker, elsewhere, MODEL)
    assert [entry.version for entry in other.entries()] == [1]
    registry.promote(2)
    assert [entry.version for entry in other.entries()] == [1, 2] and other.file.is_file()
    SmallRegistry(registry.tracker, elsewhere).promote(1)
    assert registry.aliases() == {"production": 1}
    with pytest.raises(IntegrityError, match="its end was cut off"):
        registry.history.entries()  # whose own store it is, is told


def test_another_checkout_does_not_take_a_copy_that_contradicts_its_own(registry: SmallRegistry, tmp_path: Path) -> None:
    registry.promote(1)
    elsewhere = dataclasses.replace(registry.paths, root=tmp_path / "elsewhere")
    other = History(registry.tracker, elsewhere, MODEL)
    other.entries()
    registry.promote(2)
    copy = registry.artifact(2, f"registry/{MODEL}.jsonl")
    copy.write_bytes(copy.read_bytes().replace(b"a test", b"a best", 1))
    with pytest.raises(IntegrityError, match="must have 2 entries, as the registry says, but has 1"):
        other.entries()


def test_the_history_is_written_through_no_link(registry: SmallRegistry, tmp_path: Path) -> None:
    file = registry.history.file
    file.parent.mkdir(parents=True)
    file.symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(OSError, match="symbolic link"):
        registry.promote(1)
    assert not (tmp_path / "elsewhere.txt").exists() and registry.aliases() == {}


def test_a_persons_words_are_kept_on_one_line_without_control_characters() -> None:
    assert plain("reads\n己 as\x1b[31m 已 \udcff") == "reads 己 as [31m 已 ?"
    assert len(plain("x" * 5000)) == 1000
