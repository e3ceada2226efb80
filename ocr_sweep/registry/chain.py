"""The history of a registered model as a chain: each entry holds the hash of the one before it, and is signed.

Pure: from bytes to entries, or to the first broken link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from ocr_sweep.config.block import Strict
from ocr_sweep.config.fingerprint import canonical_json, fingerprint
from ocr_sweep.registry.keys import Signer, signature_holds

What = Literal["found", "promote", "rollback", "vacate", "refuse"]
GENESIS = "0" * 64  # what the first entry names as the one before it
_SEAL = {"sha256", "signature"}


class Entry(Strict):
    """One thing that happened to a pointer of a model: production, staging, or a customer's production.

    `found` is where a pointer stood that others had moved, `vacate` that it points nowhere any more, `refuse` that the gate
    said no and nothing moved.
    """

    model: str
    number: int  # from 1
    previous: str  # sha256 of the entry before
    when: str  # UTC, ISO 8601
    who: str  # user@machine, as the operating system says
    what: What
    alias: str  # the pointer
    version: int | None  # that it points to from now on; of a refusal, the one that was refused; None of a vacated pointer
    former: int | None  # that it pointed to before
    run_id: str  # of the version; of a vacated pointer, of the former one
    parent: int | None  # of a customer's version: the version in production, which it stands for
    forced: bool
    why: str
    evidence: dict[str, str]  # sha256 of the run's artifacts, by name: its files, the gate's record, the model card
    key: str = ""  # public half of the key that signed
    sha256: str = ""  # of everything above
    signature: str = ""

    @property
    def moves(self) -> bool:
        """Whether the pointer stands where this entry says; a refusal moves nothing."""
        return self.what != "refuse"

    @property
    def onnx_sha256(self) -> str:
        """Of the version's file; empty where it was not known."""
        return self.evidence.get("model/model.onnx", "")

    def sealed(self, signer: Signer) -> Entry:
        """The same entry, hashed and signed."""
        named = self.model_copy(update={"key": signer.public})
        sha256 = named.content_sha256()
        return named.model_copy(update={"sha256": sha256, "signature": signer.sign(sha256)})

    def content_sha256(self) -> str:
        """What `sha256` must be."""
        return fingerprint(self.model_dump(mode="json", exclude=_SEAL))

    def line(self) -> bytes:
        """The entry as it is kept: canonical, so that no byte can change without a trace."""
        return canonical_json(self).encode() + b"\n"


@dataclass(frozen=True)
class Chain:
    """What a history's file holds."""

    entries: tuple[Entry, ...]  # up to the first broken link
    broken: str = ""  # what is wrong with the line after them; empty: nothing
    torn: bytes = b""  # the beginning of a line that a kill interrupted, at the end

    @property
    def head(self) -> str:
        """The hash of the last entry."""
        return self.entries[-1].sha256 if self.entries else GENESIS


def read_chain(content: bytes, model: str) -> Chain:
    """Read a history's bytes and check every link: form, order, hash, signature."""
    *lines, torn = content.split(b"\n")
    entries: list[Entry] = []
    for line in lines:
        previous = entries[-1].sha256 if entries else GENESIS
        wrong = _wrong(line, len(entries) + 1, previous, model)
        if wrong:
            return Chain(tuple(entries), f"entry {len(entries) + 1}: {wrong}")
        entries.append(Entry.model_validate_json(line))
    return Chain(tuple(entries), torn=torn)


def _wrong(line: bytes, number: int, previous: str, model: str) -> str:
    """What is wrong with a line; empty where nothing is."""
    try:
        entry = Entry.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        return f"cannot be read: {'.'.join(map(str, first['loc']))} {first['msg']}".replace("  ", " ")
    if entry.line() != line + b"\n":
        return "is not written as it was signed"
    if entry.content_sha256() != entry.sha256:
        return f"was changed: its hash must be {entry.sha256[:12]}…, but is {entry.content_sha256()[:12]}…"
    if (entry.model, entry.number) != (model, number):
        return f"must be number {number} of {model}, but is number {entry.number} of {entry.model}: lines are missing or moved"
    if entry.previous != previous:
        return f"must follow {previous[:12]}…, but follows {entry.previous[:12]}…: lines are missing or moved"
    if not signature_holds(entry.key, entry.sha256, entry.signature):
        return f"was not signed by the key {entry.key[:12]}… that it names"
    return ""


def holder_in(entries: Sequence[Entry], alias: str) -> int | None:
    """The version that a pointer stands at, as the entries say; None where it points nowhere."""
    return next((entry.version for entry in reversed(entries) if entry.alias == alias and entry.moves), None)


def stack(entries: Sequence[Entry], alias: str) -> list[Entry]:
    """How a pointer came where it stands, the present holder last: promotions put a version on top, rollbacks take it off."""
    held: list[Entry] = []
    for entry in entries:
        if not entry.moves or entry.alias != alias:
            continue
        if entry.version is None:
            held = held[:-1]
        elif entry.what == "rollback" and any(below.version == entry.version for below in held):
            while held[-1].version != entry.version:
                held.pop()
        elif not held or held[-1].version != entry.version:
            held.append(entry)
    return held


def as_of(entries: Sequence[Entry], alias: str, moment: datetime) -> Entry | None:
    """The entry that said at a moment where a pointer stood; None where it stood nowhere yet."""
    moves = [entry for entry in entries if entry.moves and entry.alias == alias]
    return next((entry for entry in reversed(moves) if datetime.fromisoformat(entry.when) <= moment), None)
