"""The corpus store: built aside under a lock, checked, then renamed; named by the fingerprint and never changed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.corpus import CorpusConfig, ScannedConfig
from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.corpus.audit import check_leaks
from ocr_sweep.corpus.fonts import Progress
from ocr_sweep.corpus.glyphs import PREPROCESSING, Gray
from ocr_sweep.corpus.jobs import Job, ScanJob, Unreadable, make_images
from ocr_sweep.corpus.layout import Entry, ReadScan, lay_out
from ocr_sweep.corpus.plan import FORMAT, CorpusPlan, library_versions, plan_corpus
from ocr_sweep.corpus.room import check_room, estimate
from ocr_sweep.corpus.scans import Scan, ScannedSource
from ocr_sweep.disk import file_lock, store_errors, sync_directory, write_json
from ocr_sweep.errors import ConflictError, DataError
from ocr_sweep.store import IMAGES, INDEX, ROW_DTYPE, CorpusView, Source, write_index

_REPORT_EVERY = 100  # images between two reports of progress


def build_corpus(
    recipe: CorpusConfig, *, data_root: Path, corpora: Path, cache: Path, workers: int, progress: Progress
) -> CorpusView:
    """Return the corpus of a recipe, and build it first unless it is there.

    A kill at any moment leaves nothing half-made under the corpus's name; what it leaves aside the next build removes.
    One worker and many give the same bytes.

    Args:
        corpora: the folder of all corpora; this one lies in `corpora/<fingerprint>`.
        cache: folder where the coverage of fonts is remembered.
        progress: called with what is being done, how much is done, and out of how much.

    Raises:
        NotFoundError: the data root, a scanned source or a named font does not exist.
        DataError: images, fonts or splits that cannot be used.
        StoreError: the disk is full, read-only or broken, or a worker died.
    """
    plan = plan_corpus(recipe, data_root=data_root, cache=cache, progress=progress)
    final = corpora / plan.fingerprint
    if not final.exists():
        with file_lock(_lock(corpora, plan.fingerprint), wait=True), store_errors(f"building corpus {recipe.name}"):
            if not final.exists():
                _remove_leftovers(corpora)
                check_room(estimate(plan), corpora)
                _build(plan, final, workers, progress)
    return CorpusView.open(final)


def _lock(corpora: Path, name: str) -> Path:
    return corpora / f".{name}.lock"


def _remove_leftovers(corpora: Path) -> None:
    """Remove what killed builds left, except where another build holds the lock right now."""
    for path in corpora.glob(".*.tmp"):
        try:
            with file_lock(_lock(corpora, path.name[1:-4]), wait=False):
                shutil.rmtree(path, ignore_errors=True)
        except ConflictError:
            continue


def _build(plan: CorpusPlan, final: Path, workers: int, progress: Progress) -> None:
    aside = final.with_name(f".{final.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)  # our own leftover: the lock is ours
    aside.mkdir()
    try:
        _fill(aside, plan, workers, progress)
        sync_directory(aside)
        aside.rename(final)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync_directory(final.parent)


def _fill(aside: Path, plan: CorpusPlan, workers: int, progress: Progress) -> None:
    size = plan.recipe.image_size
    left_out = {f"scans/{source.name}": _left_out(source) for source in plan.sources}
    read = _read_scans(aside / "scans.raw", plan, left_out, workers, progress)
    entries, sets = lay_out(plan, read, left_out)
    pixels = (
        np.memmap(aside / "scans.raw", np.uint8, "r", shape=(len(read), size, size))
        if read
        else np.empty((0, size, size), np.uint8)
    )
    digests = _write_images(aside / IMAGES, size, _images(entries, pixels, size, workers), len(entries), progress)
    rows = _rows(entries, sets, plan.recipe.charset.chars)
    check_leaks(rows, [entry.split for entry in entries], digests, [entry.name for entry in entries])
    write_index(aside / INDEX, rows, [entry.name for entry in entries], sets, plan.recipe.charset.chars)
    with (aside / INDEX).open("rb+") as file:
        _sync(file)
    del pixels
    (aside / "scans.raw").unlink()
    hashes = {name: file_sha256(aside / name) for name in (IMAGES, INDEX)}
    write_json(aside / "manifest.json", _manifest(plan, entries, sets, left_out, hashes))


def _left_out(source: ScannedSource) -> dict[str, Any]:
    return {"outside_charset": source.outside} if source.outside else {}


def _read_scans(
    path: Path, plan: CorpusPlan, left_out: dict[str, dict[str, Any]], workers: int, progress: Progress
) -> list[ReadScan]:
    """Read all scans into one raw file of (S, S) images; refuse a source with too many unreadable ones."""
    scans = [(number, scan) for number, source in enumerate(plan.sources) for scan in source.scans]
    images = make_images([ScanJob(scan.path, scan.rows) for _, scan in scans], plan.recipe.image_size, workers)
    read: list[ReadScan] = []
    bad: dict[int, list[tuple[Scan, str]]] = {}
    with path.open("wb") as file:
        for done, ((number, scan), image) in enumerate(zip(scans, images, strict=True)):
            _report(progress, "reading scans", done, len(scans))
            if isinstance(image, Unreadable):
                bad.setdefault(number, []).append((scan, image.reason))
                continue
            read.append(ReadScan(scan, number, len(read), _digest(image).hex()))
            file.write(image.tobytes())
    for number, problems in bad.items():
        _check_bad(plan.recipe.scanned[number], problems, len(plan.sources[number].scans))
        left_out[f"scans/{plan.sources[number].name}"]["bad"] = [[scan.file, reason] for scan, reason in problems]
    return read


def _check_bad(config: ScannedConfig, problems: list[tuple[Scan, str]], total: int) -> None:
    share = len(problems) / total
    if share <= config.max_bad:
        return
    listed = "\n".join(f"  {str(scan.path)!a}: {reason}" for scan, reason in problems[:10])
    more = f"\n  ... and {len(problems) - 10} more" if len(problems) > 10 else ""
    allowed = min(1.0, -(-share * 1000 // 1) / 1000)
    raise DataError(
        f"{len(problems)} of {total} images of scanned source {config.name!r} cannot be used, but `max_bad` allows a share of "
        f"{config.max_bad:g}; mend or remove them, or write `max_bad: {allowed:g}` to leave them out:\n{listed}{more}"
    )


def _images(entries: list[Entry], pixels: NDArray[np.uint8], size: int, workers: int) -> Iterator[Gray]:
    """Yield the image of every entry in order: scans from what was read, the others freshly drawn."""
    jobs: list[Job] = [entry.content for entry in entries if not isinstance(entry.content, int)]
    drawn = make_images(jobs, size, workers)
    for entry in entries:
        image = pixels[entry.content] if isinstance(entry.content, int) else next(drawn)
        assert not isinstance(image, Unreadable), "only scans can be unreadable"
        yield image
    assert next(drawn, None) is None


def _write_images(path: Path, size: int, images: Iterable[Gray], total: int, progress: Progress) -> list[bytes]:
    """Write (N, S, S) as .npy by plain writes: on a full disk a memory map would kill the process. Return pixel hashes."""
    digests: list[bytes] = []
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (total, size, size)}
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
        for done, image in enumerate(images):
            _report(progress, "writing images", done, total)
            file.write(image.tobytes())
            digests.append(_digest(image))
        _sync(file)
    assert len(digests) == total
    progress("writing images", total, total)
    return digests


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _report(progress: Progress, what: str, done: int, total: int) -> None:
    if done % _REPORT_EVERY == 0:
        progress(what, done, total)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _rows(entries: list[Entry], sets: list[str], chars: str) -> NDArray[np.void]:
    class_id = {char: i for i, char in enumerate(chars)}
    set_id = {name: i for i, name in enumerate(sets)}
    group_id: dict[str, int] = {}
    table = [
        (
            class_id[entry.char],
            int(entry.source),
            set_id[entry.set_name],
            group_id.setdefault(entry.group, len(group_id)),
            entry.fold,
            entry.place,
            set_id.get(entry.own_val, -1),
        )
        for entry in entries
    ]
    return np.array(table, dtype=ROW_DTYPE)


def _manifest(
    plan: CorpusPlan, entries: list[Entry], sets: list[str], left_out: dict[str, dict[str, Any]], hashes: dict[str, str]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "fingerprint": plan.fingerprint,
        "recipe": plan.recipe.model_dump(mode="json"),
        "sets": sets,
        "inputs": plan.inputs,
        "fonts": [
            {
                "name": f"{face.family} ({face.postscript_name})",
                "file": face.path.name,
                "index": face.index,
                "sha256": face.sha256,
                "role": role,
                "covered": len(face.glyph_hashes),
            }
            for face, role in plan.roles
        ],
        "simulated_font_shared": plan.simulated_font_shared,
        "skipped": [[skipped.name, skipped.reason] for skipped in plan.skipped],
        "libraries": library_versions(),
        "preprocessing": PREPROCESSING,
        "counts": _counts(entries, sets),
        "classes_without": _classes_without(plan.recipe.charset.chars, entries),
        "left_out": {name: found for name, found in left_out.items() if found},
        "sha256": hashes,
    }


def _counts(entries: list[Entry], sets: list[str]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for name in sets:
        held = [entry for entry in entries if entry.set_name == name]
        by_source = Counter(entry.source.name.lower() for entry in held)
        counts[name] = {"images": len(held), "classes": len({entry.char for entry in held}), **by_source}
    return counts


def _classes_without(chars: str, entries: list[Entry]) -> dict[str, str]:
    """The characters that a split does not judge, and those that no real image teaches."""
    held = {split: {entry.char for entry in entries if entry.split == split} for split in ("val", "test")}
    real = {entry.char for entry in entries if entry.split == "train" and entry.source == Source.SCANNED}
    missing = {"val": held["val"], "test": held["test"], "real_train": real}
    return {name: "".join(char for char in chars if char not in found) for name, found in missing.items()}
