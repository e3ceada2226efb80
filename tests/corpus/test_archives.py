"""Archives: what they hold is read as a folder is, and hostile ones are refused with nothing left on the disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocr_sweep.config.corpus import CorpusConfig, ScannedConfig
from ocr_sweep.corpus import archive_limits, archives, plan_corpus
from ocr_sweep.corpus.archives import unpack
from ocr_sweep.corpus.entry_names import check_name, utf8_name
from ocr_sweep.corpus.scans import ScannedSource, list_source
from ocr_sweep.errors import DataError, NotFoundError, StoreError

Book = Callable[..., dict[str, Any]]
PNG = b"\x89PNG not looked at here"


def tar_bytes(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        for info, content in entries:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return memory.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_bytes(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    memory = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(memory, "w", method) as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in entries:
            archive.writestr(name, content)
    return memory.getvalue()


def zip_entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename, info.create_system, info.external_attr = name, 3, mode << 16
    return info


def pack(folder: Path, to: Path, inside: str = "") -> None:
    """Pack a folder as its suffix says."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if to.suffix == ".zip":
        with zipfile.ZipFile(to, "w") as archive:
            for path in files:
                archive.write(path, f"{inside}{path.relative_to(folder)}")
    else:
        kind = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".xz": "xz"}.get(to.suffix, "")
        with tarfile.open(to, f"w:{kind}") as tar:  # type: ignore[call-overload]
            for path in files:
                tar.add(path, f"{inside}{path.relative_to(folder)}")


def listed(block: dict[str, Any], root: Path) -> ScannedSource:
    return list_source(ScannedConfig.model_validate(block), "天地玄日月", data_root=root, cache=root.parent / "cache")


@pytest.mark.parametrize("suffix", archives.SUFFIXES)
def test_an_archive_gives_what_its_folder_gives(suffix: str, scans: Path, book: Book) -> None:
    pack(scans / "book", scans / f"packed{suffix}", inside="book/")
    folder, packed = (listed(book(path=path, group="writer"), scans) for path in ("book", f"packed{suffix}"))
    assert packed.sha256 == folder.sha256
    assert [scan.file for scan in packed.scans] == [scan.file for scan in folder.scans]
    assert [scan.path.read_bytes() for scan in packed.scans] == [scan.path.read_bytes() for scan in folder.scans]


def test_an_archive_and_its_folder_are_one_corpus(scans: Path, book: Book, recipe: Callable[..., CorpusConfig]) -> None:
    pack(scans / "book", scans / "book.zip")
    cache = scans.parent / "cache"
    plans = [plan_corpus(recipe(scanned=[book(path=path)]), data_root=scans, cache=cache) for path in ("book", "book.zip")]
    assert plans[0].fingerprint == plans[1].fingerprint


def test_an_archive_may_hold_a_label_csv(scans: Path, book: Book) -> None:
    (scans / "book" / "labels.csv").write_text("file,label\n天/0.png,天\n地/1.png,U+5730\n", encoding="utf-8")
    pack(scans / "book", scans / "book.tgz", inside="book/")
    folder, packed = (listed(book(path=path, labels="labels.csv"), scans) for path in ("book", "book.tgz"))
    assert packed.sha256 == folder.sha256 and [scan.char for scan in packed.scans] == ["地", "天"]


