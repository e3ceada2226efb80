"""The corpus store: built aside under a lock, checked, then renamed; named by the fingerprint and never changed."""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.corpus.audit import check_leaks
from ocr_sweep.corpus.collapse import collapsed
from ocr_sweep.corpus.decisions import stable_name
from ocr_sweep.corpus.duplicates import copy_keys
from ocr_sweep.corpus.fonts import Progress
from ocr_sweep.corpus.glyphs import PREPROCESSING
from ocr_sweep.corpus.jobs import Batch, GlyphJob, Job, Maker, scan_jobs
from ocr_sweep.corpus.layout import Entry, ReadScan, lay_out
from ocr_sweep.corpus.pieces import Written, log_of, npy_head, sync, write_pieces
from ocr_sweep.corpus.plan import FORMAT, CorpusPlan, library_versions, plan_corpus
from ocr_sweep.corpus.room import check_room, estimate
from ocr_sweep.corpus.scan import Scan
from ocr_sweep.corpus.scans import ScannedSource
from ocr_sweep.disk import file_lock, store_errors, sync_directory, write_json
from ocr_sweep.errors import ConflictError, DataError, StoreError
from ocr_sweep.store import IMAGES, INDEX, ROW_DTYPE, CorpusView, Source, write_index

_KEPT = 7 * 24 * 3600  # seconds for which the leftover of a killed build waits for the same build to go on
_SCANS = 256  # scans copied at a time
_FULL = (errno.ENOSPC, errno.EDQUOT)


