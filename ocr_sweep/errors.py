"""The whole exception tree, on one page.

    OcrSweepError                 2   the user's mistake; nothing was changed
    ├── ConfigError               2   a study or recipe file is wrong; carries every problem found
    ├── NotFoundError             2   a study, run, model, folder or file that does not exist
    ├── DataError                 2   images, fonts or charsets that cannot be used
    ├── EvidenceError             3   the evidence says no
    │   └── IntegrityError        3   bytes differ from what was recorded
    ├── StoreError                4   a store or disk is unavailable; resumable
    ├── ConflictError             5   someone else holds it, or it exists with another meaning
    ├── TrialFailedError          6   one trial cannot go on; its study can
    │   ├── ProcessDiedError      6   a process of a trial was killed; the trial goes on from its checkpoint
    │   └── TrialMemoryError      6   memory does not suffice; the trial goes on in smaller parts, if there are any
    ├── TooManyFailuresError      6   too many failed trials
    └── StoppedError        130/143   stopped by a signal after a clean checkpoint

The number is the exit code. What is not in this tree is our own bug: exit code 1.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence


class OcrSweepError(Exception):
    """Anything that a user can act upon: one clear sentence and an exit code."""

    exit_code = 2


class ConfigError(OcrSweepError):
    """Every mistake of a study or recipe file, each with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        assert problems, "a ConfigError needs at least one problem"
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class NotFoundError(OcrSweepError):
    """A study, run, registered model, folder or file does not exist."""


class DataError(OcrSweepError):
    """Images, fonts or charsets cannot be used as they are."""


class EvidenceError(OcrSweepError):
    """The evidence says no: a promotion or reproduction is refused."""

    exit_code = 3


class IntegrityError(EvidenceError):
    """Bytes differ from what was recorded of them."""


class StoreError(OcrSweepError):
    """A store or disk is unavailable; what was recorded is safe and the command can be repeated."""

    exit_code = 4

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing  # whether it may come back by itself: a server that is away, a database that is locked


class ConflictError(OcrSweepError):
    """Somebody else holds the thing, or it exists already with another meaning."""

    exit_code = 5


class TrialFailedError(OcrSweepError):
    """One trial cannot go on, for a reason of its own: its numbers left the finite, its export disagrees."""

    exit_code = 6


class ProcessDiedError(TrialFailedError):
    """A process of a trial on several devices was killed; the trial can go on from its checkpoint."""


class TrialMemoryError(TrialFailedError):
    """The memory does not suffice for a trial as it is; it may for the same batches in smaller parts."""


class TooManyFailuresError(OcrSweepError):
    """A study was stopped because its trials keep failing."""

    exit_code = 6


class StoppedError(OcrSweepError):
    """A signal ended the command after a clean checkpoint; exit code 128 + signal number."""

    def __init__(self, message: str, signum: int = signal.SIGINT, kept: str = "every trial is checkpointed") -> None:
        super().__init__(message)
        self.exit_code = 128 + signum
        self.kept = kept  # what the clean checkpoint holds, for people
