"""Whether everything that the registry says can be believed: history, signatures, pointers, files. It changes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import EvidenceError, IntegrityError, NotFoundError
from ocr_sweep.registry.chain import GENESIS, Chain, Entry
from ocr_sweep.registry.evidence import check_files
from ocr_sweep.registry.history import Head, History
from ocr_sweep.registry.pointer import PRODUCTION, STAGING
from ocr_sweep.registry.register import handed_out, version_numbered, versions
from ocr_sweep.registry.signed import read_signed
from ocr_sweep.tracking.tracker import Tracker

Accepted = Callable[[str], Collection[str]]


@dataclass(frozen=True)
class Verification:
    """What was found of one registered model."""

    model: str
    entries: tuple[Entry, ...]
    head: str  # hash of the last entry: kept elsewhere, it proves that nothing was cut off
    problems: tuple[str, ...]  # the first broken link first
    notes: tuple[str, ...]  # what is unfinished and nothing wrong

    def require_whole(self) -> None:
        """Refuse a registry that cannot be believed.

        Raises:
            IntegrityError: with the first broken link.
        """
        if self.problems:
            more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            raise IntegrityError(f"{self.problems[0]}{more}")


def verify(tracker: Tracker, paths: Paths, model: str, accepted: Accepted = lambda alias: ()) -> Verification:
    """Check every link between a pointer and the bytes behind it.

    Args:
        accepted: the public keys that may sign for an alias; none: any key.
    """
    history = History(tracker, paths, model)
    try:
        chain, head = history.read()
    except IntegrityError as error:
        return Verification(model, (), GENESIS, (str(error),), ())
    entries = list(chain.entries)
    if broken := history.broken(chain, head):
        return Verification(model, chain.entries, chain.head, (broken,), ())
    notes, settled = [], entries
    if chain.torn:
        notes.append("a kill interrupted the last line of the history; the next promotion or rollback removes it")
    if len(entries) > (head.number if head is not None else 0):
        settled = entries[:-1]
        notes.append(f"entry {len(entries)} ({entries[-1].what}) was interrupted; the next promotion or rollback finishes it")
    if not entries:
        notes.append("there is no history yet; it begins with the next promotion")
    problems = [
        *_signers(entries, accepted),
        *_pointers(history, settled, entries),
        *(_stages(tracker, model, entries) if settled == entries else ()),
        *_places(tracker, model, entries),
        *_files(tracker, entries),
        *(_copy(history, chain, head) if head is not None else ()),
    ]
    return Verification(model, chain.entries, chain.head, tuple(problems), tuple(notes))


def _signers(entries: Sequence[Entry], accepted: Accepted) -> Iterator[str]:
    for entry in entries:
        keys = accepted(entry.alias)
        if keys and entry.key not in keys:
            yield f"entry {entry.number} of {entry.model}: the gate of {entry.alias} does not accept its signer {entry.key}"


def _pointers(history: History, settled: list[Entry], entries: list[Entry]) -> Iterator[str]:
    """Pointers that stand where neither the history says nor an interrupted entry was about to put them."""
    if not entries:
        return
    going = history.moved_outside(entries)
    for alias, (says, stands) in history.moved_outside(settled).items():
        if alias in going:
            yield (
                f"{alias} of {history.model} stands at version {stands}, but its history says version {says}: "
                f"another program moved it; `ocr-sweep models rollback {history.model}` records that and puts it back"
            )


def _stages(tracker: Tracker, model: str, entries: Sequence[Entry]) -> Iterator[str]:
    """MLflow's stages, which must hold one version each, the pointer's."""
    for pointer in (PRODUCTION, STAGING):
        moves = [entry for entry in entries if entry.alias == pointer.alias and entry.moves]
        if not moves or moves[-1].what == "found":  # a stage that others gave is theirs
            continue
        said = [moves[-1].version] if moves[-1].version is not None else []
        stand = sorted(version.number for version in versions(tracker, model) if version.stage == pointer.title)
        if stand != said:
            yield f"stage {pointer.title} of {model} must hold {_listed(said)}, as its alias does, but holds {_listed(stand)}"


def _places(tracker: Tracker, model: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Versions that hold a pointer, but are of another run than the history says, or hand out other files than their run's."""
    for alias in sorted({entry.alias for entry in entries}):
        last = next((entry for entry in reversed(entries) if entry.alias == alias and entry.moves), None)
        if last is None or last.version is None:
            continue
        try:
            version = version_numbered(tracker, model, last.version)
        except NotFoundError as error:
            yield f"{alias} of {model}: {error}"
            continue
        if last.onnx_sha256 and version.onnx_sha256 != last.onnx_sha256:
            yield f"{alias} of {model}: the tags of version {last.version} speak of another ONNX file than the history does"
        if version.run_id != last.run_id:
            yield f"{alias} of {model}: version {last.version} must be of run {last.run_id}, but is of run {version.run_id}"
        elif not (run := tracker.run(last.run_id)).complete:
            yield f"{alias} of {model}: version {last.version} must be of a complete run, but run {last.run_id} is {run.state}"
        elif elsewhere := handed_out(tracker, version):
            yield f"{alias} of {model}: version {last.version} must hand out the files of its run, but hands out {elsewhere}"


def _listed(numbers: Sequence[int | None]) -> str:
    return " and ".join(f"version {number}" for number in numbers) or "nobody"


def _files(tracker: Tracker, entries: Sequence[Entry]) -> Iterator[str]:
    """Every file that an entry names, and the gate's record: that it speaks of this version, and said yes."""
    seen: set[tuple[str, str, str]] = set()
    for entry in entries:
        new = {name: sha256 for name, sha256 in entry.evidence.items() if (entry.run_id, name, sha256) not in seen}
        seen |= {(entry.run_id, name, sha256) for name, sha256 in new.items()}
        try:
            check_files(tracker, entry.run_id, new)
            if entry.what == "promote":
                _check_record(tracker, entry)
        except EvidenceError as error:
            yield f"entry {entry.number} of {entry.model} (version {entry.version}): {error}"


def _copy(history: History, chain: Chain, head: Head) -> Iterator[str]:
    """The copy of the history that others would fetch."""
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
        try:
            content = history.tracker.files(head.run_id).fetch(history.copy_name, Path(folder)).read_bytes()
        except NotFoundError:
            content = b""
    if not content.startswith(b"".join(entry.line() for entry in chain.entries[: head.number])):
        yield (
            f"the copy of the history of {history.model} at run {head.run_id}, {history.copy_name}, was changed or removed; "
            "the history itself is whole, and the next promotion or rollback copies it again"
        )


def _check_record(tracker: Tracker, entry: Entry) -> None:
    name = next((name for name in entry.evidence if name.endswith(".gate.json")), None)
    if name is None:
        raise IntegrityError("no record of the gate goes with it")
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
        record, _ = read_signed(tracker.files(entry.run_id).fetch(name, Path(folder)))
    files = {file: sha256 for file, sha256 in entry.evidence.items() if not file.startswith("registry/")}
    if (record["model"], record["version"], record["alias"], record["files"]) != (entry.model, entry.version, entry.alias, files):
        raise IntegrityError(f"{name} speaks of other files, or of another version")
    if not (record["passed"] or (entry.forced and record["because"])):
        raise IntegrityError(f"{name} says that the gate refused, and nobody overruled it")
