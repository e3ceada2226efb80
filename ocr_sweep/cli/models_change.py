"""`ocr-sweep models promote, rollback, verify`: what moves a model's pointers, and whether they can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ocr_sweep.cli.models import Customer, Model, Stage, StageName

if TYPE_CHECKING:
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.config.trial import TrialConfig
    from ocr_sweep.registry.commit import Promotion
    from ocr_sweep.store import CorpusView
    from ocr_sweep.tracking.record import RunRecord


def promote(
    study: Annotated[str | None, typer.Option(help="Promote the winner of this study.")] = None,
    run: Annotated[str | None, typer.Option(help="Promote this run.")] = None,
    stage: Stage = StageName.production,
    customer: Customer = None,
    model: Annotated[str | None, typer.Option(help="As a version of this registered model, not of its corpus's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overrule checks that fail; says --because why.")] = False,
    because: Annotated[str, typer.Option(help="Why; recorded in the history.")] = "",
) -> None:
    """Judge a run at the gate, and put it into production: stage and alias move together, the former version is archived.

    What the gate asks stands in sweeps/gates/production.yaml. A check that fails ends with exit code 3.

    Example: ocr-sweep models promote --study unet_aug
    """
    from ocr_sweep.cli.console import console, corpus_progress
    from ocr_sweep.config.load import load_gate
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import ConfigError, NotFoundError
    from ocr_sweep.registry.commit import Order
    from ocr_sweep.registry.pointer import Pointer
    from ocr_sweep.registry.promote import Promoter
    from ocr_sweep.sweep.stored.corpora import corpus_of_run
    from ocr_sweep.tracking.tracker import Tracker

    if bool(study) == bool(run):
        raise NotFoundError("give either --study or --run, for example: ocr-sweep models promote --study unet_aug")
    if force != bool(because.strip()):
        raise ConfigError(['--force needs a reason, and a reason needs --force: --force --because "the customer asked for it"'])
    paths = Paths.find()
    pointer = Pointer.of(stage.value, customer)
    order = Order(pointer, load_gate(pointer.alias, paths.sweeps), model, because.strip())
    tracker = Tracker.open(paths)
    record = tracker.run(run or _winner(study or "", paths))

    def open_corpus(record: RunRecord, config: TrialConfig) -> CorpusView:
        with corpus_progress() as progress:
            return corpus_of_run(record, config, paths, progress)

    done = Promoter(tracker, paths, open_corpus).promote(record, order)
    console.print(_checks_table(done))
    done.require_passed()
    _say(done)


def _checks_table(done: Promotion) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from ocr_sweep.cli.console import simulated_mark
    from ocr_sweep.registry.checks import Outcome

    style = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.NOT_JUDGED: "dim"}
    mark = simulated_mark(done.judged.candidate.record.simulated)
    table = Table("check", f"number{mark}", "limit", "outcome", "", box=SIMPLE_HEAD, pad_edge=False)
    for check in done.judged.report.checks:
        outcome = Text(check.outcome.value, style[check.outcome])
        table.add_row(Text(check.name), Text(check.number), Text(check.limit), outcome, Text(check.note))
    return table


def _say(done: Promotion) -> None:
    from ocr_sweep.cli.console import console

    version, alias = done.judged.version, done.judged.order.pointer.alias
    if done.entry is None:
        console.print(f"{version.name}: version {version.number} is in {alias} already; its files were proven again")
        return
    was = f"version {done.former}" if done.former is not None else "nobody"
    console.print(f"{version.name}: {alias} was {was}, is [bold]version {version.number}[/bold] (run {version.run_id})")
    if done.former is not None and done.judged.order.pointer.title:
        console.print(f"version {done.former} is archived; `ocr-sweep models rollback {version.name}` brings it back")
    if done.entry.forced:
        console.print(f"forced: {', '.join(check.name for check in done.judged.report.failed)} failed; the reason is recorded")
    console.print(f"entry {done.entry.number} of the history, {done.entry.sha256[:12]}…, signed by {done.entry.key[:12]}…")


def _winner(study: str, paths: Paths) -> str:
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.sweep.search.storage import find_verdict

    verdict = find_verdict(study, paths)
    if verdict is None:
        raise NotFoundError(f"study '{study}' has no winner yet; run `make sweep STUDY={study}` to its end first")
    return str(verdict["run_id"])


def rollback(
    model: Model,
    to: Annotated[int | None, typer.Option(help="A version that was there once; without it, the one before.")] = None,
    stage: Stage = StageName.production,
    customer: Customer = None,
    because: Annotated[str, typer.Option(help="Why; recorded in the history.")] = "",
) -> None:
    """Put the version before back into production, after verifying its files; a second rollback goes one further back.

    Example: ocr-sweep models rollback ocr-qianziwen --because "reads 己 as 已"
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.load import load_gate
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.registry.keys import Signer, require_signer
    from ocr_sweep.registry.pointer import Pointer
    from ocr_sweep.registry.rollback import rollback as roll_back
    from ocr_sweep.tracking.tracker import Tracker

    paths = Paths.find()
    pointer = Pointer.of(stage.value, customer)
    signer = Signer.open(paths.signing_key)
    require_signer(signer, load_gate(pointer.alias, paths.sweeps).signers, pointer.alias)
    done = roll_back(Tracker.open(paths), paths, signer, model, pointer, to=to, because=because.strip())
    number = done.version.number
    if done.entry is None:
        console.print(f"{model}: version {number} is in {pointer.alias} already; its {done.num_files} files are as recorded")
        return
    was = f"version {done.former}" if done.former is not None else "nobody"
    console.print(f"{model}: {pointer.alias} was {was}, is [bold]version {number}[/bold] again (run {done.version.run_id})")
    console.print(f"verified: {done.num_files} files as recorded; entry {done.entry.number} of the history")


def verify(model: Annotated[str | None, typer.Argument(help="A registered model; without it, all of them.")] = None) -> None:
    """Check a model's history, its signatures, its pointers and every file behind them; exit code 3 names the first broken link.

    Example: ocr-sweep models verify ocr-qianziwen
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.load import load_gate
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.registry.register import require_model, versions
    from ocr_sweep.registry.verify import verify as look
    from ocr_sweep.tracking.tracker import Tracker

    paths = Paths.find()
    tracker = Tracker.open(paths)
    if model is not None:
        require_model(tracker, model)
    names = [model] if model is not None else sorted({version.name for version in versions(tracker)})
    if not names:
        raise NotFoundError("no registered model yet; `ocr-sweep sweep run STUDY` registers its winner")
    found = [look(tracker, paths, name, lambda alias: load_gate(alias, paths.sweeps).signers) for name in names]
    for one in found:
        state = f"[red]{len(one.problems)} wrong[/red]" if one.problems else "[green]whole[/green]"
        console.print(f"{one.model}: {state}, {len(one.entries)} entries, head {one.head[:16]}…")
        for line in (*one.problems, *one.notes):
            console.print(f"  {line}", markup=False, soft_wrap=True)
        keys = dict.fromkeys(entry.key for entry in one.entries)
        for key in keys:
            console.print(f"  signed by {key}" + (" (your key)" if key == _own_key(paths) else ""), markup=False)
    for one in found:
        one.require_whole()


def _own_key(paths: Paths) -> str:
    """This user's public key; empty where there is none yet."""
    from ocr_sweep.registry.keys import Signer

    return Signer.open(paths.signing_key).public if paths.signing_key.exists() else ""
