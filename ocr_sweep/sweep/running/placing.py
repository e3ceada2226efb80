"""Where trainings go: the head of the line gets the first place that suits it, and nobody overtakes it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.sweep.running.active import Active
from ocr_sweep.sweep.running.engine import Engine
from ocr_sweep.sweep.running.needs import Needs
from ocr_sweep.sweep.running.slots import Need, Place, Shortage, find_place, num_slots, whole_place
from ocr_sweep.sweep.watching.board import Board, Result


class Placing:
    """Shares an engine's machines out among the trainings of a study.

    Args:
        limit: so many trainings at a time, if their needs allow; None: as many as do.
    """

    def __init__(self, engine: Engine, needs: Needs, limit: int | None, board: Board) -> None:
        self._needs = needs
        self._engine = engine
        self._limit = limit
        self._board = board
        self._said: set[tuple[str, str, str]] = set()

    def full(self, active: Sequence[Active]) -> bool:
        """Whether no training may join those that run, however small."""
        return self._limit is not None and len(active) >= self._limit

    def num_slots(self, config: TrialConfig) -> int:
        """How many trainings of one configuration run at a time, as far as that is known before any has run."""
        need = self._needs.of(config, on_gpus=self._on_gpus(), with_memory=False)
        return num_slots(self._engine.machines(), need, self._limit)

    def need(self, config: TrialConfig) -> Need:
        """What a training takes; where one runs at a time, its memory does not matter."""
        return self._needs.of(config, on_gpus=self._on_gpus(), with_memory=self._limit != 1)

    def find(self, name: str, need: Need, active: Sequence[Active], avoid: Collection[str] = ()) -> Place | None:
        """A place for a training beside those that run; None when it must wait, which is said unless any other would, too.

        One that needs more than there is runs when nothing else does.

        Args:
            name: of the run, for what is said.
            avoid: parts of places that get nothing more.
        """
        machines = self._engine.machines()
        found = find_place(machines, [(other.place, other.need) for other in active], need, avoid)
        if isinstance(found, Place):
            return found
        if active or not machines:
            self._say(name, "waits for", found)
            return None
        self._say(name, "runs alone, because there is not enough", found)
        return whole_place(machines, need)

    def elsewhere(self, active: Active, others: Sequence[Active], avoid: Collection[str]) -> Place:
        """Another place for a training that has come to grief where it was; the same one if there is none."""
        taken = [(other.place, other.need) for other in others]
        found = find_place(self._engine.machines(), taken, active.need, {*avoid, *active.place.parts})
        return found if isinstance(found, Place) else active.place

    def is_there(self, place: Place) -> bool:
        """Whether the machine of a place still is one."""
        return any(machine.name == place.machine for machine in self._engine.machines())

    def heard(self, result: Result) -> None:
        """Take in what a training took."""
        self._needs.heard(result.job.config, result.metrics)

    def _on_gpus(self) -> bool:
        return any(machine.gpus for machine in self._engine.machines())

    def _say(self, name: str, what: str, shortage: Shortage) -> None:
        kind = (name, what, shortage.of.partition(":")[0])  # how much is free changes all the time
        if not shortage.usual and kind not in self._said:
            self._said.add(kind)
            self._board.say(f"{name} {what} {shortage.of}")
