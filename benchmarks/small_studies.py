"""A small study of real trainings, run in a project of its own, and observers that look at its processes from beside it.

Apart from the benchmarks that run it, because each process of a trial imports its main module again: what that one imports at
its top would be paid in every trial.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ocr_sweep.config.load import load_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.running.fork_server import fork_server
from ocr_sweep.sweep.stored.corpora import open_corpus
from ocr_sweep.sweep.study_loop import run_study
from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.sweep.watching.board import Job, SilentBoard

ROOT = Path(__file__).parents[1]
TRIALS, EPOCHS, IMAGES, KILLS = 6, 2, 600, 3


def study(workers: int, trials: int = TRIALS) -> StudyConfig:
    """Trainings of some seconds, and a confirmation."""
    shipped = load_study(ROOT / "sweeps" / "unet_aug.yaml", ROOT / "sweeps").model_dump()
    base = shipped["base"]
    base["model"] |= {"decoder": False, "reconstruction_weight": 0.0}
    base["training"] |= {"epochs": EPOCHS, "images_per_epoch": IMAGES}
    search = {"loss.label_smoothing": shipped["search"]["loss.label_smoothing"]}
    confirm = {"top": 1, "seeds": 1}
    changed = {"name": f"workers_{workers}", "workers": workers, "trials": trials, "search": search, "confirm": confirm}
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

    def per_minute(self, after: int = 0) -> float:
        """Trainings a minute, the tail of the last one included.

        Args:
            after: so many trainings that do not count.
        """
        began = self.ended_at[after - 1] if after else self.started_at[0]
        return 60 * (len(self.ended_at) - after) / (self.ended_at[-1] - began)


class Observer(ABC, threading.Thread):
    """Looks at the processes of a study from beside it, again and again."""

    def __init__(self, work: Path, seconds: float) -> None:
        super().__init__(daemon=True)
        self.work = work
        self._seconds = seconds  # between two looks
        self.over = threading.Event()

    def run(self) -> None:
        """Look until it is over."""
        while not self.over.wait(self._seconds):
            with suppress(OSError):  # a process or folder that is gone
                self.look()

    @abstractmethod
    def look(self) -> None:
        """Look once."""

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
        super().__init__(work, seconds=0.25)  # a look costs the trials that are measured some of their processor time
        self._workers = workers
        self.most_mb = 0.0

    def look(self) -> None:
        """Sum up the shares of all processes that have it mapped.

        A sum counts where the same processes had it before and after: one that ends in between leaves its share to the others.
        """
        trials = self.trials()
        if len(trials) == self._workers:
            shares, again = ([corpus_mb(pid) for pid in (os.getpid(), *trials.values())] for _ in range(2))
            if [share > 0 for share in shares] == [share > 0 for share in again]:
                self.most_mb = max(self.most_mb, sum(shares))


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
        super().__init__(work, seconds=0.01)
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


def build_corpora(folder: Path) -> Path:
    """The folder of a project's corpora, with that of the small study in it."""
    fork_server(timm=False)  # before any other asks for such a process, as the command does
    return open_corpus(study(1).base.corpus, project(folder), lambda what, done, total: None).path.parent


def measure(
    folder: Path, small: StudyConfig, corpora: Path, observer: Observer | None = None, cluster: str | None = None
) -> Times:
    """Run a small study in a project of its own, over a corpus that is there already.

    Args:
        cluster: the address of a Ray cluster; None: the local engine.
    """
    paths = project(folder)
    paths.mlruns.mkdir()
    paths.corpora.symlink_to(corpora)
    times = Times()
    if observer:
        observer.start()
    run_study(small, paths, times, cluster)
    if observer:
        observer.over.set()
        observer.join()
    return times


def project(folder: Path) -> Paths:
    """A new project with the shipped studies."""
    shutil.copytree(ROOT / "sweeps", folder / "sweeps")
    return Paths.find({"OCR_SWEEP_HOME": str(folder)})
