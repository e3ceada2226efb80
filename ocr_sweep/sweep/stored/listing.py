"""The corpora that a project keeps: who needs them, and which can go."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.corpus.room import size_of
from ocr_sweep.disk import read_json, store_errors
from ocr_sweep.tracking.record import CORPUS
from ocr_sweep.tracking.tracker import Tracker


@dataclass(frozen=True)
class StoredCorpus:
    """One corpus in the store."""

    path: Path
    name: str  # of its recipe
    num_classes: int
    num_images: int
    bytes: int
    built: float  # seconds since 1970
    num_runs: int  # recorded runs that learnt from it
    in_progress: bool  # a trial that has not ended reads it
    sources: tuple[str, ...]  # the paths of its scanned and generated sources, as its recipe names them

    @property
    def needed(self) -> bool:
        """Whether a run would be the poorer without it: it could be rebuilt only if its fonts and scans never change."""
        return self.in_progress or self.num_runs > 0


def stored_corpora(paths: Paths, tracker: Tracker) -> list[StoredCorpus]:
    """List the finished corpora, the youngest first."""
    if not paths.corpora.is_dir():
        return []
    runs = Counter(record.tags.get(CORPUS, "") for record in tracker.runs())
    busy = set(_in_progress(paths))
    folders = [path for path in paths.corpora.iterdir() if (path / "manifest.json").is_file()]
    return sorted((_stored(path, runs, busy) for path in folders), key=lambda corpus: (-corpus.built, corpus.path))


def _in_progress(paths: Paths) -> Iterator[Path]:
    for job in (paths.mlruns / "work").glob("*/*/job.json"):
        yield Path(read_json(job)["store"])


def _stored(path: Path, runs: Counter[str], busy: set[Path]) -> StoredCorpus:
    manifest = read_json(path / "manifest.json")
    return StoredCorpus(
        path=path,
        name=str(manifest["recipe"]["name"]),
        num_classes=len(manifest["recipe"]["charset"]["chars"]),
        num_images=sum(counts["images"] for counts in manifest["counts"].values()),
        bytes=size_of(path),
        built=(path / "manifest.json").stat().st_mtime,
        num_runs=runs[str(manifest["fingerprint"])],
        in_progress=path in busy,
        sources=tuple(source["path"] for kind in ("scanned", "generated") for source in manifest["recipe"].get(kind, [])),
    )


def collect_garbage(paths: Paths, tracker: Tracker, *, dry_run: bool) -> list[StoredCorpus]:
    """Remove the corpora that no run and no trial in progress needs; return them.

    A corpus leaves the store by one rename and is deleted after: nobody opens half of one.

    Raises:
        StoreError: the disk refuses.
    """
    gone = [corpus for corpus in stored_corpora(paths, tracker) if not corpus.needed]
    for corpus in gone if not dry_run else []:
        aside = corpus.path.with_name(f".{corpus.path.name}.tmp")  # what a killed build would leave, and treated likewise
        with store_errors(f"removing {corpus.path}"):
            shutil.rmtree(aside, ignore_errors=True)
            corpus.path.rename(aside)
            shutil.rmtree(aside)
    return gone
