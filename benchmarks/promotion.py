"""Whether a promotion can be torn: by others at the same time, by a kill at any step, by a flipped byte behind its back.

Each part runs the program itself, in processes forked from this one, over a project with a small finished study:

- `race`: 16 processes promote 16 runs at once, 100 rounds. After each round exactly one version holds alias and stage, the
  history ends with it, and everybody else was told that he was overtaken (exit code 5).
- `kills`: a promotion is killed (SIGKILL) before and after each of its writes in turn, and in the middle of a line of the
  history. The old version or the new one is in production then, its files verified, and the same command again completes the
  work.
- `flips`: a random bit is flipped in each kind of file in turn, 1,000 times. The gate refuses every one before a promotion, and
  `models verify` names every one after it.
- `rollback`: the whole command, from its start to its end; limit 5 s.

    .venv/bin/python benchmarks/promotion.py race kills flips rollback [--rounds 100] [--processes 16] [--flips 1000] [--points 5]
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import tiny_study  # type: ignore[import-not-found]  # noqa: E402

MODEL = "ocr-tiny"
WIDE = "margin: 90\ngroup_margin: 90\nmax_forgotten: 100\nmax_latency_ms: null\n"  # the gate is not what is measured here
LIMIT_SECONDS = 5.0
_ROOM = ("mlflow", "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store", "mlflow.tracking")
_OURS = (
    "cli.app",
    "registry.promote",
    "registry.rollback",
    "registry.verify",
    "sweep.stored.corpora",
    "tracking.tracker",
    "sweep.search.storage",
)
_MUTATORS = (
    "create_registered_model", "create_model_version", "update_model_version", "transition_model_version_stage",
    "set_registered_model_alias", "set_registered_model_tag", "log_artifact",
)  # fmt: skip


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def in_child(work: Callable[[], Any], go: int | None = None) -> tuple[int, int]:
    """Fork a process that does the work and writes what it returns, as JSON; returns its id and where to read that.

    Args:
        go: a file handle that the child waits at, until it can be read.
    """
    answer, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, answer
    code = 1
    try:
        if go is not None:
            os.read(go, 1)
        os.write(write, json.dumps(work()).encode())
        code = 0
    except BaseException as error:
        os.write(write, json.dumps(f"{type(error).__name__}: {error}").encode())
    finally:
        os._exit(code)


def result_of(pid: int, answer: int) -> tuple[int, Any]:
    """Wait for a child: its exit code (minus a signal's number), and what its work returned."""
    content = b""
    while part := os.read(answer, 65536):
        content += part
    os.close(answer)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), json.loads(content) if content else None


def done(work: Callable[[], Any]) -> Any:
    """Do the work in a child and return what it gives."""
    code, value = result_of(*in_child(work))
    assert code == 0, value
    return value


