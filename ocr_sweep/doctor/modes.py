"""Who may write to the store (I25)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ocr_sweep.doctor.violation import Violation

_EVERYBODY = 0o002


def writable_by_all(root: Path) -> list[Path]:
    """What everybody may write to, below a folder and itself."""
    if not root.is_dir():
        return []
    return sorted(path for path in (root, *root.rglob("*")) if not path.is_symlink() and path.stat().st_mode & _EVERYBODY)


def check_modes(root: Path) -> Iterator[Violation]:
    """I25: only its owner and his group may write to the store."""
    found = writable_by_all(root)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        what = f"only its owner and his group may write to the store, but everybody may write to {found[0]}{more}"
        yield Violation("I25", "", str(root), what, "`make doctor REPAIR=1` takes that right away; find out who gave it (umask)")
