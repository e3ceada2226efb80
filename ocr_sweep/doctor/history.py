"""The histories of registered models: unbroken chains, signed, that end where the registry says (I15)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ocr_sweep.doctor import words
from ocr_sweep.doctor.evidence import Evidence
from ocr_sweep.doctor.violation import Violation

Entry = Mapping[str, Any]
_FIRST = "0" * 64  # what the first entry names as the one before it
_NOT_HASHED = ("sha256", "signature")


def check_histories(evidence: Evidence) -> Iterator[Violation]:
    """Follow each history from its first entry, and compare its end with the registry."""
    for model in sorted({version.model for version in evidence.tracking.versions}):
        entries, broken = read_history(evidence, model)
        problem = broken or _wrong_end(entries, evidence.tracking.heads.get(model, ""))
        if problem:
            file = evidence.paths.histories / f"{model}.jsonl"
            do = "take the copy from the artifacts of the run that was promoted last (registry/), or restore a backup"
            yield Violation("I15", "", str(file), problem, do)
        elif not is_unfinished(evidence, model):
            yield from _pointers(evidence, model, entries)


def read_history(evidence: Evidence, model: str) -> tuple[list[Entry], str]:
    """The entries of a model's history up to the first broken link, and what is wrong with that; empty: nothing is.

    A last line without its end is what a kill left of an entry that was never acknowledged.
    """
    file = evidence.paths.histories / f"{model}.jsonl"
    lines = file.read_bytes().split(b"\n")[:-1] if file.is_file() else []
    entries: list[Entry] = []
    for number, line in enumerate(lines, start=1):
        problem = _wrong_link(line, number, model, entries)
        if problem:
            return entries, f"entry {number} must {problem}"
        entries.append(json.loads(line))
    return entries, ""


def is_unfinished(evidence: Evidence, model: str) -> bool:
    """Whether a kill interrupted a promotion after its entry was written: the next one finishes it."""
    number = evidence.tracking.heads.get(model, "").partition(":")[0]
    return len(read_history(evidence, model)[0]) == (int(number) if number.isdecimal() else 0) + 1


def _wrong_link(line: bytes, number: int, model: str, before: Sequence[Entry]) -> str:
    """What an entry must be and is not, as the rest of a sentence; empty where nothing is wrong."""
    try:
        entry = json.loads(line)
        hashed = _canonical({key: value for key, value in entry.items() if key not in _NOT_HASHED})
        sha256 = hashlib.sha256(hashed).hexdigest()
        if _canonical(entry) != line:
            return "be written as it was signed, but is written otherwise"
        if sha256 != entry["sha256"]:
            return f"have the hash {entry['sha256'][:12]}, but has {sha256[:12]}: it was changed"
        if (entry["model"], entry["number"]) != (model, number):
            return f"be number {number} of {model}, but is number {entry['number']} of {entry['model']}"
        if entry["previous"] != (before[-1]["sha256"] if before else _FIRST):
            return "name the entry before it, but names another: lines are missing or moved"
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry["key"])).verify(
            bytes.fromhex(entry["signature"]), bytes.fromhex(sha256)
        )
    except InvalidSignature:
        return "be signed by the key that it names, but is not"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"be an entry, but cannot be read: {error}"
    return ""


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _wrong_end(entries: Sequence[Entry], head: str) -> str:
    """What is wrong with where a history ends; one entry more than the registry knows is a promotion that was interrupted."""
    number, _, rest = head.partition(":")
    said = int(number) if number.isdecimal() else 0
    if len(entries) < said:
        return f"it must have {said} entries, as the registry says, but has {len(entries)}: its end was cut off"
    if len(entries) > said + 1:
        return f"it must have {said} entries, as the registry says, but has {len(entries)}: the registry was set back"
    if said and entries[said - 1]["sha256"] != rest.partition(":")[0]:
        return f"its entry {said} must be the one that the registry knows, but is another"
    return ""


def _pointers(evidence: Evidence, model: str, entries: Sequence[Entry]) -> Iterator[Violation]:
    """A pointer stands where the last entry that moved it says."""
    said = {str(entry["alias"]): entry["version"] for entry in entries if entry["what"] != "refuse"}
    known = {version.number for version in evidence.tracking.versions if version.model == model}
    for alias, wanted in sorted(said.items()):
        stands = evidence.tracking.aliases.get((model, alias))
        if stands != wanted and (stands is None or stands in known):
            what = f"it must stand at {_named(wanted)}, as its history says, but stands at {_named(stands)}: others moved it"
            yield Violation(
                "I15", "", f"{model}@{alias}", what, f"`ocr-sweep models rollback {model}` records that and puts it back"
            )


def _named(version: int | None) -> str:
    return "nobody" if version is None else f"version {version}"


def last_promotion(entries: Sequence[Entry], alias: str) -> Entry | None:
    """The entry by which the present holder of a pointer was promoted; None where others put it there."""
    moves = [entry for entry in entries if entry["alias"] == alias and entry["what"] != "refuse"]
    holder = moves[-1]["version"] if moves else None
    return next((entry for entry in reversed(moves) if (entry["what"], entry["version"]) == ("promote", holder)), None)


def gate_record(entry: Entry) -> str | None:
    """The name of the gate's record among the artifacts of a promoted run."""
    return next((name for name in entry["evidence"] if name.endswith(words.GATE)), None)
