"""Crash-only, counted: random kills, full disks, and every point at which a kill changes something.

    .venv/bin/python benchmarks/faults.py kills [--number 1000]      of trials that do not train but write everything
    .venv/bin/python benchmarks/faults.py training [--number 100]    of real trainings, one about every six epochs
    .venv/bin/python benchmarks/faults.py disk [--number 200]        a tmpfs that is full at random places
    .venv/bin/python benchmarks/faults.py points                     each change that a supervisor, a trial or a repair makes

`kills` sends SIGKILL to a trial, to the supervisor, or to both, at random moments, and starts the same command again. Every
process notes what has returned in a log of its own; when a study is done, the log is compared with what is stored: no
acknowledged epoch or result may be lost, nothing that had ended may have been started again, and `doctor` must find no
violation. `training` runs the same study undisturbed besides: both must end with the same bits and numbers, and the time of
all processes together may be 1.25 times the undisturbed one. Prints one JSON line; fails when a limit is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from fault_worlds import Log, kill, paths_of, run, session, settle, tiny_study, trials_of, until_alone

from ocr_sweep.doctor.examine import examine
from ocr_sweep.doctor.records import Run
from ocr_sweep.errors import StoreError
from ocr_sweep.models.checkpoint import load_checkpoint

_DEATHS = 2  # of one trial that its supervisor sees: a third would end it
_SLOWER = 1.25  # limit of a disturbed study's time over an undisturbed one's
_EPOCHS_PER_KILL = 6
_AT_WORK = 0.8  # share of the kills that wait for a trial: the others may come while a session begins or a study ends
_DISK = "48m"
_MARGIN = 400_000  # bytes: a session finds less than this free
_SMALL: dict[str, Any] = {"trials": 6, "workers": 2, "base__training__epochs": 6, "confirm": {"top": 1, "seeds": 1}}
_LONG: dict[str, Any] = {
    "workers": 1,
    "base__training__epochs": 30,
    "base__training__images_per_epoch": 2048,
    "confirm": {"top": 1, "seeds": 1},
}


class Tally:
    """What the campaign has seen so far."""

    def __init__(self) -> None:
        self.kills: Counter[str] = Counter()
        self.problems: list[str] = []
        self.epochs = 0  # acknowledged
        self.results = 0  # told and acknowledged
        self.repeated = 0  # epochs that were begun again because of a kill
        self.studies = 0

    @property
    def number(self) -> int:
        """Kills so far."""
        return sum(self.kills.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "kills": self.number,
            **{f"of_{victim}": number for victim, number in sorted(self.kills.items())},
            "studies": self.studies,
            "acknowledged_epochs": self.epochs,
            "acknowledged_results": self.results,
            "epochs_begun_again": self.repeated,
            "problems": self.problems[:20],
        }


def disturbed(root: Path, log: Log, tally: Tally, chance: random.Random, limit: int, pause: float) -> None:
    """Run a project's study to its end, and kill at random moments until there were so many kills.

    Args:
        pause: seconds between two kills, on average.
    """
    deaths: Counter[str] = Counter()
    while True:
        supervisor = session(root, log.words)
        while supervisor.exitcode is None:
            if tally.number < limit and chance.random() < _AT_WORK:
                _until_at_work(root, supervisor)
            supervisor.join(chance.uniform(0, 2 * pause) if tally.number < limit else None)
            if supervisor.exitcode is None and tally.number < limit:
                _strike(root, supervisor.pid or 0, tally, chance, deaths)
        until_alone(root)
        if supervisor.exitcode == 0:
            return
        if supervisor.exitcode > 0:
            tally.problems.append(f"a session ended with {supervisor.exitcode}: {log.words.read_text()[-2000:]}")
            return


def _until_at_work(root: Path, supervisor: BaseProcess) -> None:
    """Wait until a trial lives, or the study is done."""
    while supervisor.exitcode is None and not trials_of(root):
        supervisor.join(0.02)


def _strike(root: Path, supervisor: int, tally: Tally, chance: random.Random, deaths: Counter[str]) -> None:
    living = trials_of(root)
    victim = chance.choice(["trial", "supervisor", "both"])
    mortal = [name for name in living if deaths[name] < _DEATHS]
    if victim == "trial" and not mortal:
        victim = "supervisor"
    if victim == "trial":
        name = chance.choice(mortal)
        deaths[name] += 1
        kill(living[name])
    else:
        kill(supervisor)  # first: it must not see the others die
        for pid in living.values() if victim == "both" else ():
            kill(pid)
    tally.kills[victim] += 1


def judged(root: Path, log: Log, tally: Tally) -> None:
    """Compare what was acknowledged with what is stored."""
    examination = examine(paths_of(root))
    tally.problems += [f"{one.invariant} {one.where}: {one.what}" for one in examination.violations]
    (study,) = examination.studies
    runs = {run.tags["ocr_sweep.key"].partition("/")[2]: run for run in study.runs}
    told = {trial.number: (trial.state, trial.value, trial.attributes.get("ocr_sweep.run_id")) for trial in study.trials}
    done: dict[str, int] = {}
    ended: set[str] = set()
    begun: Counter[tuple[str, int]] = Counter()
    for what, *fact in log.read():
        match what:
            case "began":
                name, epoch = fact
                begun[name, epoch] += 1
                if name in ended:
                    tally.problems.append(f"{name} had ended, and epoch {epoch} was trained")
                if epoch <= done.get(name, 0):
                    tally.problems.append(f"{name} went on with epoch {epoch} although epoch {done[name]} was done")
            case "epoch":
                name, epoch, metrics = fact
                done[name] = max(done.get(name, 0), epoch)
                stored = {key: [p.value for p in runs[name].metrics.get(key, ()) if p.step == epoch] for key in metrics}
                if stored != {key: [value] for key, value in metrics.items()}:
                    tally.problems.append(f"epoch {epoch} of {name} was acknowledged as {metrics} and is stored as {stored}")
                tally.epochs += 1
            case "ended":
                ended |= {fact[0]} if fact[1] == "complete" else set()
            case "told":
                number, outcome, value, run = fact
                if told.get(number) != ({"complete": "COMPLETE", "failed": "FAIL"}[outcome], value, run):
                    tally.problems.append(f"trial {number} was told {fact} and is {told.get(number)}")
                tally.results += 1
    if any(trial.state != "COMPLETE" for trial in study.trials):
        tally.problems.append(f"not all trials are complete: {Counter(trial.state for trial in study.trials)}")
    tally.repeated += sum(number - 1 for number in begun.values())
    tally.studies += 1


def kills(number: int, seed: int, folder: Path) -> dict[str, Any]:
    """Kill so often, in as many small studies as that takes."""
    tally, chance = Tally(), random.Random(seed)
    log = _settled(folder, train=False)
    began = time.perf_counter()
    for study in itertools.count():
        if tally.number >= number or tally.problems:
            break
        root = log.begin(f"study{study}")
        tiny_study.new_project(root, folder, **_SMALL)
        disturbed(root, log, tally, chance, number, pause=0.5)
        judged(root, log, tally)
        shutil.rmtree(root)
    seconds = time.perf_counter() - began
    return {**tally.as_dict(), "seconds": round(seconds, 1), "seconds_per_kill": round(seconds / max(1, tally.number), 2)}


def _settled(folder: Path, *, train: bool) -> Log:
    """Import everything once, see one study to its end, and note from now on what is acknowledged."""
    log = Log(folder)
    root = log.begin("warm")
    tiny_study.new_project(root, folder, trials=1, confirm={"top": 1, "seeds": 1}, base__training__epochs=1)
    settle(log, train=train)
    run(root)
    examine(paths_of(root))
    return log


def training(number: int, seed: int, folder: Path) -> dict[str, Any]:
    """Kill real trainings so often, and compare the study with one that was left in peace."""
    tally, chance = Tally(), random.Random(seed)
    log = _settled(folder, train=True)
    epochs = _LONG["base__training__epochs"]
    study = {**_LONG, "trials": max(1, -(-number * _EPOCHS_PER_KILL // epochs) - 2)}  # and two confirming trainings
    calm = log.begin("calm")
    tiny_study.new_project(calm, folder, **study)
    undisturbed = _timed(lambda: disturbed(calm, log, tally, chance, 0, 1.0))
    judged(calm, log, tally)
    pause = _EPOCHS_PER_KILL * undisturbed["seconds"] / (epochs * (study["trials"] + 2))
    root = log.begin("disturbed")
    tiny_study.new_project(root, folder, **study)
    killed = _timed(lambda: disturbed(root, log, tally, chance, number, pause))
    judged(root, log, tally)
    different = _different(calm, root)
    tally.problems += [f"{name} is not what it is undisturbed" for name in different]
    ratios = {f"ratio_of_{unit}": round(killed[unit] / undisturbed[unit], 3) for unit in killed}
    if ratios["ratio_of_processor_seconds"] > _SLOWER:
        tally.problems.append(f"a disturbed study may take {_SLOWER} times an undisturbed one's time, but took {ratios}")
    return {**tally.as_dict(), "trainings": study["trials"] + 2, "undisturbed": undisturbed, "disturbed": killed, **ratios}


def _timed(work: Callable[[], None]) -> dict[str, float]:
    """Seconds by the wall clock, and of all processes that it forked."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(time.perf_counter() - began, 1), "processor_seconds": round(processor, 1)}


