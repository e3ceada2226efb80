"""Kills a study's supervisor, a trial and a repair at every point at which it changes anything, and lets the next go on.

    python tests/e2e/crash_points.py FOLDER [--trials 2] [--all] [--share 0/2]

Prints one JSON object, which says what came of each. It has imported everything once and forks for every session. Without
`--all` each kind of point is tried once: the same line of the program in another run or epoch is no other kind.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("sweep", "doctor", "."))

import cv2
import optuna
import planting
from crash_images import Image, Recorder, Syncs, in_a_process, kind_of, restore
from fake_engine import FakeEngine, Fate
from tiny_study import config_of, new_project, paths_of

from ocr_sweep.doctor.examine import examine
from ocr_sweep.doctor.repair import repair
from ocr_sweep.sweep import study_loop
from ocr_sweep.sweep.running import recording
from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.summary import summary
from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.sweep.trials.trial import run_attempt
from ocr_sweep.sweep.watching.board import Result, SilentBoard
from ocr_sweep.tracking.tracker import Tracker
from ocr_sweep.training import trainer

Facts = list[list[Any]]


class Synced(NamedTuple):
    """What was watched of what a power cut would cost (see `Syncs`)."""

    renames: int
    problems: list[str]


FATES = {"0001-search": Fate(fails="nan-loss: the loss is inf", right=0.9)}


def main() -> None:
    """Try the points and print what came of them."""
    cv2.setNumThreads(1)  # a fork of a process with OpenCV's threads would wait for them for ever
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--share", default="0/1")
    arguments = parser.parse_args()
    share, shares = map(int, arguments.share.split("/"))
    found = {}
    for name, prepare in (("study", partial(of_study, trials=arguments.trials)), ("repair", of_repair), ("trial", of_trial)):
        began = time.perf_counter()
        points = prepare(arguments.folder)
        kinds = {kind_of(image): image for image in reversed(points.images)}
        chosen = [image for image in points.images if arguments.all or kinds[kind_of(image)] is image]
        problems = [problem for image in chosen[share::shares] if (problem := tried(image, points))]
        found[name] = {
            "points": len(points.images),
            "kinds": len(kinds),
            "tried": len(chosen[share::shares]),
            "problems": problems,
            "renames": points.syncs.renames,
            "unsynced": points.syncs.problems,
            "seconds": round(time.perf_counter() - began, 1),
        }
    print(json.dumps(found))  # noqa: T201


@dataclass(frozen=True)
class Points:
    """The crash points of one course of things."""

    images: list[Image]
    facts: Facts  # what was acknowledged, in order
    check: Callable[[Image, Facts], None]  # goes on from an image; of the facts come those that were acknowledged by then
    syncs: Synced


def tried(image: Image, points: Points) -> str | None:
    """What went wrong after a kill at a point; None: nothing."""
    try:
        points.check(image, points.facts[: image.acknowledged])
    except AssertionError as error:
        return f"before {image.before}: {error}"
    return None


def made(folder: Path, name: str) -> Path:
    """A folder for one course and its images."""
    (folder / name / "images").mkdir(parents=True)
    return folder / name


def as_images(found: Facts) -> list[Image]:
    return [Image(Path(path), before, acknowledged) for path, before, acknowledged in found]


def from_images(images: list[Image]) -> Facts:
    return [[str(image.path), image.before, image.acknowledged] for image in images]


def acknowledging(
    facts: Facts, owner: type, name: str, fact: Callable[..., list[Any] | None], syncs: Syncs | None = None
) -> None:
    """Note a fact whenever a method has returned: from then on it must survive."""
    real = getattr(owner, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if syncs and owner is Tracker:
            syncs.settle(f"{name} {args}")  # the database's commit is the acknowledgement
        answer = real(self, *args, **kwargs)
        if syncs and owner is Attempt:
            syncs.settle(f"{name} {args}")
        if (noted := fact(self, *args, **kwargs)) is not None:
            facts.append(noted)
        return answer

    setattr(owner, name, method)


# ---------------------------------------------------------------------------------------------- the supervisor


def of_study(folder: Path, trials: int) -> Points:
    """A study of some trials, of which the second fails, and one confirming training of the first."""
    folder, root = made(folder, "study"), folder / "study" / "project"
    changes: dict[str, Any] = {"trials": trials, "confirm": {"top": 1, "seeds": 1}}
    for name in ("warm", "project"):
        new_project(folder / name, folder.parent, **changes)
    session(folder / "warm")  # so that each fork has everything in memory
    images = folder / "images"
    found, facts, calm, synced = in_a_process(partial(recorded_study, root, images))
    return Points(as_images(found), facts, partial(check_study, root, calm), Synced(*synced))


def session(root: Path) -> tuple[FakeEngine, Facts]:
    """One session of the study; returns its engine and the epochs that it trained."""
    recording.write_model_folder = lambda onnx_file, scratch: None
    summary.draw = lambda picture: b"a picture"  # matplotlib is no business of a kill
    engine = FakeEngine(lambda config, name: FATES.get(name, Fate(right=0.7)))
    study_loop.LocalEngine = lambda timm: engine  # type: ignore[assignment,misc]
    trained: Facts = []
    acknowledging(trained, Attempt, "append", lambda attempt, event: [attempt.folder.name, event.epoch])
    study_loop.run_study(config_of(root), paths_of(root), SilentBoard())
    return engine, trained


def recorded_study(root: Path, into: Path) -> tuple[Facts, Facts, Any, list[Any]]:
    facts, syncs = Facts(), Syncs(root)
    acknowledging(
        facts, Attempt, "append", lambda attempt, event: ["epoch", attempt.folder.name, *dataclasses.astuple(event)], syncs
    )
    acknowledging(facts, Attempt, "end", lambda attempt, ending, reason="": ["ended", attempt.folder.name, ending, reason], syncs)
    acknowledging(facts, Tracker, "finish", lambda tracker, run, outcome, reason="": ["finished", run, str(outcome)], syncs)
    acknowledging(facts, Search, "on_end", _told)
    recorder = Recorder(root, into, lambda: len(facts))
    with syncs.watching(), recorder.recording():
        session(root)
    return from_images(recorder.images), facts, what_is_remembered(root), [syncs.renames, syncs.problems]


def _told(search: Search, result: Result) -> list[Any]:
    value = result.metrics.get("val/accuracy_macro")
    return ["told", result.job.trial, result.outcome.value, value, result.run_id]


def what_is_remembered(root: Path) -> dict[str, Any]:
    """All of a study that must not depend on when it was killed."""
    paths = paths_of(root)
    study = optuna.load_study(study_name="tiny", storage=paths.optuna_url)
    tracker = Tracker.open(paths)
    runs = tracker.runs("tiny")
    return {
        "trials": [[trial.state.name, trial.value, trial.params, _named(trial.intermediate_values)] for trial in study.trials],
        "runs": {
            run.name: [run.status, run.tags["ocr_sweep.outcome"], run.tags.get("ocr_sweep.reason"), run.metrics, run.params]
            for run in runs
        },
        "verdict": study.user_attrs["ocr_sweep.verdict"]["sentence"],
    }


def _named(values: dict[int, float]) -> dict[str, float]:
    return {str(step): value for step, value in values.items()}


def check_study(root: Path, calm: Any, image: Image, facts: Facts) -> None:
    """Go on from an image: the study ends as if nothing had happened, and nothing acknowledged is lost or done again."""
    restore(image, root)
    started, trained, remembered, points, told, runs, violations = in_a_process(partial(resumed_study, root))
    assert violations == [], violations
    assert remembered == calm, f"{remembered} is not {calm}"
    for kind, *fact in facts:
        match kind:
            case "epoch":
                name, epoch, metrics, timestamp = fact
                assert [name, epoch] not in trained, f"epoch {epoch} of {name} was trained again"
                wanted = [[key, epoch, value, timestamp] for key, value in metrics.items()]
                assert all(point in points[name] for point in wanted), f"epoch {epoch} of {name} is lost"
            case "ended":
                assert fact[0] not in started, f"{fact[0]} had ended and was started again"
            case "finished":
                assert fact[0] in runs, f"run {fact[0]} is gone"
            case "told":
                assert fact in told, f"trial {fact[0]} was told {fact[1:]}, which is lost"


def resumed_study(root: Path) -> tuple[Any, ...]:
    engine, trained = session(root)
    examination = examine(paths_of(root))
    (study,) = examination.studies
    curves = {
        run.tags["ocr_sweep.key"].partition("/")[2]: [
            [name, point.step, point.value, point.timestamp]
            for name, points in run.metrics.items()
            for point in points
            if name.startswith("epoch/")
        ]
        for run in study.runs
    }
    outcomes = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    told = [[t.number, outcomes[t.state], t.value, t.attributes["ocr_sweep.run_id"]] for t in study.trials]
    violations = [f"{one.invariant} {one.where}: {one.what}" for one in examination.violations]
    return engine.started, trained, what_is_remembered(root), curves, told, [run.run_id for run in study.runs], violations


# -------------------------------------------------------------------------------------------------- the trial


def of_trial(folder: Path) -> Points:
    """A real training of two epochs: its checkpoints, its export and its seal."""
    folder, root = made(folder, "trial"), folder / "trial" / "0000-search"
    trainer.needed_mb = lambda *_: 1.0  # half a second in each fork, and no number that is compared
    in_a_process(partial(laid_out, folder, root))
    images = folder / "images"
    found, facts, calm, synced = in_a_process(partial(recorded_trial, root, images))
    return Points(as_images(found), facts, partial(check_trial, root, calm), Synced(*synced))


def laid_out(folder: Path, root: Path) -> None:
    """Lay out the folder of trial 0 of the tiny study."""
    project = new_project(folder / "project", folder.parent, base__training__images_per_epoch=32)
    (store,) = (path for path in (project / "mlruns" / "corpora").iterdir() if path.is_dir())
    Attempt(root).prepare(config_of(project).base, store, {"code": {"sha256": "none"}})


def recorded_trial(root: Path, into: Path) -> tuple[Facts, Facts, Any, list[Any]]:
    facts, syncs = Facts(), Syncs(root)
    acknowledging(facts, Attempt, "append", lambda attempt, event: ["epoch", event.epoch, event.metrics, event.timestamp], syncs)
    recorder = Recorder(root, into, lambda: len(facts))
    with syncs.watching(), recorder.recording():
        run_attempt(str(root))
    return from_images(recorder.images), facts, results_of(root), [syncs.renames, syncs.problems]


def results_of(root: Path) -> dict[str, Any]:
    """All of a finished trial that must not depend on when it was killed."""
    attempt = Attempt(root)
    manifest = attempt.sealed()
    metrics = {name: value for name, value in manifest["metrics"].items() if not name.startswith(("cost/", "memory/"))}
    hashes = {
        name: sha256 for name, sha256 in manifest["sha256"].items() if name.endswith((".onnx", ".safetensors", ".npz", ".yaml"))
    }
    curves = [[event.epoch, event.metrics["epoch/train_loss"], event.metrics["epoch/val/accuracy"]] for event in attempt.events()]
    left = sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and path.suffix not in (".png", ".json")
    )
    return {"outcome": attempt.outcome(), "metrics": metrics, "sha256": hashes, "curves": curves, "files": left}


def check_trial(root: Path, calm: Any, image: Image, facts: Facts) -> None:
    """Go on from an image: the results are the same to the last bit, and an epoch is trained again at most once."""
    restore(image, root)
    trained, events, results = in_a_process(partial(resumed_trial, root))
    assert json.loads(json.dumps(results)) == calm, f"{results} is not {calm}"
    acknowledged = [epoch for _, epoch, _, _ in facts]
    assert len([epoch for epoch in trained if epoch in acknowledged]) == 0, f"{trained} was trained, {acknowledged} was done"
    for _, epoch, metrics, timestamp in facts:
        assert [epoch, metrics, timestamp] in events, f"epoch {epoch} is lost"


def resumed_trial(root: Path) -> tuple[Any, ...]:
    trained: list[int] = []
    real = trainer.Trainer._validate

    def validate(training: trainer.Trainer) -> dict[str, float]:
        trained.append(training.progress.epoch + 1)  # an epoch's batches are done, and it is validated
        return real(training)

    trainer.Trainer._validate = validate  # type: ignore[method-assign]
    run_attempt(str(root))
    return trained, [[event.epoch, event.metrics, event.timestamp] for event in Attempt(root).events()], results_of(root)


# ------------------------------------------------------------------------------------------------- the repair


def of_repair(folder: Path) -> Points:
    """A finished study with a run that says RUNNING, one without a hash, a trial that was not told, and a leftover."""
    folder, root = made(folder, "repair"), folder / "repair" / "project"
    new_project(root, folder.parent, trials=2, confirm={"top": 1, "seeds": 1})
    in_a_process(lambda: session(root) and None)
    for make in (planting.a_trial_that_was_recorded_and_not_told, planting.a_half_written_file):
        make(planting.Hands(root))
    hands = planting.Hands(root)
    hands.mlflow("UPDATE runs SET status = 'RUNNING' WHERE name = 'tiny-0000'")
    hands.tag(hands.run("tiny-0000"), "onnx_sha256", None)
    images = folder / "images"
    found = in_a_process(partial(recorded_repair, root, images))
    return Points(as_images(found), [], partial(check_repair, root), Synced(0, []))


def recorded_repair(root: Path, into: Path) -> Facts:
    recorder = Recorder(root, into, lambda: 0)
    said: list[str] = []
    with recorder.recording():
        assert repair(paths_of(root), said.append) == 4, said
    return from_images(recorder.images)


def check_repair(root: Path, image: Image, facts: Facts) -> None:
    """Repair what a killed repair left: nothing is wrong any more, and a third repair changes nothing."""
    restore(image, root)
    violations, again = in_a_process(partial(repaired, root))
    assert violations == [] and again == 0, violations


def repaired(root: Path) -> tuple[list[str], int]:
    repair(paths_of(root), lambda line: None)
    violations = [f"{one.invariant} {one.where}: {one.what}" for one in examine(paths_of(root)).violations]
    return violations, repair(paths_of(root), lambda line: None)


if __name__ == "__main__":
    main()
