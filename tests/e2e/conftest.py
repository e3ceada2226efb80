from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from tiny_fixtures import damaged, finished, project

__all__ = ["damaged", "finished", "project"]
