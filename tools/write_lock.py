"""Write the lock of `make setup LOCKED=1` from what pip would install, every file with its hash.

pip install --dry-run --ignore-installed --report REPORT ... && python tools/write_lock.py REPORT > requirements.lock
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_HEAD = """\
# Every file that `make setup LOCKED=1` installs, by its SHA-256: CPython 3.11 on Linux, x86_64, torch built for the CPU.
# Written by `make lock`; the versions are those of constraints.txt.
"""


def line(package: dict[str, Any]) -> str:
    """One requirement with its hash."""
    name, version = package["metadata"]["name"], package["metadata"]["version"].partition("+")[0]  # torch's says its build
    return f"{name.lower()}=={version} --hash=sha256:{package['download_info']['archive_info']['hashes']['sha256']}"


def main() -> None:
    """Print the lock of a report."""
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    ours = "ocr_sweep"
    lines = sorted(line(package) for package in report["install"] if package["metadata"]["name"] != ours)
    sys.stdout.write(_HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
