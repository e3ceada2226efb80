"""How much an archive may hold, and what is counted while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_ENTRIES = 500_000
MAX_FILE = 512 * 2**20  # bytes of one file
MAX_TOTAL = 64 * 2**30  # bytes of all files
MAX_RATIO = 200  # bytes that may come out of one byte of the archive
RATIO_FROM = 64 * 2**20  # bytes that may come out of any archive


class HostileArchiveError(Exception):
    """This archive is not unpacked; the text is the reason. It never leaves the room."""


def too_many_entries() -> HostileArchiveError:
    """What to raise of an archive with more entries than it may have."""
    return HostileArchiveError(f"it has more than {MAX_ENTRIES:,} entries; unpack it yourself and name the folder")


@dataclass
class Budget:
    """What an archive has used up of what it may."""

    archive: int  # bytes
    entries: int = 0
    total: int = 0  # bytes
    files: set[str] = field(default_factory=set)  # names as a file system without case would compare them
    folders: set[str] = field(default_factory=set)

    def count(self, name: str, size: int) -> None:
        """Count an entry before it is read."""
        self.entries += 1
        if self.entries > MAX_ENTRIES:
            raise too_many_entries()
        if size > MAX_FILE:
            raise HostileArchiveError(f"entry {name!a} of {size:,} bytes is larger than {MAX_FILE:,}")
        self.check(self.total + size)

    def check(self, total: int) -> None:
        """Refuse a total that the archive's size cannot account for."""
        if total > MAX_TOTAL:
            raise HostileArchiveError(f"it holds more than {MAX_TOTAL:,} bytes; unpack it yourself and name the folder")
        if total > max(RATIO_FROM, MAX_RATIO * self.archive):
            raise HostileArchiveError(f"its {self.archive:,} bytes unpack to more than {MAX_RATIO} times as many, as a bomb's do")

    def claim(self, name: str) -> None:
        """Refuse a name that another entry would overwrite, on this file system or on one that ignores case."""
        key = name.casefold()
        parents = {key[:i] for i, char in enumerate(key) if char == "/"}
        if key in self.files or key in self.folders or parents & self.files:
            raise HostileArchiveError(f"entry {name!a} and another one have the same name (letter case does not count)")
        self.files.add(key)
        self.folders |= parents
