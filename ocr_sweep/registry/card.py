"""The model card of a version: what it reads, what it learnt from, how well it reads and where that ends, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ocr_sweep.registry.checks import Check, named
from ocr_sweep.registry.evidence import ONNX, Evidence
from ocr_sweep.registry.gate import Report, Score
from ocr_sweep.registry.register import Version
from ocr_sweep.store import CLASS_GROUPS, CorpusView, Source, class_group
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.record import RunRecord


def model_card(
    candidate: Evidence,
    view: CorpusView,
    version: Version,
    record: dict[str, Any],
    report: Report,
    *,
    former: int | None,
    parent: int | None,
) -> str:
    """Write the card.

    Args:
        record: the gate's (see `gate_record`).
        former: the version that this one replaces.
        parent: of a customer's version, the version in production that it stands for.
    """
    run = candidate.record
    mark = " (simulated)" if run.simulated else ""
    sections = [
        f"# {version.name} version {version.number}",
        f"Promoted to {record['alias']} on {record['when'][:10]} by {record['who']}. "
        f"Trained as {run.name} of the study {run.study}, run `{run.run_id}`.",
        "## Reads",
        f"{len(view.chars)} characters, one image each: {named(view.chars)}. {_foreign(run)}",
        "## Learnt from",
        *_data(candidate, view),
        f"## Accuracy{mark}",
        _scores(report.scores),
        "## Limits",
        *(f"- {limit}" for limit in _limits(candidate, view, report)),
        "## Cost",
        _cost(candidate, report),
        "## Gate",
        _checks(report.checks),
        *([f"A failed check was overruled by {record['who']}: {_cell(record['because'])}"] if record["because"] else []),
        "## Lineage",
        f"Replaces {f'version {former}' if former else 'nobody'}; "
        + (f"stands for a customer beside version {parent}, which was in production; " if parent else "")
        + f"corpus `{run.tags.get(tag.CORPUS, '')[:12]}`, ONNX sha256 `{candidate.hashes[ONNX]}`.",
        "## Use",
        f"`ocr-sweep recognize scans/ --model {version.name}:{record['alias']}`; "
        f"in MLflow `models:/{version.name}@{record['alias']}`. "
        "The file takes pictures of any size and either polarity, and carries a card of its own, for who has nothing but it.",
    ]
    return "\n\n".join(_joined(sections)) + "\n"


def _joined(sections: Sequence[str]) -> Iterator[str]:
    """Lines of one list without empty lines between them."""
    points: list[str] = []
    for section in sections:
        if section.startswith("- "):
            points.append(section)
            continue
        if points:
            yield "\n".join(points)
            points = []
        yield section


def _foreign(run: RunRecord) -> str:
    """What becomes of an image of none of the characters."""
    threshold = run.metrics.get("unknown/threshold")
    if threshold is None:
        return "What is none of them is read as one of them."
    return f"What is none of them is read as one of them, or is unknown: below a confidence of {threshold:.4f} no answer counts."


def _data(candidate: Evidence, view: CorpusView) -> Iterator[str]:
    train = view.rows["source"][view.indices("train")]
    counts = [(source.name.lower(), int((train == source).sum())) for source in Source]
    sources = ", ".join(f"{count:,} {name}" for name, count in counts if count)
    config = candidate.config
    yield (
        f"Corpus {config.corpus.name}: {len(train):,} training images ({sources}) at {view.images.shape[1]} pixels; "
        f"network {candidate.record.tags.get(tag.ARM, config.model.kind)} at {config.image_size} pixels, "
        f"loss {config.loss.kind}, {config.training.epochs} epochs, seed {config.seed}."
    )


def _scores(scores: Sequence[Score]) -> str:
    rows = [
        f"| {score.test_set} | {score.group or 'all'} | {score.num_images} | {score.num_classes} | {score} |" for score in scores
    ]
    head = ["| test set | class group | images | characters | accuracy [95 % interval] |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _limits(candidate: Evidence, view: CorpusView, report: Report) -> Iterator[str]:
    if candidate.record.simulated:
        yield "Numbers from sets named simulated are measured on simulated scans, not on real ones."
    groups = [class_group(int(count)) for count in view.real_counts]
    yield (
        "Characters by real training images: "
        + ", ".join(f"{groups.count(group)} {group}" for group in CLASS_GROUPS if group in groups)
        + "."
    )
    judged = len(np.unique(view.class_ids[view.indices("test")]))
    if judged < view.num_classes:
        yield f"{view.num_classes - judged} characters have no test image: nothing is known of how they are read."
    if report.forgetting and report.forgetting.forgotten:
        yield f"Read by the former version and no longer: {named(report.forgetting.forgotten)}."


def _cost(candidate: Evidence, report: Report) -> str:
    parameters, seconds = (candidate.record.metrics.get(f"cost/{name}", float("nan")) for name in ("parameters", "train_seconds"))
    measured = {check.name: check.number for check in report.checks}
    return (
        f"{parameters:,.0f} parameters, {measured['size of the ONNX']}, {measured['latency of one image']} for one image on one "
        f"core, trained in {seconds:,.0f} s."
    )


def _checks(checks: Sequence[Check]) -> str:
    rows = [f"| {' | '.join(_cell(text) for text in (c.name, c.number, c.limit, c.outcome.value, c.note))} |" for c in checks]
    return "\n".join(["| check | number | limit | outcome | |", "|---|---|---|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
