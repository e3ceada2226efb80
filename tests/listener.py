"""What tests listen to a training with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Listener:
    """An observer that stops before its batch number `stop_after`, and remembers what it heard."""

    stop_after: int | None = None
    batches: int = 0
    told: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        self.told.append((epoch, metrics))

    def should_stop(self) -> bool:
        if self.batches == self.stop_after:
            return True
        self.batches += 1
        return False