def _different(calm: Path, disturbed: Path) -> list[str]:
    """The runs of two studies that differ in a bit of their weights, of their ONNX, or in a number."""
    found = []
    for root in (calm, disturbed):
        (study,) = examine(paths_of(root), quick=True).studies
        found.append({run.name: _essence(run) for run in study.runs})
    return [name for name in sorted({*found[0], *found[1]}) if found[0].get(name) != found[1].get(name)]


def _essence(run: Run) -> dict[str, Any]:
    varying = ("cost/", "memory/", "epoch/images_per_second", "epoch/wait_share", "epoch/peak")
    curves = {name: [(point.step, point.value) for point in points] for name, points in run.metrics.items()}
    hashes = {tag: run.tags.get(f"ocr_sweep.{tag}") for tag in ("weights_sha256", "onnx_sha256")}  # of a complete run
    outcome = {"outcome": run.tags.get("ocr_sweep.outcome")}
    return {**outcome, **hashes, **{name: points for name, points in curves.items() if not name.startswith(varying)}}


def disk(number: int, seed: int, folder: Path) -> dict[str, Any]:
    """Let a study meet a full disk at so many random places, free the disk, and let it go on."""
    tally, chance = Tally(), random.Random(seed)
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "none", str(place)], check=True)
    try:
        log = _settled(folder, train=False)
        met = Counter(_full(log, place, tally, chance, folder, point) for point in range(number))
    finally:
        subprocess.run(["umount", str(place)], check=False)
    return {**tally.as_dict(), "points": number, **{f"ended_{code}": count for code, count in sorted(met.items())}}


