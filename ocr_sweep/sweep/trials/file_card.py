"""The card inside a file: what it reads, how well, and what it does not do. That of a version is the registry's."""

from __future__ import annotations

from collections.abc import Mapping

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.delivery.model_file import charset_sha256
from ocr_sweep.metrics import Acceptance
from ocr_sweep.store import CorpusView, Split

_FIRST_CHARS = 12


def file_card(config: TrialConfig, view: CorpusView, acceptance: Acceptance, metrics: Mapping[str, float]) -> str:
    """Write the card in Markdown. It names nothing that differs when the same trial is run again."""
    lines = [
        f"# Recogniser of single characters: {config.corpus.name}",
        "",
        f"- reads {view.num_classes} characters: {_shown(view.chars)}",
        f"- charset sha256 {charset_sha256(list(view.chars))}",
        f"- network {config.model.kind}, {metrics['cost/parameters']:,.0f} parameters, squares of {config.image_size} pixels",
        f"- corpus {view.fingerprint}, {len(view.indices('train')):,} training images",
        "",
        "## Accuracy of this file, by onnxruntime",
        "",
        "| images | number | accuracy | mean over the classes | 95 % interval of it |",
        "|---|---|---|---|---|",
        _row("val", view, metrics),
        _row("test", view, metrics),
        "",
        *(["Some of these images are simulated scans.", ""] if view.simulated else []),
        "## Unknown",
        "",
        _threshold(acceptance, metrics),
        "",
        "## How to use it",
        "",
        "Give `images` as bytes (batch, height, width, channels): one character each, gray, gray and alpha, RGB, or RGB",
        "and alpha, of any size and either polarity; all of a batch have one size. The file crops, scales and normalises by",
        "itself and gives `logits` (batch, classes) and `ink`, the squares that it read: one without any ink was blank. The",
        "class of a logit is its place in `ocr_sweep.charset` of the metadata, its confidence",
        "softmax(logits / `ocr_sweep.temperature`). With `prepared` true, `images` are such squares already.",
        "",
        "## What it does not do",
        "",
        "It finds no characters on a page. A character that it never learnt is read as one that it knows, or is unknown.",
        "Boxes cut from a page are measured against the cut itself, not against the other boxes of the page.",
    ]
    return "\n".join(lines) + "\n"


def _shown(chars: str) -> str:
    return chars if len(chars) <= _FIRST_CHARS else f"{chars[:_FIRST_CHARS]} ..."


def _row(split: Split, view: CorpusView, metrics: Mapping[str, float]) -> str:
    accuracy, macro = metrics[f"{split}/accuracy"], metrics[f"{split}/accuracy_macro"]
    low, high = metrics[f"{split}/accuracy_macro_low"], metrics[f"{split}/accuracy_macro_high"]
    sets = ", ".join(view.named_sets(split))
    return f"| {sets} | {len(view.indices(split)):,} | {accuracy:.2%} | {macro:.2%} | {low:.2%} to {high:.2%} |"


def _threshold(acceptance: Acceptance, metrics: Mapping[str, float]) -> str:
    answered = f"{acceptance.accepted:.1%} of the validation images got an answer"
    kept = (
        f"An answer with a calibrated confidence below {acceptance.value:.4f} counts as unknown. The threshold was chosen on "
        f"validation: {answered}, and {acceptance.precision:.2%} of the answers were right"
    )
    if not acceptance.reached:
        kept += f" (no threshold reached the {acceptance.wanted:.0%} that were asked for; this one comes nearest)"
    tested = metrics.get("test/precision_accepted")
    return kept + (f". On test: {metrics['test/accepted']:.1%} and {tested:.2%}." if tested is not None else ".")
