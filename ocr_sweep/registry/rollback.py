"""Rollback: a pointer goes back to a version that it held before, after its files were verified."""

from __future__ import annotations

from dataclasses import dataclass

from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import EvidenceError, NotFoundError
from ocr_sweep.registry.chain import Entry, holder_in, stack
from ocr_sweep.registry.evidence import check_files
from ocr_sweep.registry.history import History
from ocr_sweep.registry.keys import Signer
from ocr_sweep.registry.pointer import Pointer
from ocr_sweep.registry.register import Version, registry_lock, require_model, version_numbered
from ocr_sweep.registry.scribe import Scribe
from ocr_sweep.tracking.tracker import Tracker


@dataclass(frozen=True)
class Rollback:
    """What a rollback changed."""

    version: Version
    former: int | None
    num_files: int  # that were verified
    entry: Entry | None  # None when the version held the pointer already


def rollback(
    tracker: Tracker, paths: Paths, signer: Signer, model: str, pointer: Pointer, *, to: int | None = None, because: str = ""
) -> Rollback:
    """Let a pointer go back to the version before, or to any that it held once.

    Nothing is judged again: its files are, byte for byte, those that the gate saw then. Where another program moved the
    pointer, that is recorded first.

    Raises:
        NotFoundError: there is no such model, or no version before.
        EvidenceError: the version never held the pointer, or nothing is known of its files.
        IntegrityError: its files, or the history, are not what was recorded; nothing has moved.
    """
    require_model(tracker, model)
    with registry_lock(paths):
        scribe = Scribe.sit_down(History(tracker, paths, model), signer)
        scribe.adopt("another program moved it; it is rolled back")
        target, former = _target(scribe.entries, model, pointer.alias, to), scribe.holder(pointer)
        version = version_numbered(tracker, model, target.version or 0)
        check_files(tracker, target.run_id, target.evidence)
        if former == version.number:
            return Rollback(version, former, len(target.evidence), None)
        scribe.leave_staging(pointer, version)
        why = because or (f"version {former} is taken back" if former is not None else "it stood there before")
        return Rollback(version, former, len(target.evidence), scribe.write("rollback", pointer, version, why, target.evidence))


def _target(entries: list[Entry], model: str, alias: str, to: int | None) -> Entry:
    """The entry that put the version there to which the pointer goes back."""
    held = stack(entries, alias)
    if to is None:
        before = held if holder_in(entries, alias) is None else held[:-1]
        if not before:
            raise NotFoundError(f"{model} has no version before the present one in {alias}; `ocr-sweep models history {model}`")
        target = before[-1]
    else:
        found = [entry for entry in entries if entry.alias == alias and entry.moves and entry.version == to]
        if not found:
            raise EvidenceError(
                f"version {to} of {model} was never in {alias}, so nothing speaks for it; promote its run instead"
            )
        target = found[-1]
    if not target.evidence:
        raise EvidenceError(
            f"nothing is known of the files of {model} version {target.version}: they were damaged when it was found"
        )
    return target
