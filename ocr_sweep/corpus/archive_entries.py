"""The plain files of a zip or tar, one after the other; the first entry that is anything else ends it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, BinaryIO, Protocol

from ocr_sweep.corpus import archive_limits
from ocr_sweep.corpus.archive_limits import Budget, HostileArchiveError, too_many_entries
from ocr_sweep.corpus.entry_names import check_name, utf8_name

_CHUNK = 2**20  # bytes
_MAX_READ = 4 * 2**20  # bytes that tarfile may ask for at once, e.g. of a header's extension
_ENTRY = 46  # bytes of an entry in a zip's directory, without its name
_UNIX = (3, 19)  # makers of zip entries that note the kind of a file: Unix and macOS
BROKEN = (
    OSError, EOFError, ValueError, LookupError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError, tarfile.TarError,
    zipfile.BadZipFile, struct.error,
)  # fmt: skip


class Readable(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""


@dataclass(frozen=True)
class Entry:
    """A plain file in an archive; its name was checked."""

    name: str
    size: int  # bytes, as the archive says
    position: int  # in the archive, for the progress
    open: Callable[[], IO[bytes]]


def entries_of(file: BinaryIO, name: str, budget: Budget) -> Iterator[Entry]:
    """Yield the plain files of an archive; a `name` in .zip is read as a zip, any other as a tar.

    Raises:
        HostileArchiveError: the archive is damaged or encrypted, or an entry is no plain file or is named so that it could
            be written elsewhere.
    """
    entries = _zip_entries(file, budget) if name.lower().endswith(".zip") else _tar_entries(file, budget)
    while True:
        try:
            entry = next(entries, None)
        except BROKEN as error:
            raise damaged(error) from error
        if entry is None:
            return
        yield entry


def damaged(error: Exception) -> HostileArchiveError:
    """What to raise when a reader gives up."""
    return HostileArchiveError(f"it is damaged or cut short: {' '.join(str(error).split())[:120] or type(error).__name__}")


def _zip_entries(file: BinaryIO, budget: Budget) -> Iterator[Entry]:
    _check_directory(file, budget.archive)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            raw = utf8_name(info.orig_filename, marked=bool(info.flag_bits & 0x800))
            budget.count(raw or info.orig_filename, info.file_size)
            kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system in _UNIX else 0
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise HostileArchiveError(f"entry {info.filename!a} is a link or device, and only plain files are unpacked")
            if raw is None:
                raise HostileArchiveError(f"the name of entry {info.filename!a} is not UTF-8; pack it again with UTF-8 names")
            if info.flag_bits & 1:
                raise HostileArchiveError(f"entry {info.filename!a} is encrypted; pack it again without a password")
            name = _checked(raw)
            if not info.is_dir() and kind != stat.S_IFDIR:
                yield Entry(name, info.file_size, info.header_offset, partial(archive.open, info))


def _check_directory(file: BinaryIO, size: int) -> None:
    """Refuse a zip whose directory alone would fill the memory, before it is read."""
    file.seek(max(0, size - 2**16 - 22))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    directory = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    if directory == 0xFFFFFFFF:  # the real size stands in the record of the 64-bit format before it
        wide = tail.rfind(b"PK\x06\x06", 0, end)
        directory = int.from_bytes(tail[wide + 40 : wide + 48], "little") if wide >= 0 else size
    if directory > archive_limits.MAX_ENTRIES * (_ENTRY + 255):
        raise too_many_entries()


def _tar_entries(file: BinaryIO, budget: Budget) -> Iterator[Entry]:
    file.seek(0)
    magic = file.read(6)
    file.seek(0)
    guarded = _Guarded(_decompressed(file, magic), budget)
    with tarfile.open(fileobj=guarded, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:  # type: ignore[call-overload]
        while (info := archive.next()) is not None:
            archive.members.clear()  # it would grow with every entry
            budget.count(info.name, info.size)
            name = _checked(info.name)
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise HostileArchiveError(f"entry {name!a} is a link, device or sparse file, and only plain files are unpacked")
            yield Entry(name, info.size, file.tell(), partial(_member, archive, info))
    if guarded.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header after the first for the end
        raise HostileArchiveError("it is damaged or cut short: it has no end mark")


def _decompressed(file: BinaryIO, magic: bytes) -> Readable:
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if magic == b"\xfd7zXZ\x00" else file


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    member = archive.extractfile(info)
    assert member is not None, "a plain file can be opened"
    return member


def _checked(name: str) -> str:
    try:
        return check_name(name)
    except ValueError as error:
        raise HostileArchiveError(str(error)) from None


class _Guarded:
    """The stream of a tar, read forwards: it refuses to be read too far or too much at once.

    A step back, which tarfile makes by one byte, is served from what was read last; a compressed stream would begin anew.
    """

    def __init__(self, stream: Readable, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self._at = 0  # bytes
        self._ahead = b""  # read again next
        self.last = b""  # what was read last

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        if size < 0 or size > _MAX_READ:
            raise HostileArchiveError(f"a header of it claims {size:,} bytes")
        self._budget.check(self._at)
        content, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(content) < size:
            content += self._stream.read(size - len(content))
        self._at += len(content)
        self.last = content
        return content

    def seek(self, offset: int) -> int:
        """Go to an offset from the beginning; beyond the end, to the end."""
        back = self._at - offset
        if back > 0:
            if back > len(self.last):
                raise HostileArchiveError("its headers point backwards")
            self._ahead = self.last[-back:] + self._ahead
            self.last = self.last[:-back]
            self._at = offset
        while self._at < offset and self.read(min(_CHUNK, offset - self._at)):
            pass
        return self._at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at