def command(root: Path, *arguments: str) -> dict[str, Any]:
    """Run the program in this process; a child's work."""
    from ocr_sweep.cli.app import _run

    os.environ.update(tiny_study.environment(root))
    sys.argv = ["ocr-sweep", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _run()
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def look(root: Path, *, whole: bool = True) -> dict[str, Any]:
    """Where the pointers stand, and what a verification finds; a child's work."""
    from ocr_sweep.registry.history import History
    from ocr_sweep.registry.register import standing, versions
    from ocr_sweep.registry.verify import verify
    from ocr_sweep.tracking.tracker import Tracker

    paths = tiny_study.paths_of(root)
    tracker = Tracker.open(paths)
    found = standing(tracker, MODEL)
    assert found is not None
    entries = History(tracker, paths, MODEL).entries()
    return {
        "alias": found.aliases.get("production"),
        "stages": [version.number for version in versions(tracker, MODEL) if version.stage == "Production"],
        "entries": len(entries),
        "last": entries[-1].version if entries else None,
        "problems": list(verify(tracker, paths, MODEL).problems) if whole else [],
        "notes": list(verify(tracker, paths, MODEL).notes) if whole else [],
    }


def run_ids(root: Path) -> list[str]:
    """The study's runs, oldest first; a child's work."""
    from ocr_sweep.tracking.tracker import Tracker

    return [record.run_id for record in Tracker.open(tiny_study.paths_of(root)).runs("tiny") if record.complete]


def clone_runs(root: Path, number: int) -> list[str]:
    """Make so many runs with the files of the first one; a child's work."""
    from ocr_sweep.tracking.record import Outcome
    from ocr_sweep.tracking.tracker import Tracker

    tracker = Tracker.open(tiny_study.paths_of(root))
    first = next(record for record in tracker.runs("tiny") if record.complete)
    files = root / "mlruns" / "artifacts" / "tiny" / first.run_id / "artifacts"
    study, made = tracker.experiment("tiny", {}), []
    for place in range(number):
        tags = {key: value for key, value in first.tags.items() if key.startswith("ocr_sweep.") and key != "ocr_sweep.key"}
        made.append(tracker.begin(study, key=f"clone/{place}", name=f"clone-{place}", tags=tags, params=first.params))
        tracker.log_metrics(made[-1], first.metrics, timestamp=1)
        tracker.upload(made[-1], files)
        tracker.finish(made[-1], Outcome.COMPLETE)
    return made


def race(base: Path, scratch: Path, *, rounds: int, processes: int) -> None:
    """Promote at once, again and again."""
    root = tiny_study.copy_project(base, scratch / "race")
    runs = done(lambda: clone_runs(root, processes))
    ends: Counter[str] = Counter()
    began, entries = time.perf_counter(), 0
    for number in range(rounds):
        gate, go = os.pipe()
        racers = [in_child(lambda run=run: command(root, "models", "promote", "--run", run), gate) for run in runs]  # type: ignore[misc]
        os.write(go, b"." * processes)
        said = [result_of(*racer)[1] for racer in racers]
        os.close(gate)
        os.close(go)
        how = Counter(_ending(one) for one in said)
        state = done(lambda: look(root, whole=number % 10 == 9 or number == rounds - 1))  # noqa: B023
        assert how["promoted"] >= 1 and set(how) <= {"promoted", "overtaken", "holds it already"}, said
        assert state["stages"] == [state["alias"]] == [state["last"]], state
        assert state["entries"] == entries + how["promoted"] and not state["problems"] + state["notes"], state
        ends, entries = ends + how, state["entries"]
    seconds = (time.perf_counter() - began) / rounds
    ended = ", ".join(f"{count} {what}" for what, count in ends.most_common())
    say(f"race: {rounds} rounds of {processes} processes: one holder after each; {ended}; {seconds:.1f} s a round")


def _ending(said: Any) -> str:
    if isinstance(said, dict) and said["code"] == 0:
        return "promoted" if "entry" in said["out"] else "holds it already"
    if isinstance(said, dict) and said["code"] == 5 and "overtaken" in said["err"]:
        return "overtaken"
    return f"otherwise: {said}"


def kills(base: Path, scratch: Path, *, most: int | None) -> None:
    """Kill a promotion at each of its steps, or at so many of them."""
    calm = tiny_study.copy_project(base, scratch / "calm")
    first, second = done(lambda: run_ids(calm))[:2]
    assert done(lambda: command(calm, "models", "promote", "--run", first))["code"] == 0
    old = done(lambda: look(calm))["alias"]
    points = done(lambda: _promote_counting(tiny_study.copy_project(calm, scratch / "count"), second, None))
    left: Counter[str] = Counter()
    chosen = range(len(points)) if most is None else sorted({round(i * (len(points) - 1) / (most - 1)) for i in range(most)})
    for point in chosen:
        name = points[point]
        root = tiny_study.copy_project(calm, scratch / f"kill{point}")
        code, _ = result_of(*in_child(lambda: _promote_counting(root, second, point)))  # noqa: B023
        assert code == -signal.SIGKILL, (name, code)
        state = done(lambda: look(root))  # noqa: B023
        assert not state["problems"], (name, state)
        left["the old version" if state["alias"] == old else "the new version"] += 1
        again = done(lambda: command(root, "models", "promote", "--run", second))  # noqa: B023
        assert again["code"] == 0, (name, again)
        state = done(lambda: look(root))  # noqa: B023
        assert state["alias"] != old and state["stages"] == [state["alias"]], (name, state)
        assert not state["problems"] + state["notes"], (name, state)
        shutil.rmtree(root)
    say(f"kills: {len(chosen)} of {len(points)} points, all verified and completed by the same command; left: {dict(left)}")


def _promote_counting(root: Path, run: str, kill_at: int | None) -> list[str]:
    """Promote with every write counted, before and after; die at one of them. Returns what was counted."""
    from mlflow import MlflowClient

    counted: list[str] = []

    def step(name: str) -> bool:
        counted.append(name)
        return len(counted) - 1 == kill_at

    for owner, names in ((os, ("fsync", "replace", "rename", "link")), (MlflowClient, _MUTATORS)):
        for name in names:
            setattr(owner, name, _killing(getattr(owner, name), name, step))
    write = os.write

    def torn(handle: int, content: Any) -> int:
        if bytes(content).startswith(b'{"alias"') and step("half a line of the history"):
            write(handle, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(handle, content)

    os.write = torn
    said = command(root, "models", "promote", "--run", run)
    assert said["code"] == 0, said
    return counted


def _killing(real: Any, name: str, step: Callable[[str], bool]) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        if step(f"before {name}"):
            os.kill(os.getpid(), signal.SIGKILL)
        value = real(*arguments, **named)
        if step(f"after {name}"):
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    return call


def flips(base: Path, scratch: Path, *, number: int) -> None:
    """Flip bits in every kind of file."""
    root = tiny_study.copy_project(base, scratch / "flips")
    promoted, candidate = done(lambda: run_ids(root))[:2]
    assert done(lambda: command(root, "models", "promote", "--run", promoted))["code"] == 0
    found = done(lambda: _flip_all(root, promoted, candidate, number))
    missed = {name: tried - seen for name, (tried, seen) in found.items() if tried > seen}
    say(f"flips: {sum(tried for tried, _ in found.values())} over {len(found)} kinds of files, {len(missed)} kinds with a miss")
    for name, (tried, seen) in found.items():
        say(f"  {name:<44} {seen} of {tried} found")
    assert not missed, missed


def _flip_all(root: Path, promoted: str, candidate: str, number: int) -> dict[str, tuple[int, int]]:
    kinds = list(_kinds(root, promoted, candidate))
    found = {name: [0, 0] for name, _, _ in kinds}
    chance = random.Random(17)
    for turn in range(number):
        name, path, noticed = kinds[turn % len(kinds)]
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        found[name][0] += 1
        found[name][1] += noticed()
        path.write_bytes(content)
    assert not any(noticed() for _, _, noticed in kinds), "what is whole must be found whole"
    return {name: (tried, seen) for name, (tried, seen) in found.items()}


def _kinds(root: Path, promoted: str, candidate: str) -> Iterator[tuple[str, Path, Callable[[], bool]]]:
    """Every kind of file, and whether a look notices that it changed: the gate before a promotion, `models verify` after it."""
    from ocr_sweep.errors import EvidenceError
    from ocr_sweep.registry.evidence import collect
    from ocr_sweep.registry.verify import verify
    from ocr_sweep.tracking.tracker import Tracker

    paths = tiny_study.paths_of(root)
    tracker = Tracker.open(paths)

    def refused() -> bool:
        try:
            with tempfile.TemporaryDirectory() as folder:
                collect(tracker, tracker.run(candidate), Path(folder))
        except EvidenceError:
            return True
        return False

    def verified() -> bool:
        return bool(verify(tracker, paths, MODEL).problems)

    for run, noticed, when in ((candidate, refused, "before"), (promoted, verified, "after")):
        folder = root / "mlruns" / "artifacts" / "tiny" / run / "artifacts"
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "log.txt"):
            name = path.relative_to(folder).as_posix()
            yield f"{when}: {name.translate(_DIGITS) if name.startswith('registry/') else name}", path, noticed
    yield "after: the history", paths.histories / f"{MODEL}.jsonl", verified


_DIGITS = str.maketrans("", "", "0123456789T")


def rollback(base: Path, scratch: Path) -> None:
    """Time the whole command."""
    root = tiny_study.copy_project(base, scratch / "rollback")
    for run in done(lambda: run_ids(root))[:2]:
        assert done(lambda: command(root, "models", "promote", "--run", run))["code"] == 0  # noqa: B023
    walls, processors = [], []
    for number in (None, 3, None, 3, None):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        said = tiny_study.ocr_sweep(root, "models", "rollback", MODEL, *(("--to", str(number)) if number else ()))
        walls.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processors.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert said.code == 0, said.err
    load = os.getloadavg()[0]
    say(f"rollback: {min(walls):.1f} to {max(walls):.1f} s, {min(processors):.1f} s of processor time, load {load:.0f}")
    assert min(processors) < LIMIT_SECONDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=("race", "kills", "flips", "rollback"))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--points", type=int, help="kill at so many points, evenly spread; without it, at all")
    parser.add_argument("--project", type=Path, help="a project with the finished study `tiny`; without it, one is made")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-promotion-") as folder:
        scratch = Path(folder)
        base = tiny_study.copy_project(asked.project or tiny_study.finished_project(scratch / "made"), scratch / "base")
        (base / "sweeps" / "gates").mkdir(exist_ok=True)
        (base / "sweeps" / "gates" / "production.yaml").write_text(WIDE)
        for module in (*_ROOM, *(f"ocr_sweep.{name}" for name in _OURS)):
            importlib.import_module(module)  # once, for all that are forked; the tracking store is opened by them alone
        if "race" in asked.parts:
            race(base, scratch, rounds=asked.rounds, processes=asked.processes)
        if "kills" in asked.parts:
            kills(base, scratch, most=asked.points)
        if "flips" in asked.parts:
            flips(base, scratch, number=asked.flips)
        if "rollback" in asked.parts:
            rollback(base, scratch)


if __name__ == "__main__":
    main()