def build_corpus(
    recipe: CorpusConfig, *, data_root: Path, corpora: Path, cache: Path, make: Maker, progress: Progress
) -> CorpusView:
    """Return the corpus of a recipe, and build it first unless it is there.

    A kill at any moment leaves nothing half-made under the corpus's name. The images that were finished by then stay aside,
    and the next build of the same corpus goes on after them; a week later any build removes them. A full disk is given back
    at once. One worker and many, disturbed or not, give the same bytes.

    Args:
        corpora: the folder of all corpora; this one lies in `corpora/<fingerprint>`.
        cache: folder where the coverage of fonts is remembered.
        make: makes its images, e.g. `make_batches` with so many processes of this machine.
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
                _remove_leftovers(corpora, plan.fingerprint)
                check_room(estimate(plan), corpora, cache)
                _build(plan, final, make, progress)
    return CorpusView.open(final)


def _lock(corpora: Path, name: str) -> Path:
    return corpora / f".{name}.lock"


def _remove_leftovers(corpora: Path, kept: str) -> None:
    """Remove what killed builds left long ago, except `kept` and where another build holds the lock right now."""
    for path in corpora.glob(".*.tmp"):
        newest = max((file.stat().st_mtime for file in path.iterdir()), default=0.0)
        if path.name[1:-4] == kept or time.time() - newest < _KEPT:
            continue
        try:
            with file_lock(_lock(corpora, path.name[1:-4]), wait=False):
                shutil.rmtree(path, ignore_errors=True)
        except ConflictError:
            continue


def _build(plan: CorpusPlan, final: Path, make: Maker, progress: Progress) -> None:
    aside = final.with_name(f".{final.name}.tmp")
    aside.mkdir(exist_ok=True)  # our own leftover, if there is one: the lock is ours
    try:
        _fill(aside, plan, make, progress)
        sync_directory(aside)
        aside.rename(final)
    except Exception as error:
        if not _resumable(error):
            shutil.rmtree(aside, ignore_errors=True)
        raise
    sync_directory(final.parent)


def _resumable(error: Exception) -> bool:
    """A mistake in the recipe or the data would come again, and a full disk needs its room; a broken one may mend."""
    return isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno not in _FULL)


def _fill(aside: Path, plan: CorpusPlan, make: Maker, progress: Progress) -> None:
    size = plan.recipe.image_size
    left_out = {f"scans/{source.name}": _left_out(source) for source in plan.sources}
    left_out |= {f"generated/{source.listed.name}": dict(source.left_out) for source in plan.generated}
    read = _read_scans(aside / "scans.raw", plan, left_out, make, progress)
    pixels = (
        np.memmap(aside / "scans.raw", np.uint8, "r", shape=(len(read), size, size))
        if read
        else np.empty((0, size, size), np.uint8)
    )
    read = _with_copies(plan, read, pixels)
    entries, sets = lay_out(plan, read, left_out)
    written = write_pieces(
        aside / IMAGES,
        lambda start: _batches(entries[start:], pixels, size, make),
        len(entries),
        size,
        head=npy_head(len(entries), size),
        key=_key(f"{entry.set_name} {entry.name}" for entry in entries),
        progress=lambda done, total: progress("writing images", done, total),
    )
    rows = _rows(entries, sets, plan.recipe.charset.chars)
    check_leaks(rows, [entry.split for entry in entries], written.digests, [entry.name for entry in entries])
    write_index(aside / INDEX, rows, [stable_name(entry.name) for entry in entries], sets, plan.recipe.charset.chars)
    with (aside / INDEX).open("rb+") as file:
        sync(file)
    for path in (aside / "scans.raw", aside / IMAGES):
        log_of(path).unlink()
    (aside / "scans.raw").unlink()
    hashes = {name: file_sha256(aside / name) for name in (IMAGES, INDEX)}
    made = _rendered(plan, entries, written) | {"collapsed": _collapsed(plan, read)}
    write_json(aside / "manifest.json", _manifest(plan, entries, sets, left_out, hashes) | made)


def _with_copies(plan: CorpusPlan, read: list[ReadScan], pixels: NDArray[np.uint8]) -> list[ReadScan]:
    """Say of each scan which picture it shows; where a source is not looked at, equal pixels are one picture."""
    looked_at = [*(config.near_duplicates for config in plan.recipe.scanned), *(True for _ in plan.generated)]
    keys = copy_keys(pixels, [one.scan.char for one in read], [looked_at[one.source] for one in read])
    return [replace(one, copy=key) for one, key in zip(read, keys, strict=True)]


def _collapsed(plan: CorpusPlan, read: list[ReadScan]) -> dict[str, dict[str, list[int]]]:
    scanned = plan.recipe.scanned
    looked_at = [one for one in read if one.source < len(scanned) and scanned[one.source].near_duplicates]
    return collapsed((scanned[one.source].name, one.scan.char, one.picture) for one in looked_at)


def _key(names: Iterator[str]) -> str:
    """Name a list of jobs: what was made of another list is not taken over."""
    total = hashlib.sha256()
    for name in names:
        total.update(f"{name!a}\n".encode())
    return total.hexdigest()


def _left_out(source: ScannedSource) -> dict[str, Any]:
    found: dict[str, Any] = {"outside_charset": source.outside} if source.outside else {}
    return found | ({"dropped_by_decision": list(source.dropped)} if source.dropped else {})


def _read_scans(
    path: Path, plan: CorpusPlan, left_out: dict[str, dict[str, Any]], make: Maker, progress: Progress
) -> list[ReadScan]:
    """Read all scans into one raw file of (S, S) images; refuse a source with too many unreadable ones."""
    scans = [(number, scan) for number, (_, _, listed) in enumerate(plan.folders) for scan in listed]
    jobs = scan_jobs([scan for _, scan in scans])
    written = write_pieces(
        path,
        lambda start: make(jobs[start:], plan.recipe.image_size),
        len(jobs),
        plan.recipe.image_size,
        head=b"",
        key=_key(f"{number} {scan.file}" for number, scan in scans),
        progress=lambda done, total: progress("reading scans", done, total),
    )
    bad: dict[int, list[tuple[Scan, str]]] = {}
    for job, reason in written.unreadable.items():
        number, scan = scans[job]
        bad.setdefault(number, []).append((scan, reason))
    kept = [one for job, one in enumerate(scans) if job not in written.unreadable]
    read = [
        ReadScan(scan, number, place, digest.hex())
        for place, ((number, scan), digest) in enumerate(zip(kept, written.digests, strict=True))
    ]
    for number, problems in bad.items():
        name, config, listed = plan.folders[number]
        _check_bad(name, config.max_bad, problems, len(listed))
        left_out[name]["bad"] = [[scan.file, reason] for scan, reason in problems]
    return read


def _check_bad(name: str, max_bad: float, problems: list[tuple[Scan, str]], total: int) -> None:
    share = len(problems) / total
    if share <= max_bad:
        return
    kind, source = name.replace("scans/", "scanned/", 1).split("/", 1)
    listed = "\n".join(f"  {str(scan.path)!a}: {reason}" for scan, reason in problems[:10])
    more = f"\n  ... and {len(problems) - 10} more" if len(problems) > 10 else ""
    allowed = min(1.0, -(-share * 1000 // 1) / 1000)
    raise DataError(
        f"{len(problems)} of {total} images of {kind} source {source!r} cannot be used, but `max_bad` allows a share of "
        f"{max_bad:g}; mend or remove them, or write `max_bad: {allowed:g}` to leave them out:\n{listed}{more}"
    )


def _batches(entries: list[Entry], pixels: NDArray[np.uint8], size: int, make: Maker) -> Iterator[Batch]:
    """Yield the images of entries in order: scans from what was read, the others freshly drawn."""
    for scanned, run in groupby(entries, key=lambda entry: isinstance(entry.content, int)):
        if scanned:
            places = [entry.content for entry in run if isinstance(entry.content, int)]
            for start in range(0, len(places), _SCANS):
                yield Batch(np.asarray(pixels[places[start : start + _SCANS]]), {}, ())
            continue
        jobs: list[Job] = [entry.content for entry in run if not isinstance(entry.content, int)]
        for batch in make(jobs, size):
            assert not batch.unreadable, "only scans can be unreadable"
            yield batch


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
        "generated_only": _generated_only(plan.recipe.charset.chars, entries),
        "classes_without": _classes_without(plan.recipe.charset.chars, entries),
        "left_out": {name: found for name, found in left_out.items() if found},
        "sha256": hashes,
    }


def _rendered(plan: CorpusPlan, entries: list[Entry], written: Written) -> dict[str, Any]:
    """What the policy of the rendered glyphs came to: images by stroke weight, and ambiguous glyphs."""
    if plan.recipe.rendered is None:
        return {}
    weight_of = {i: entry.content.weight for i, entry in enumerate(entries) if isinstance(entry.content, GlyphJob)}
    asked, held_back = Counter(weight_of.values()), Counter(weight_of[i] for i in written.held_back)
    choice = plan.glyphs
    return {
        "weights": [
            {"weight": weight, "images": asked[weight], "held_back": held_back[weight]} for weight in plan.recipe.rendered.weights
        ],
        "conflicts": [
            {"chars": conflict.chars, "faces": [list(pair) for pair in conflict.shown]} for conflict in choice.conflicts
        ],
        "ambiguous": {"left_out": [list(pair) for pair in choice.left_out], "kept": choice.only_ambiguous},
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


def _generated_only(chars: str, entries: list[Entry]) -> str:
    """The characters that nothing but generated images teaches."""
    training = [entry for entry in entries if entry.split == "train"]
    taught = {entry.char for entry in training if entry.source != Source.GENERATED}
    generated = {entry.char for entry in training} - taught
    return "".join(char for char in chars if char in generated)
