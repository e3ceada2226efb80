"""Where a node keeps what it needs for trials: corpora that it was sent, and the folders of trials in progress."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.disk import file_lock, store_errors
from ocr_sweep.errors import ConflictError
from ocr_sweep.sweep.trials.attempt import Attempt

_KEPT = 30 * 24 * 3600  # seconds


@dataclass(frozen=True)
class Scratch:
    """The folder of a node; all of it may be removed while no study runs there.

    Setting, read on the node: OCR_SWEEP_SCRATCH (default: `ocr_sweep` in XDG_CACHE_HOME or ~/.cache).
    """

    root: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Scratch:
        """The scratch of this node."""
        caches = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(Path(environ.get("OCR_SWEEP_SCRATCH") or caches / "ocr_sweep").expanduser().absolute())

    @property
    def corpora(self) -> Path:
        """Corpora that were sent, one folder per fingerprint."""
        return self.root / "corpora"

    @property
    def fonts(self) -> Path:
        """Font files that were sent, by their hashes."""
        return self.root / "fonts"

    @property
    def representations(self) -> Path:
        """What trials on this node have learnt before their classifier."""
        return self.root / "representations"

    def made(self, folder: Path) -> Path:
        """A folder here, made if it is not there; nobody else reads what is in the scratch.

        Raises:
            StoreError: the disk refuses.
        """
        with store_errors(f"creating {folder}"):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def work(self) -> Iterator[Path]:
        """A folder of one's own, removed at the end; what was left behind by those who were killed goes first.

        Raises:
            StoreError: the disk refuses.
        """
        works = self.made(self.root / "work")
        mine = works / secrets.token_hex(8)
        with ExitStack() as stack:
            with file_lock(self.root / "work.lock", wait=True), store_errors(f"creating {mine}"):
                for left in works.iterdir():
                    _remove_if_left(left)
                mine.mkdir()
                stack.enter_context(file_lock(mine / "lock", wait=True))
            stack.callback(shutil.rmtree, mine, ignore_errors=True)
            yield mine

    def forget(self) -> None:
        """Remove what no study has used for a month."""
        for path in (*self.corpora.glob("*/manifest.json"), *self.representations.glob("*/lock")):
            if time.time() - path.stat().st_mtime > _KEPT:
                shutil.rmtree(path.parent, ignore_errors=True)


def _remove_if_left(work: Path) -> None:
    """Remove a folder unless its owner lives, or a trial that has lost its owner still writes there."""
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(work / "lock", wait=False))
            for folder in work.iterdir():
                if folder.is_dir():
                    stack.enter_context(file_lock(Attempt(folder).lock, wait=False))
        except (ConflictError, FileNotFoundError):
            return
        shutil.rmtree(work, ignore_errors=True)
