"""Trials side by side: what more workers gain, what they share, and how soon one that died is back.

Runs small real trainings of the shipped U-Net encoder as a study of 1, 2 and 4 workers, each in a new project over the same
corpus, and prints one JSON line with

- the trainings a minute with each number of workers, from the first training's start to the last one's end, and their ratios.
  Limits: 2 workers make at least 1.5 times the trainings of 1 where there are 2 cores, 4 at least 0.9 times those of 2;
- the memory that the corpus takes with 1 and with 4 trials, by proportional set size (PSS): what several processes share counts
  once. Limit: 1.2 times;
- the seconds from a trial's SIGKILL to its next process, and to that one's first batch, the medians of three. Limit: 1 second to
  the process.

    .venv/bin/python benchmarks/workers.py
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ocr_sweep.config.load import load_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.stored.corpora import open_corpus
from ocr_sweep.sweep.study_loop import run_study
from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.sweep.watching.board import Job, SilentBoard

ROOT = Path(__file__).parents[1]
LEAST_OF_TWO, LEAST_OF_FOUR, MOST_MEMORY, MOST_SECONDS = 1.5, 0.9, 1.2, 1.0
WORKERS = (1, 2, 4)
TRIALS, EPOCHS, IMAGES, KILLS = 6, 2, 600, 3


def study(workers: int) -> StudyConfig:
    """Six trainings of some seconds, and a confirmation."""
    shipped = load_study(ROOT / "sweeps" / "unet_aug.yaml", ROOT / "sweeps").model_dump()
    base = shipped["base"]
    base["model"] |= {"decoder": False, "reconstruction_weight": 0.0}
    base["training"] |= {"epochs": EPOCHS, "images_per_epoch": IMAGES}
    search = {"loss.label_smoothing": shipped["search"]["loss.label_smoothing"]}
    confirm = {"top": 1, "seeds": 1}
    changed = {"name": f"workers_{workers}", "workers": workers, "trials": TRIALS, "search": search, "confirm": confirm}
    return StudyConfig.model_validate({**shipped, **changed})


@dataclass
class Times(SilentBoard):
    """Hears when trainings start and end."""

    started_at: list[float] = field(default_factory=list)
    ended_at: list[float] = field(default_factory=list)

    def started(self, job: Job, run_id: str, resumed: bool) -> None:
        """Note the time."""
        self.started_at.append(time.monotonic())

    def ended(self, job: Job, outcome: str, metrics: dict[str, float], reason: str) -> None:
        """Note the time of a training that completed."""
        assert outcome == "complete", f"{job.name}: {reason}"
        self.ended_at.append(time.monotonic())

    def per_minute(self) -> float:
        """Trainings a minute, the tail of the last one included."""
        return 60 * len(self.ended_at) / (self.ended_at[-1] - self.started_at[0])


class Observer(threading.Thread):
    """Looks at the processes of a study from beside it, while `act` is called again and again."""

    def __init__(self, work: Path) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.over = threading.Event()

    def run(self) -> None:
        """Look until it is over."""
        while not self.over.wait(0.01):
            with suppress(OSError):  # a process or folder that is gone
                self.look()

    def look(self) -> None:
        """Look once."""
        raise NotImplementedError

    def trials(self) -> dict[str, int]:
        """The processes of the trials that run, by the names of their folders: each writes its log."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    log = (entry / "fd" / "1").readlink()
                    if log.is_relative_to(self.work):
                        found[log.parent.name] = int(entry.name)
        return found


class CorpusMemory(Observer):
    """The most that the corpus took of the machine's memory while so many trials ran at a time."""

    def __init__(self, work: Path, workers: int) -> None:
        super().__init__(work)
        self._workers = workers
        self.most_mb = 0.0

    def look(self) -> None:
        """Sum up the shares of all processes that have it mapped."""
        trials = self.trials()
        if len(trials) == self._workers:
            self.most_mb = max(self.most_mb, sum(corpus_mb(pid) for pid in (os.getpid(), *trials.values())))


def corpus_mb(pid: int) -> float:
    """PSS of the images of corpora in one process."""
    total, inside = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = line.endswith("images.npy")
        elif inside and line.startswith("Pss:"):
            total += int(line.split()[1])
    return total / 1024


class Killer(Observer):
    """Kills the first trial in its middle, a few times, and looks how soon it is back."""

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.back: list[float] = []  # seconds to another process
        self.working: list[float] = []  # seconds to its first batch

    def look(self) -> None:
        """Kill a trial that works, and wait for the next process of it and its first sign of life."""
        name, pid = next(iter(self.trials().items()), ("", 0))
        attempt = Attempt(self.work / name)
        if not name or len(self.back) >= KILLS or self.killed(name) or not attempt.events():
            time.sleep(0.1)
            return
        beats, killed_at = attempt.heartbeat.read_bytes(), time.monotonic()
        os.kill(pid, signal.SIGKILL)
        while self.trials().get(name, pid) == pid:
            time.sleep(0.005)
        self.back.append(time.monotonic() - killed_at)
        while attempt.heartbeat.read_bytes() == beats:
            time.sleep(0.005)
        self.working.append(time.monotonic() - killed_at)
        (self.work / name / "killed").touch()

    def killed(self, name: str) -> bool:
        """Whether a trial was killed already: the third death would be its last."""
        return (self.work / name / "killed").exists()


def measure(folder: Path, corpora: Path, workers: int, observer: Observer | None = None) -> Times:
    """Run a study in a project of its own, over a corpus that is there already."""
    paths = project(folder)
    paths.mlruns.mkdir()
    paths.corpora.symlink_to(corpora)
    times = Times()
    if observer:
        observer.start()
    run_study(study(workers), paths, times)
    if observer:
        observer.over.set()
        observer.join()
    return times


def project(folder: Path) -> Paths:
    """A new project with the shipped studies."""
    shutil.copytree(ROOT / "sweeps", folder / "sweeps")
    return Paths.find({"OCR_SWEEP_HOME": str(folder)})


def main() -> int:
    """Measure, print one JSON line, and fail when a limit is missed."""
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = project(folder / "corpus")
        corpora = open_corpus(study(1).base.corpus, first, lambda what, done, total: None).path.parent
        rates, memory = {}, {}
        for workers in WORKERS:
            here = folder / f"of_{workers}"
            observer = CorpusMemory(here / "mlruns" / "work", workers)
            rates[workers] = measure(here, corpora, workers, observer).per_minute()
            memory[workers] = observer.most_mb
        killer = Killer(folder / "killed" / "mlruns" / "work" / "workers_1")
        measure(folder / "killed", corpora, 1, killer)
    back, working = statistics.median(killer.back), statistics.median(killer.working)
    missed = {
        "two workers": cores >= 2 and rates[2] < LEAST_OF_TWO * rates[1],
        "four workers": rates[4] < LEAST_OF_FOUR * rates[2],
        "memory": memory[4] > MOST_MEMORY * memory[1],
        "restart": back > MOST_SECONDS,
    }
    found = {
        "trainings_per_minute": {workers: round(rate, 1) for workers, rate in rates.items()},
        "two_of_one": round(rates[2] / rates[1], 2),
        "four_of_two": round(rates[4] / rates[2], 2),
        "corpus_pss_mb": {workers: round(value, 1) for workers, value in memory.items()},
        "memory_ratio": round(memory[4] / memory[1], 3),
        "restart_seconds": round(back, 2),
        "seconds_to_the_first_batch": round(working, 2),
        "cores": cores,
        "load_before": round(load, 1),
        "missed": [what for what, is_missed in missed.items() if is_missed],
    }
    print(json.dumps(found))  # noqa: T201
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
