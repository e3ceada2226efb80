"""What is found wrong."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Violation:
    """One thing that should hold and does not."""

    invariant: str  # its number in `ocr_sweep.doctor.invariants`, e.g. "I6"
    study: str  # empty where it is about no study
    where: str  # the run, trial or file
    what: str  # what should hold, and what came
    do: str  # what to do about it

    def as_dict(self) -> dict[str, str]:
        """Plain data for programs."""
        return asdict(self)

    @property
    def place(self) -> tuple[str, int, str, str]:
        """What violations are sorted by."""
        return self.study, int(re.sub(r"\D", "", self.invariant)), self.where, self.what