def _full(log: Log, place: Path, tally: Tally, chance: random.Random, folder: Path, point: int) -> int:
    """One study that is stopped somewhere, finds the disk full, and goes on when it is free; how it ended on the full one."""
    root = log.begin(f"point{point}", place)
    tiny_study.new_project(root, folder, trials=2, workers=1, base__training__epochs=4, confirm={"top": 1, "seeds": 1})
    supervisor = session(root, log.words)
    supervisor.join(chance.uniform(0.3, 2.0))
    kill(supervisor.pid or 0)
    supervisor.join()
    until_alone(root)
    saved = _checkpoints(root)
    usage = shutil.disk_usage(place)
    (place / "filler").write_bytes(b"\0" * max(0, usage.free - chance.randrange(0, _MARGIN)))
    supervisor = session(root, log.words)
    supervisor.join()
    until_alone(root)
    code = supervisor.exitcode or 0
    if code not in (0, StoreError.exit_code):
        tally.problems.append(f"on a full disk a session must end with 4, but ended with {code}: {log.words.read_text()[-1500:]}")
    now = _checkpoints(root)
    tally.problems += [f"the checkpoint of {name} was lost on a full disk" for name in saved if now.get(name, 99) < saved[name]]
    (place / "filler").unlink()
    disturbed(root, log, tally, chance, 0, 1.0)
    judged(root, log, tally)
    shutil.rmtree(root)
    return code


def _checkpoints(root: Path) -> dict[str, int]:
    """The epoch of each trial's checkpoint; -1 where it does not load."""
    found = {}
    for file in paths_of(root).work("tiny").glob("*/checkpoint.pt"):
        state = load_checkpoint(file)
        found[file.parent.name] = -1 if state is None else int(state["epoch"])
    return found


def points(folder: Path) -> dict[str, Any]:
    """Every point of two trials, of which one fails, of a confirmation, a repair, and a real training."""
    driver = Path(__file__).parents[1] / "tests" / "e2e" / "crash_points.py"
    command = [sys.executable, str(driver), str(folder), "--all", "--trials", "2"]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    )
    problems = [problem for one in found.values() for problem in (*one.pop("problems"), *one.pop("unsynced"))]
    return {**found, "problems": problems}


def _may_mount() -> bool:
    """Whether this process may mount; if not, it begins anew in a namespace where it may."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0:
        return True
    if os.environ.get("IN_A_NAMESPACE") or shutil.which("unshare") is None:
        return False
    os.environ["IN_A_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "-rm", sys.executable, *sys.argv])


def main() -> int:
    """Measure, print one JSON line, and fail when anything was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["kills", "training", "disk", "points"])
    parser.add_argument("--number", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    number = arguments.number or {"kills": 1000, "training": 100, "disk": 200, "points": 0}[arguments.what]
    if arguments.what == "disk" and not _may_mount():
        print(json.dumps({"skipped": "a tmpfs may not be mounted here"}))  # noqa: T201
        return 0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        match arguments.what:
            case "kills":
                found = kills(number, arguments.seed, folder)
            case "training":
                found = training(number, arguments.seed, folder)
            case "disk":
                found = disk(number, arguments.seed, folder)
            case _:
                found = points(folder)
    print(json.dumps({"what": arguments.what, **found, "wall_seconds": round(time.perf_counter() - began, 1)}))  # noqa: T201
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
