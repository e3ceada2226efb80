"""`ocr-sweep doctor`: whether everything that is remembered agrees, and what a study needs around it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ocr_sweep.doctor.examine import Examination
    from ocr_sweep.doctor.machine import Finding

_SHOWN = 20  # violations of one invariant that are shown to people


def doctor(
    study: Annotated[str | None, typer.Argument(help="One study; without it, all, and machine, study files and fonts.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended safely, after showing each change.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Read no artifact's bytes: databases, seals and names alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Prove that Optuna, the tracking store and the disk tell the same story; reads only, unless --repair.

    Exit code 0: nothing is wrong; 3: something is; 4: a store is away.

    Example: ocr-sweep doctor unet_aug --quick
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.doctor.examine import examine
    from ocr_sweep.doctor.machine import look_around
    from ocr_sweep.errors import EvidenceError

    paths = Paths.find()
    around = look_around(paths) if study is None else []
    changes: list[str] = []
    if repair:
        from ocr_sweep.doctor.repair import repair as mend

        mend(paths, changes.append if as_json else lambda line: console.print(line, markup=False, soft_wrap=True), study)
    examination = examine(paths, study, quick=quick)
    if as_json:
        typer.echo(_as_json(around, examination, changes if repair else None))
    else:
        for line in _lines(around, examination):
            console.print(line, soft_wrap=True)
    failed = [finding.subject for finding in around if not finding.fine]
    if failed or examination.violations:
        raise EvidenceError(_summary(failed, examination))


def _summary(failed: list[str], examination: Examination) -> str:
    """One sentence for all that is wrong."""
    found = sorted({violation.place[1] for violation in examination.violations})
    parts = [f"{_violations(len(examination.violations))} of {', '.join(f'I{number}' for number in found)}"] if found else []
    if failed:
        parts.append(f"not as a study wants it: {', '.join(failed)}")
    return "; ".join(parts)


def _violations(count: int) -> str:
    return "1 violation" if count == 1 else f"{count} violations"


def _lines(around: list[Finding], examination: Examination) -> list[str]:
    from rich.markup import escape

    marks = {True: "[green]ok[/green]   ", False: "[red]wrong[/red]"}
    lines = [f"{marks[finding.fine]} {escape(finding.subject)}: {escape(finding.sentence)}" for finding in around]
    for study in examination.studies:
        mine = [violation for violation in examination.violations if violation.study == study.name]
        held = f"{len(study.trials)} trials and {len(study.runs)} runs" + (", being run now" if study.running else "")
        lines.append(f"{marks[not mine]} records of {study.name}: {held}, {_violations(len(mine)) if mine else 'all agree'}")
    shown: dict[str, int] = {}
    for violation in examination.violations:
        shown[violation.invariant] = shown.get(violation.invariant, 0) + 1
        if shown[violation.invariant] <= _SHOWN:
            where = f"{violation.study}, {violation.where}" if violation.study else violation.where
            lines.append(
                f"{marks[False]} {violation.invariant} {escape(where)}: {escape(violation.what)}. {escape(violation.do)}"
            )
    hidden = {invariant: number - _SHOWN for invariant, number in shown.items() if number > _SHOWN}
    lines += [f"{marks[False]} {invariant}: {number} more, see --json" for invariant, number in hidden.items()]
    evidence = examination.evidence
    lines += [f"not looked at: artifacts at {scheme}://" for scheme in (evidence.unread if evidence else ())]
    return lines


def _as_json(around: list[Finding], examination: Examination, changes: list[str] | None) -> str:
    evidence = examination.evidence
    found = {
        "around": [finding.as_dict() for finding in around],
        "studies": [
            {"name": study.name, "trials": len(study.trials), "runs": len(study.runs), "running": study.running}
            for study in examination.studies
        ],
        "violations": [violation.as_dict() for violation in examination.violations],
        "not_looked_at": list(evidence.unread) if evidence else ["everything that the databases hold"],
        **({} if changes is None else {"changes": changes}),
    }
    return json.dumps(found, ensure_ascii=False, indent=1)
