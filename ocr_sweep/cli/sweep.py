"""`ocr-sweep sweep`: studies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ocr_sweep.config.study import StudyConfig
    from ocr_sweep.registry.register import Version
    from ocr_sweep.sweep.study_loop import StudyEnd

app = typer.Typer(no_args_is_help=True)


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A study's name (a file in sweeps/) or the path of a study file.")],
    scale: Annotated[str | None, typer.Option(help="One of the file's `scales:`, e.g. gpu; without it, the first.")] = None,
    grow: Annotated[
        bool, typer.Option("--grow", help="Go on with a new version of a study whose space, base or code has changed.")
    ] = False,
    join: Annotated[
        bool, typer.Option("--join", help="Where another process runs the study, look on, and take over if it dies.")
    ] = False,
    engine: Annotated[str, typer.Option(help="Where trials run: `local`, this machine, or `ray`, a cluster's nodes.")] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            help="Of the Ray cluster: its head's host:port; auto, the one this machine has joined; or local, a new one."
        ),
    ] = None,
) -> None:
    """Run a study, or go on with it: corpus, trials, confirmation, winner in the registry.

    Example: ocr-sweep sweep run unet_aug

    Example: ocr-sweep sweep run unet_aug --engine ray --address head:6379
    """
    from ocr_sweep.cli.console import console, simulated_mark
    from ocr_sweep.cli.live import LiveBoard
    from ocr_sweep.config.load import find_study, load_study
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.sweep.running.fork_server import fork_server

    cluster = _cluster(engine, address)
    paths = Paths.find()
    config = load_study(find_study(study, paths.sweeps), paths.sweeps, scale)
    simulated = bool(config.base.corpus.simulated)
    console.print(f"[bold]{config.name}[/bold]: {config.question}{simulated_mark(simulated)}")
    if join:
        from ocr_sweep.cli.sweep_watch import joined

        if not joined(config.name, paths):
            return
    if cluster is None:
        fork_server(timm=config.needs_timm())  # it imports while we do

    from ocr_sweep.registry.register import register
    from ocr_sweep.sweep.study_loop import run_study
    from ocr_sweep.tracking.test_readings import openings, read_test, readings
    from ocr_sweep.tracking.tracker import Tracker

    with LiveBoard(console, paths, study=config.name, metric=config.metric) as board:
        end = run_study(config, paths, board, cluster, grows=grow)
    tracker = Tracker.open(paths)
    winner = tracker.run(end.verdict.run_id)
    version = register(tracker, paths, winner)
    read_test(tracker, [winner], "verdict")
    _report(config, end, version, openings(readings(tracker.runs()), end.view.fingerprint))


def _cluster(engine: str, address: str | None) -> str | None:
    """The address of the cluster that the options name; None for this machine.

    Raises:
        OcrSweepError: they contradict each other, or name no engine.
    """
    from ocr_sweep.errors import OcrSweepError

    if engine not in ("local", "ray"):
        raise OcrSweepError(f"--engine must be local or ray, but got {engine!r}")
    if engine == "local" and address is not None:
        raise OcrSweepError(f"--address belongs to a Ray cluster; write: --engine ray --address {address}")
    return (address or "auto") if engine == "ray" else None


def _report(config: StudyConfig, end: StudyEnd, version: Version, opened: str) -> None:
    from ocr_sweep.cli.console import console, simulated_mark
    from ocr_sweep.cli.search_tables import front_table, means_table
    from ocr_sweep.cli.tables import trials_table, with_interval
    from ocr_sweep.sweep.watching.forks import forks_sentence

    verdict, mark = end.verdict, simulated_mark(end.verdict.simulated)
    study = end.records[0].study
    record = next(record for record in end.records if record.run_id == verdict.run_id)
    low, high = 100 * verdict.interval.low, 100 * verdict.interval.high
    console.print(trials_table(list(end.records), verdict.metric))
    if config.repeats > 1:
        console.print(means_table(config, end.records))
    if config.against is not None:
        console.print(front_table(config, end.records))
    if saved := forks_sentence(end.records):
        console.print(f"shared    {saved}")
    if end.audit is not None:
        console.print(f"pruner    {end.audit.sentence}")
    for line in verdict.race_lines():
        console.print(f"race      {line}", markup=False)
    console.print(f"verdict   {verdict.sentence}{mark}")
    console.print(
        f"winner    [bold]trial {verdict.winner}[/bold]: {verdict.metric}{mark} {100 * verdict.interval.value:.1f} % "
        f"[{low:.1f}, {high:.1f}] over its seeds"
    )
    console.print(f"test      test/accuracy{mark} {with_interval(record, 'test/accuracy')}; {opened}", markup=False)
    console.print(f"run       [bold]{verdict.run_id}[/bold] ({record.name})")
    console.print(f"model     {version.name} version {version.number}, stage {version.stage}")
    console.print("next:")
    console.print(f"  {'make ui':<34} compare the runs of {study} in the MLflow UI")
    console.print(f"  {f'make promote STUDY={study}':<34} put the winner into production")
    console.print(f"  make reproduce RUN={verdict.run_id}")


@app.command("list")
def list_studies() -> None:
    """List the studies of this project.

    Example: ocr-sweep sweep list
    """
    from rich.table import Table

    from ocr_sweep.cli.console import console
    from ocr_sweep.config.load import load_study
    from ocr_sweep.config.paths import Paths

    paths = Paths.find()
    table = Table("study", "trials", "metric", "question")
    for file in sorted(paths.sweeps.glob("*.yaml")):
        study = load_study(file, paths.sweeps)
        table.add_row(study.name, str(study.trials), study.metric, study.question)
    console.print(table)


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Study files, corpus recipes or gates; without any, all in sweeps/, sweeps/corpora/ and sweeps/gates/."
        ),
    ] = None,
) -> None:
    """Check study files, corpus recipes and gates without running them; every mistake is shown with file and line.

    Example: ocr-sweep sweep check sweeps/unet_aug.yaml
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.load import find_study, load_corpus, load_study, read_gate, scales_of
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import ConfigError

    sweeps = Paths.find().sweeps
    problems: dict[str, None] = {}  # in order, and those of several scales once
    recipes, gates = (
        [file for file in files or sorted(sweeps.glob(f"{folder}/*.yaml")) if file.resolve().parent.name == folder]
        for folder in ("corpora", "gates")
    )
    studies = [file for file in files or sorted(sweeps.glob("*.yaml")) if file not in (*recipes, *gates)]
    for file in (*studies, *recipes, *gates):
        try:
            if file in recipes:
                load_corpus(file, sweeps)
            elif file in gates:
                read_gate(file, sweeps)
            else:
                found = find_study(str(file), sweeps)
                for scale in (None, *scales_of(found, sweeps)):
                    load_study(found, sweeps, scale)
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
    if problems:
        raise ConfigError(list(problems))
    console.print(f"{_right(len(studies), 'study file')}, {_right(len(recipes), 'corpus recipe')}, {_right(len(gates), 'gate')}")


def _right(count: int, what: str) -> str:
    return f"{count} {what} is right" if count == 1 else f"{count} {what}s are right"
