"""The history of a registered model as it is read: a file in the project, its head in the registry, a copy at a run.

The file lies in the project that promotes (`mlruns/registry/`). The head, a tag of the registered model, says how many entries
there must be: a history whose end was cut off is found out. Where the runs are on a tracking server, another checkout of the
project fetches what it lacks from the copy that the head names; there, one machine at a time must promote, because a server
has no lock to offer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import store_errors, write_bytes
from ocr_sweep.errors import IntegrityError, NotFoundError
from ocr_sweep.registry.chain import Chain, Entry, read_chain
from ocr_sweep.registry.evidence import check_files
from ocr_sweep.registry.pointer import Pointer
from ocr_sweep.registry.register import standing
from ocr_sweep.tracking.mlflow_client import is_embedded
from ocr_sweep.tracking.tracker import Tracker

HEAD = "ocr_sweep.history"  # tag of a registered model: <number of entries>:<hash of the last>:<run that keeps a copy>
COPIES = "registry"  # folder of a run's artifacts for what the registry adds to it


@dataclass(frozen=True)
class Head:
    """What the registry says of a history's end."""

    number: int
    sha256: str
    run_id: str

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Head | None:
        """Read a registered model's tags; None where nothing was recorded yet.

        Raises:
            IntegrityError: the tag was changed.
        """
        if HEAD not in tags:
            return None
        number, _, rest = tags[HEAD].partition(":")
        sha256, _, run_id = rest.partition(":")
        if not (number.isdecimal() and int(number) > 0 and len(sha256) == 64 and run_id):
            raise IntegrityError(f"the registry's tag {HEAD} must name the end of the history, but reads '{tags[HEAD][:100]}'")
        return cls(int(number), sha256, run_id)

    def __str__(self) -> str:
        return f"{self.number}:{self.sha256}:{self.run_id}"


@dataclass(frozen=True)
class History:
    """The history of one registered model."""

    tracker: Tracker
    paths: Paths
    model: str

    @property
    def file(self) -> Path:
        """Where it lies."""
        return self.paths.histories / f"{self.model}.jsonl"

    @property
    def copy_name(self) -> str:
        """Its copy among a run's artifacts."""
        return f"{COPIES}/{self.file.name}"

    def read(self) -> tuple[Chain, Head | None]:
        """The chain, and its head as the registry has it; on a tracking server what this checkout lacks is fetched first.

        Raises:
            IntegrityError: the head cannot be read.
        """
        found = standing(self.tracker, self.model)
        head = Head.of(found.tags) if found is not None else None
        chain = self._chain()
        if head is not None and len(chain.entries) < head.number and not is_embedded(self.paths):
            self._fetch(head, chain)
            chain = self._chain()
        return chain, head

    def entries(self) -> list[Entry]:
        """Every entry, after checking that all are there and unchanged.

        Raises:
            IntegrityError: with the first broken link.
        """
        chain, head = self.read()
        if wrong := self.broken(chain, head):
            raise IntegrityError(wrong)
        return list(chain.entries)

    def broken(self, chain: Chain, head: Head | None) -> str:
        """The first broken link of a history, in words; empty where there is none.

        One entry more than the head knows is none: so a killed command leaves it, and the next one finishes its work.
        """
        where = f"the history of {self.model} ({self.file})"
        if chain.broken:
            return f"{where} is broken at {chain.broken}"
        known, said = len(chain.entries), head.number if head is not None else 0
        if head is not None and known < said:
            return (
                f"{where} must have {said} entries, as the registry says, but has {known}: its end was cut off. "
                f"A copy lies in the artifacts of run {head.run_id}, {self.copy_name}"
            )
        if known > said + 1:
            return f"{where} must have {said} entries, as the registry says, but has {known}: the registry was set back"
        if head is not None and chain.entries[said - 1].sha256 != head.sha256:
            return f"{where} is not the one that the registry knows: entry {said} must be {head.sha256[:12]}…, but is another"
        return ""

    def moved_outside(self, entries: Sequence[Entry]) -> dict[str, tuple[int | None, int | None]]:
        """Pointers that do not stand where the history says: (where it says, where they stand), by alias."""
        found = standing(self.tracker, self.model)
        stand = {alias: number for alias, number in (found.aliases if found else {}).items() if Pointer.of_alias(alias)}
        said = {entry.alias: entry.version for entry in entries if entry.moves}
        pairs = {alias: (said.get(alias), stand.get(alias)) for alias in sorted({*said, *stand})}
        return {alias: pair for alias, pair in pairs.items() if pair[0] != pair[1]}

    def card_of(self, entries: Sequence[Entry], held: Entry) -> str:
        """The model card of a version that holds or held a pointer; empty where no gate has written one.

        Raises:
            IntegrityError: it is not what was recorded.
        """
        for entry in reversed(entries):
            name = next((name for name in entry.evidence if name.endswith(".card.md")), None)
            if name is not None and (entry.version, entry.alias) == (held.version, held.alias):
                check_files(self.tracker, entry.run_id, {name: entry.evidence[name]})
                with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
                    return self.tracker.files(entry.run_id).fetch(name, Path(folder)).read_text(encoding="utf-8")
        return ""

    def _chain(self) -> Chain:
        return read_chain(self.file.read_bytes() if self.file.exists() else b"", self.model)

    def _fetch(self, head: Head, chain: Chain) -> None:
        """Take the copy that the head names, if it goes on where this checkout's file ends; else the file stays as it is."""
        with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder, suppress(NotFoundError):
            content = self.tracker.files(head.run_id).fetch(self.copy_name, Path(folder)).read_bytes()
            copy = read_chain(content, self.model)
            if not copy.broken and copy.head == head.sha256 and copy.entries[: len(chain.entries)] == chain.entries:
                with store_errors(f"writing {self.file}"):
                    self.file.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(self.file, content)
