"""Images that a GAN drew, here or elsewhere: which of a folder train, and what becomes of the others."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.config.corpus import GeneratedConfig, ScannedConfig, SplitShares
from ocr_sweep.corpus.scan import Scan
from ocr_sweep.corpus.scans import ScannedSource, list_source


@dataclass(frozen=True)
class GeneratedSource:
    """A generated source as it lies on disk, and the images of it that train."""

    listed: ScannedSource
    chosen: tuple[Scan, ...]
    left_out: dict[str, int | dict[str, int]]  # by reason: how many


def list_generated(
    config: GeneratedConfig, chars: str, drawn: set[str], *, data_root: Path, cache: Path, seed: int
) -> GeneratedSource:
    """List and hash a folder of generated images, and choose those that train.

    Args:
        drawn: characters that a training face draws; with `fill: missing` their images are left out.

    Raises:
        NotFoundError, DataError: see `list_source`.
    """
    shares = SplitShares(train=1.0, val=0.0, test=0.0)
    folder = ScannedConfig(name=config.name, path=config.path, split=shares, group=None, max_bad=config.max_bad)
    listed = list_source(folder, chars, data_root=data_root, cache=cache, kind="generated")
    wanted = [scan for scan in listed.scans if config.fill == "all" or scan.char not in drawn]
    chosen = choose_per_class(wanted, config.per_class, seed=seed)
    counts: dict[str, int | dict[str, int]] = {
        "outside_charset": listed.outside,
        "drawn_by_a_font": len(listed.scans) - len(wanted),
        "over_per_class": len(wanted) - len(chosen),
    }
    return GeneratedSource(listed, chosen, {reason: count for reason, count in counts.items() if count})


def choose_per_class(scans: Iterable[Scan], most: int, *, seed: int) -> tuple[Scan, ...]:
    """Keep at most so many images of each character, those that come first in an order drawn from the seed."""
    by_char: dict[str, list[Scan]] = defaultdict(list)
    for scan in scans:
        by_char[scan.char].append(scan)
    kept = []
    for images in by_char.values():
        first = set(sorted(images, key=lambda scan: hashlib.sha256(f"{seed} {scan.file!a}".encode()).digest())[:most])
        kept += [scan for scan in images if scan in first]
    return tuple(kept)
