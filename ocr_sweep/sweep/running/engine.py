"""Where trials run: what whoever starts them must do. The supervisor knows no more of an engine than this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ocr_sweep.sweep.running.slots import Machine, Need, Place
from ocr_sweep.sweep.trials.attempt import Attempt


class Worker(Protocol):
    """A trial that an engine started."""

    @property
    def exit_code(self) -> int | None:
        """None while it lives; minus a signal's number when a signal ended it."""

    @property
    def out_of_memory(self) -> bool:
        """Whether it was ended for want of the machine's memory, without a word of its own; asked once, after its end."""

    @property
    def lost_on(self) -> str:
        """The machine that it was lost on, where more is known of its death than its exit code; else empty."""

    def show_stacks(self) -> None:
        """Have the stacks of its threads written into its log, as far as that can be done. Does not wait for it."""

    def kill(self) -> None:
        """End it at once."""


class Engine(Protocol):
    """Starts trials where it is told and says when one has ended; everything else passes through the attempt's folder."""

    def machines(self) -> Sequence[Machine]:
        """What there is for trials, whether taken by some or not. Asked often; may change when machines come and go."""

    def start(self, attempt: Attempt, place: Place, need: Need) -> Worker:
        """Start the trial of a prepared folder on a machine, where it sees the GPUs of its place and no others.

        Args:
            need: what it takes, for an engine that shares its machines with strangers and must have it held.
        """

    def wait(self, workers: list[Worker], seconds: float) -> None:
        """Return when a worker has ended, or after so many seconds."""

    def close(self) -> None:
        """Let go of what the engine holds."""