def test_an_archive_is_unpacked_once(scans: Path, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(scans / "book", scans / "book.zip")
    before = listed(book(path="book.zip"), scans)
    monkeypatch.setattr(archives, "_unpack_aside", None)  # it would fail
    (scans / "book.zip").rename(scans / "moved.zip")
    assert listed(book(path="moved.zip"), scans).scans == before.scans


def test_only_pictures_and_tables_are_written(tmp_path: Path) -> None:
    names = ["天/1.PNG", "天/run.sh", "README", "meta.csv", "__MACOSX/天/._1.png", ".hidden.png", "boxes.json"]
    (tmp_path / "a.zip").write_bytes(zip_bytes(*((name, PNG) for name in names)))
    root = unpack(tmp_path / "a.zip", tmp_path / "cache")
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert found == {"天/1.PNG", "meta.csv", "boxes.json"}


def test_decomposed_names_of_macos_are_composed(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes((entry("か\u3099/1.png"), PNG), (entry("き/1.png"), PNG)))
    assert (unpack(tmp_path / "a.tar", tmp_path / "cache") / "が" / "1.png").read_bytes() == PNG


def test_unmarked_zip_names_are_read_as_utf8() -> None:
    assert utf8_name("天".encode().decode("cp437"), marked=False) == "天"
    assert utf8_name("天", marked=True) == "天"
    assert utf8_name("天".encode("gbk").decode("cp437"), marked=False) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a.png", "climbs out"),
        ("天/../../a.png", "climbs out"),
        ("/etc/a.png", "absolute"),
        ("C:/a.png", "absolute"),
        ("天\\a.png", "backslash"),
        ("天/a\0.png", "control character"),
        ("天/a\n.png", "control character"),
        ("\udce5.png", "not UTF-8"),
        ("\uf900/a.png", "normal form"),
        ("國" * 86 + ".png", "255"),
        ("a/" * 600 + "a.png", "1024"),
        (".", "empty"),
    ],
)
def test_names_that_could_go_elsewhere_are_refused(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_name(name)


def _truncated(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def _forged(whole: bytes, real: int, said: int) -> bytes:
    """A zip whose directory and header say another size."""
    return whole.replace(real.to_bytes(4, "little"), said.to_bytes(4, "little"))


NOISE = random.Random(0).randbytes(3000)  # cannot be compressed
SOUND = tuple((entry(f"{i}.png"), NOISE) for i in range(4))
HOSTILE: dict[str, tuple[str, bytes, str]] = {
    "zip slip": (".zip", zip_bytes(("a.png", PNG), ("../evil.png", PNG)), "climbs out"),
    "zip absolute": (".zip", zip_bytes((zip_entry("/evil.png", stat.S_IFREG | 0o644), PNG)), "absolute"),
    "zip backslash": (".zip", zip_bytes((zip_entry("..\\evil.png", stat.S_IFREG), PNG)), "backslash"),
    "zip NUL": (".zip", zip_bytes((zip_entry("evil.png", stat.S_IFREG), PNG)).replace(b"evil.png", b"evi\0.png"), "control"),
    "zip symlink": (".zip", zip_bytes((zip_entry("a.png", stat.S_IFLNK | 0o777), b"/etc/passwd")), "link or device"),
    "zip device": (".zip", zip_bytes((zip_entry("a.png", stat.S_IFCHR | 0o666), b"")), "link or device"),
    "zip duplicate": (".zip", zip_bytes((zip_entry("a.png", 0), PNG), (zip_entry("a.png", 0), PNG)), "same name"),
    "zip case clash": (".zip", zip_bytes(("天/A.png", PNG), ("天/a.png", PNG)), "same name"),
    "zip file as folder": (".zip", zip_bytes(("a.png", PNG), ("A.png/b.png", PNG)), "same name"),
    "zip bomb": (".zip", zip_bytes(("a.png", bytes(3_000_000)), ("b.png", bytes(3_000_000))), "200 times"),
    "zip false size": (".zip", _forged(zip_bytes(("a.png", bytes(70_001))), 70_001, 60_001), "damaged"),
    "zip not UTF-8": (
        ".zip",
        zip_bytes(("天.png", PNG)).replace("天.png".encode(), b"\xcc\xec\xff.png").replace(b"\0\x08\x08\0", b"\0\0\x08\0"),
        "UTF-8",
    ),
    "zip truncated": (".zip", _truncated(zip_bytes(("a.png", NOISE))), "damaged"),
    "zip of text": (".zip", b"just text", "damaged"),
    "tar slip": (".tar", tar_bytes((entry("../evil.png"), PNG)), "climbs out"),
    "tar absolute": (".tar", tar_bytes((entry("/evil.png"), PNG)), "absolute"),
    "tar symlink": (".tar", tar_bytes((entry("天", tarfile.SYMTYPE, ".."), b""), (entry("天/evil.png"), PNG)), "link, device"),
    "tar hardlink": (".tar", tar_bytes((entry("a.png", tarfile.LNKTYPE, "/etc/passwd"), b"")), "link, device"),
    "tar device": (".tar", tar_bytes((entry("a.png", tarfile.CHRTYPE), b"")), "link, device"),
    "tar pipe": (".tar", tar_bytes((entry("a.png", tarfile.FIFOTYPE), b"")), "link, device"),
    "tar duplicate": (".tar", tar_bytes((entry("a.png"), PNG), (entry("./a.png"), PNG)), "same name"),
    "tar case clash": (".tar", tar_bytes((entry("天/A.PNG"), PNG), (entry("天/a.png"), PNG)), "same name"),
    "tar bomb": (".tar.gz", gzip.compress(tar_bytes(*((entry(f"{i}.png"), bytes(3_000_000)) for i in range(2)))), "200 times"),
    "tar bomb unseen": (".tar.xz", lzma.compress(tar_bytes((entry("a.txt"), bytes(5_000_000)), SOUND[0])), "200 times"),
    "tar huge header": (".tar.gz", gzip.compress(tar_bytes((entry("a" * 5_000_000), PNG))), "header of it claims|200 times"),
    "tar truncated": (".tar", tar_bytes(*SOUND)[:6000], "damaged"),
    "tar cut between entries": (".tar", tar_bytes(*SOUND)[: 2 * 3584], "no end mark"),
    "tar damaged header": (".tar", tar_bytes(*SOUND).replace(b"2.png", b"9.png"), "no end mark"),
    "tgz truncated": (".tgz", _truncated(gzip.compress(tar_bytes(*SOUND))), "damaged"),
    "bz2 truncated": (".tar.bz2", _truncated(bz2.compress(tar_bytes(*SOUND))), "damaged"),
    "xz flipped": (".tar.xz", lzma.compress(tar_bytes(*SOUND)).replace(b"\xfd7zXZ\0\0\4", b"\xfd7zXZ\0\0\5"), "damaged"),
    "tar of text": (".tar", b"just text", "damaged"),
    "empty": (".tar", b"", "damaged"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused_and_leave_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suffix, content, reason = HOSTILE[name]
    monkeypatch.setattr(archive_limits, "RATIO_FROM", 4_000_000)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"is not unpacked, because .*({reason})") as caught:
        unpack(path, tmp_path / "data" / "cache")
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
    left = {file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".lock"}
    assert left == {path.relative_to(tmp_path)}


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_too_many_entries_are_refused(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_limits, "MAX_ENTRIES", 10)
    many = [f"{i:03}.png" for i in range(100)]
    content = (
        zip_bytes(*((name, b"") for name in many)) if suffix == ".zip" else tar_bytes(*((entry(name), b"") for name in many))
    )
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(DataError, match="more than 10 entries; unpack it yourself"):
        unpack(tmp_path / f"a{suffix}", tmp_path / "cache")


def test_a_large_zip_directory_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zip").write_bytes(zip_bytes(*((f"{i:03}.png", b"") for i in range(100))))
    monkeypatch.setattr(archive_limits, "MAX_ENTRIES", 10)
    monkeypatch.setattr(zipfile, "ZipFile", None)  # it would fail
    with pytest.raises(DataError, match="more than 10 entries"):
        unpack(tmp_path / "a.zip", tmp_path / "cache")


def test_too_large_files_and_totals_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes(*SOUND))
    monkeypatch.setattr(archive_limits, "MAX_TOTAL", 10_000)
    with pytest.raises(DataError, match="holds more than 10,000 bytes"):
        unpack(tmp_path / "a.tar", tmp_path / "cache")
    monkeypatch.setattr(archive_limits, "MAX_FILE", 1_000)
    with pytest.raises(DataError, match="3,000 bytes is larger than 1,000"):
        unpack(tmp_path / "a.tar", tmp_path / "cache")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_bytes(("a.png", PNG)))
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        content[content.index(mark) + place] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="encrypted; pack it again without a password"):
        unpack(tmp_path / "a.zip", tmp_path / "cache")


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes(*SOUND))
    root = unpack(tmp_path / "a.tar", tmp_path / "cache").parent
    final = next(path for path in (tmp_path / "cache" / "archives").iterdir() if path.is_dir())
    final.rename(final.with_name(f".{final.name}.tmp"))
    (final.with_name(f".{final.name}.tmp") / "half.png").write_bytes(b"")
    unpack(tmp_path / "a.tar", tmp_path / "cache")
    assert not list(root.rglob("half.png")) and not list(final.parent.glob("*.tmp"))


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes(*SOUND))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_write", full)
    with pytest.raises(StoreError, match="unpacking"):
        unpack(tmp_path / "a.tar", tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache" / "archives").iterdir() if path.is_dir()]


def test_damaged_archives_never_crash(tmp_path: Path) -> None:
    rng = random.Random(0)
    sources = {".zip": zip_bytes(("天/a.png", PNG * 50), ("天/b.png", PNG)), ".tgz": gzip.compress(tar_bytes(*SOUND[:2]))}
    for suffix, whole in sources.items():
        for _ in range(60):
            mutant = bytearray(whole)
            for _ in range(3):
                mutant[rng.randrange(len(mutant))] = rng.randrange(256)
            (tmp_path / f"a{suffix}").write_bytes(mutant)
            try:
                unpack(tmp_path / f"a{suffix}", tmp_path / "cache")
            except DataError as error:
                assert str(error)


def test_a_missing_archive_is_named(scans: Path, book: Book) -> None:
    with pytest.raises(NotFoundError, match=r"no archive 'absent.tar.gz' under the data root"):
        listed(book(path="absent.tar.gz"), scans)
