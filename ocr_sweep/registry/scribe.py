"""The history of a registered model as it is written.

The entry is written first and is the promise; copy, pointer and head follow, and whoever takes the lock next finishes what a
kill left of them. So at every moment a pointer stands where the last entry says, or where the one before said.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime

from ocr_sweep.disk import store_errors, sync_directory, write_bytes
from ocr_sweep.errors import IntegrityError
from ocr_sweep.registry.chain import Chain, Entry, What, holder_in
from ocr_sweep.registry.evidence import hashes_of_version
from ocr_sweep.registry.history import COPIES, HEAD, Head, History
from ocr_sweep.registry.keys import Signer
from ocr_sweep.registry.pointer import PRODUCTION, STAGING, Pointer, move, vacate
from ocr_sweep.registry.register import Version, standing
from ocr_sweep.tracking.mlflow_client import tracking_errors


class Scribe:
    """Writes entries and lets the registry follow them; for who holds the registry's lock."""

    def __init__(self, history: History, signer: Signer, entries: list[Entry]) -> None:
        self.history = history
        self.signer = signer
        self.entries = entries

    @classmethod
    def sit_down(cls, history: History, signer: Signer) -> Scribe:
        """Check the history, finish what a killed command left, and record what stood before there was a history.

        Raises:
            IntegrityError: with the first broken link.
        """
        chain, head = history.read()
        if wrong := history.broken(chain, head):
            raise IntegrityError(wrong)
        scribe = cls(history, signer, list(chain.entries))
        if chain.torn:
            write_bytes(history.file, b"".join(entry.line() for entry in chain.entries))
        if len(chain.entries) > (head.number if head is not None else 0):
            scribe._finish(chain.entries[-1])
        if all(entry.what == "found" for entry in chain.entries):
            scribe.adopt("nothing has been promoted with a history yet")
        return scribe

    def holder(self, pointer: Pointer) -> int | None:
        """The version that a pointer stands at, as the history says."""
        return holder_in(self.entries, pointer.alias)

    def parent(self, pointer: Pointer) -> int | None:
        """Of a customer's version, the version in production, which it stands for."""
        return self.holder(PRODUCTION) if pointer.customer else None

    def adopt(self, why: str) -> None:
        """Record where pointers stand that another program has moved."""
        for alias, (said, stands) in self.history.moved_outside(self.entries).items():
            run_id, evidence = hashes_of_version(self.history.tracker, self.history.model, stands)
            last = next((entry.run_id for entry in reversed(self.entries) if entry.alias == alias), "")
            self._write("found", alias, stands, said, run_id or last, why, evidence)

    def leave_staging(self, goes_to: Pointer, version: Version) -> None:
        """Let a version in staging go when it goes to production: it has one stage only."""
        if goes_to == PRODUCTION and self.holder(STAGING) == version.number:
            self._write("vacate", STAGING.alias, None, version.number, version.run_id, "it goes to production", {})

    def write(
        self, what: What, pointer: Pointer, version: Version, why: str, evidence: Mapping[str, str], *, forced: bool = False
    ) -> Entry:
        """Write an entry; where it moves the pointer, the pointer follows.

        Raises:
            StoreError: a store is away. Once the entry is written, the next command that sits down here finishes its work.
        """
        former, parent = self.holder(pointer), self.parent(pointer)
        return self._write(
            what, pointer.alias, version.number, former, version.run_id, why, evidence, parent=parent, forced=forced
        )

    def _write(
        self,
        what: What,
        alias: str,
        version: int | None,
        former: int | None,
        run_id: str,
        why: str,
        evidence: Mapping[str, str],
        *,
        parent: int | None = None,
        forced: bool = False,
    ) -> Entry:
        entry = Entry(
            model=self.history.model,
            number=len(self.entries) + 1,
            previous=Chain(tuple(self.entries)).head,
            when=datetime.now(UTC).isoformat(timespec="milliseconds"),
            who=who(),
            what=what,
            alias=alias,
            version=version,
            former=former,
            run_id=run_id,
            parent=parent,
            forced=forced,
            why=plain(why),
            evidence=dict(evidence),
        ).sealed(self.signer)
        self._append(entry.line())
        self.entries.append(entry)
        self._finish(entry)
        return entry

    def _append(self, line: bytes) -> None:
        """Add a line to the file; once this returns, it survives a kill."""
        file = self.history.file
        with store_errors(f"writing {file}"):
            file.parent.mkdir(parents=True, exist_ok=True)
            new = not file.exists()
            handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                while line:
                    line = line[os.write(handle, line) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            if new:
                sync_directory(file.parent)

    def _finish(self, entry: Entry) -> None:
        """Copy, pointer, head: each can be done again."""
        tracker = self.history.tracker
        if entry.run_id:
            tracker.upload_file(entry.run_id, self.history.file, COPIES)
        self._move(entry)
        head = Head(entry.number, entry.sha256, entry.run_id or "-")
        with tracking_errors(tracker.client.tracking_uri):
            tracker.client.set_registered_model_tag(entry.model, HEAD, str(head))

    def _move(self, entry: Entry) -> None:
        """Move the pointer, unless somebody else has since."""
        tracker = self.history.tracker
        pointer, found = Pointer.of_alias(entry.alias), standing(tracker, entry.model)
        assert pointer is not None and found is not None
        if entry.what in ("found", "refuse") or found.aliases.get(entry.alias) not in (entry.former, entry.version):
            return
        if entry.version is not None:
            move(tracker, entry.model, pointer, entry.version)
        elif entry.former is not None:
            vacate(tracker, entry.model, pointer, entry.former)


def who() -> str:
    """Who does this, as the operating system says."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may know the number only
        user = f"user {os.getuid()}"
    return plain(f"{user}@{socket.gethostname()}")


def plain(text: str) -> str:
    """A person's words as they may be kept and shown: one line, no control characters, at most a thousand characters."""
    shown = "".join(char if char.isprintable() else " " for char in text.encode("utf-8", "replace").decode())
    return " ".join(shown.split())[:1000]
