"""Real trials with something wrong: what the process of a trial does in place of `local_engine._run`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any


def hang_once(folder: str, gpus: str) -> None:
    """Train, and hang in the place of the first sealing."""
    from ocr_sweep.sweep.running import local_engine
    from ocr_sweep.sweep.trials import trial

    real = trial.seal_results

    def hanging(*args: Any) -> None:
        if not (Path(folder) / "hung").exists():
            (Path(folder) / "hung").touch()
            time.sleep(600)
        real(*args)

    trial.seal_results = hanging
    local_engine._run(folder, gpus)


def need_four_parts(folder: str, gpus: str) -> None:
    """Allocate more than there is, unless batches pass in four parts."""
    import torch

    from ocr_sweep.sweep.running import local_engine
    from ocr_sweep.sweep.trials import trial

    real = trial.train

    def hungry(config: Any, *args: Any) -> Any:
        if config.training.accumulate < 4:
            torch.empty(2**60)
        return real(config, *args)

    trial.train = hungry
    local_engine._run(folder, gpus)


def eat(folder: str, gpus: str) -> None:
    """Take memory for ever."""
    taken = []
    while True:
        taken.append(b"x" * 2**26)


def end_of_a_large_trial(folder: Path) -> int:
    """Start `eat` as an engine would, alone; 0 if the engine knows that it was the kernel that ended it."""
    from ocr_sweep.sweep.running import local_engine
    from ocr_sweep.sweep.running.slots import Need, Place
    from ocr_sweep.sweep.trials.attempt import Attempt

    local_engine._run = eat
    local_engine._PRELOAD = "ocr_sweep.errors"
    worker = local_engine.LocalEngine(timm=False).start(Attempt(folder), Place(), Need(1))
    while worker.exit_code is None:
        time.sleep(0.05)
    return 0 if worker.exit_code == -9 and worker.out_of_memory else 1


if __name__ == "__main__":
    sys.exit(end_of_a_large_trial(Path(sys.argv[1])))
