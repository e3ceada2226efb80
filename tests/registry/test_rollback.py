"""Rollback brings back what was there, if it is still what it was; verification finds whatever is not."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path

import pytest
from small_registry import MODEL, SmallRegistry

from ocr_sweep.errors import EvidenceError, IntegrityError, NotFoundError
from ocr_sweep.registry.pointer import PRODUCTION, STAGING, Pointer
from ocr_sweep.registry.register import version_numbered
from ocr_sweep.registry.rollback import Rollback, rollback
from ocr_sweep.registry.verify import verify


def back(registry: SmallRegistry, pointer: Pointer = PRODUCTION, **asked: object) -> Rollback:
    return rollback(registry.tracker, registry.paths, registry.signer, MODEL, pointer, **asked)  # type: ignore[arg-type]


def problems(registry: SmallRegistry) -> tuple[str, ...]:
    return verify(registry.tracker, registry.paths, MODEL).problems


def flip(path: Path, place: int | None = None, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1 << bit
    path.write_bytes(content)


def test_the_version_before_comes_back_with_its_stage(registry: SmallRegistry) -> None:
    registry.promote(1)
    registry.promote(2)
    done = back(registry, because="reads 己 as 已")
    assert (done.version.number, done.former, done.num_files) == (1, 2, 6)
    assert registry.aliases() == {"production": 1} and registry.stages() == {1: "Production", 2: "Archived"}
    last = registry.history.entries()[-1]
    assert (last.what, last.version, last.former, last.why) == ("rollback", 1, 2, "reads 己 as 已")
    assert not problems(registry)


def test_a_second_rollback_goes_one_further_and_not_back_again(registry: SmallRegistry) -> None:
    for number in (1, 2, registry.version("three").number):
        registry.promote(number)
    assert [back(registry).version.number for _ in range(2)] == [2, 1]
    with pytest.raises(NotFoundError, match="has no version before the present one in production"):
        back(registry)
    assert back(registry, to=3).version.number == 3
    assert back(registry).version.number == 1
    assert not problems(registry)


def test_what_never_was_in_production_is_refused(registry: SmallRegistry) -> None:
    registry.promote(1)
    for number in (2, 99):
        with pytest.raises(EvidenceError, match=f"version {number} of ocr-small was never in production"):
            back(registry, to=number)
    assert back(registry, to=1).entry is None, "it stands there already"
    with pytest.raises(NotFoundError, match="no registered model 'ocr-other'; known ones: ocr-small"):
        rollback(registry.tracker, registry.paths, registry.signer, "ocr-other", PRODUCTION)


@pytest.mark.parametrize("name", ["model/model.onnx", "weights.safetensors", "model/MLmodel", "manifest.json", "predictions.npz"])
def test_a_version_that_is_not_what_it_was_does_not_come_back(registry: SmallRegistry, name: str) -> None:
    registry.promote(1)
    registry.promote(2)
    flip(registry.artifact(1, name))
    with pytest.raises(IntegrityError, match=f"{name} of run .* must have sha256 .*, as the history says"):
        back(registry)
    registry.artifact(1, name).unlink()
    with pytest.raises(IntegrityError, match="but has no file"):
        back(registry)
    assert registry.aliases() == {"production": 2} and len(registry.history.entries()) == 2


def test_a_version_that_was_deleted_does_not_come_back(registry: SmallRegistry) -> None:
    registry.promote(1)
    registry.promote(2)
    registry.tracker.client.delete_model_version(MODEL, "1")
    with pytest.raises(NotFoundError, match="has no version 1"):
        back(registry)


def test_what_another_program_did_is_recorded_and_taken_back(registry: SmallRegistry) -> None:
    registry.promote(1)
    registry.tracker.client.set_registered_model_alias(MODEL, "production", "2")
    assert back(registry).version.number == 1
    assert [(entry.what, entry.version) for entry in registry.history.entries()] == [
        ("promote", 1), ("found", 2), ("rollback", 1)
    ]  # fmt: skip
    registry.tracker.client.delete_registered_model_alias(MODEL, "production")
    assert "another program moved it" in problems(registry)[0]
    assert back(registry, to=1).former is None
    assert not problems(registry)


def test_each_pointer_goes_back_by_itself(registry: SmallRegistry) -> None:
    acme = Pointer.of("production", "acme")
    registry.promote(1)
    for pointer in (acme, PRODUCTION):
        registry.promote(2, pointer)
    registry.promote(1, acme)
    assert back(registry, acme).version.number == 2
    assert registry.aliases() == {"production": 2, "production-acme": 2}
    assert back(registry).version.number == 1
    assert registry.aliases() == {"production": 1, "production-acme": 2}


def test_a_version_in_staging_that_comes_back_leaves_staging(registry: SmallRegistry) -> None:
    registry.promote(1)
    registry.promote(2)
    registry.promote(1, STAGING)
    assert back(registry).version.number == 1
    assert registry.aliases() == {"production": 1} and registry.stages() == {1: "Production", 2: "Archived"}
    assert not problems(registry)


def test_every_flipped_byte_behind_a_pointer_is_found(registry: SmallRegistry) -> None:
    registry.promote(1)
    registry.promote(2)
    assert not problems(registry)
    files = [path for number in (1, 2) for path in registry.artifact(number, "").rglob("*") if path.is_file()]
    stale = registry.artifact(1, f"registry/{MODEL}.jsonl")  # a copy that a newer one has replaced: nothing rests on it
    files = [*[path for path in files if path != stale], registry.history.file]
    chosen = random.Random(3)
    for path in files:
        place, bit = chosen.randrange(path.stat().st_size), chosen.randrange(8)
        flip(path, place, bit)
        assert problems(registry), (path.name, place, bit)
        flip(path, place, bit)
    assert not problems(registry)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE model_versions SET source = 'file:///tmp/other' , storage_location = NULL WHERE version = 1", "hands out"),
        ("UPDATE model_versions SET run_id = 'other' WHERE version = 1", "is of run other"),
        ("UPDATE model_version_tags SET value = 'x' WHERE key = 'ocr_sweep.onnx_sha256'", "speak of another ONNX file"),
        ("UPDATE registered_model_aliases SET version = 2", "another program moved it"),
        ("DELETE FROM registered_model_aliases", "another program moved it"),
        ("UPDATE runs SET lifecycle_stage = 'deleted'", "must be of a complete run, but run"),
        ("UPDATE runs SET status = 'RUNNING'", "is running"),
        ("DELETE FROM registered_model_tags", "the registry was set back"),
        ("UPDATE model_versions SET current_stage = 'Archived'", "must hold version 1, as its alias does, but holds nobody"),
    ],
)  # fmt: skip
def test_a_changed_database_is_found_out(registry: SmallRegistry, change: str, words: str) -> None:
    for number in (1, 2, 1):
        registry.promote(number)
    with contextlib.closing(sqlite3.connect(registry.paths.mlflow_db)) as database, database:
        database.execute(change)
    assert any(words in problem for problem in problems(registry)), problems(registry)


def test_a_record_that_says_no_or_speaks_of_another_version_is_found_out(registry: SmallRegistry) -> None:
    registry.promote(1)
    for changed, words in (({"passed": False}, "says that the gate refused"), ({"version": 7}, "of another version")):
        registry.promote(2, **changed)
        assert any(words in problem for problem in problems(registry))


def test_keys_that_the_gate_does_not_accept_are_found_out(registry: SmallRegistry) -> None:
    registry.promote(1)
    accepted = {"production": (registry.signer.public,)}
    assert not verify(registry.tracker, registry.paths, MODEL, lambda alias: accepted[alias]).problems
    accepted["production"] = ("a" * 64,)
    assert (
        "does not accept its signer" in verify(registry.tracker, registry.paths, MODEL, lambda alias: accepted[alias]).problems[0]
    )


def test_a_version_is_asked_for_by_its_number(registry: SmallRegistry) -> None:
    with pytest.raises(NotFoundError, match="ocr-small has no version 7"):
        version_numbered(registry.tracker, MODEL, 7)
