"""How many of the GAN's drawings a recogniser accepts, and what they are worth to a classifier that has nothing else.

    python benchmarks/gan.py --source SERIF.ttc#2 --target KAI.ttf --judge A.ttc --judge B.ttf --exam OTHER_KAI.ttc --work DIR

Half of the classes are hidden: no face draws them for the classifier. It is trained four times, with nothing for them, with
the glyph of the source face (what one has without a GAN), with an accepted drawing and with the true glyph of the target face,
one image a class, and judged on simulated scans of the hidden
classes, in the target face and in one that nobody learns from (--exam).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.charset_file import read_charset_file
from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.corpus.fonts import Face
from ocr_sweep.corpus.gan import GanOrder, GanPlan, GanSettings, generate, plan_gan
from ocr_sweep.corpus.gan.plan import named_face
from ocr_sweep.corpus.glyphs import draw_glyph
from ocr_sweep.corpus.jobs import ScanJob, SimulatedJob, make_image
from ocr_sweep.store import ROW_DTYPE, CorpusView, Source
from ocr_sweep.training.trainer import Trainer, predict_logits

Images = NDArray[np.uint8]

_SIZE = 32  # pixels that the classifier sees
_SCANS = 4  # simulated scans of a hidden class in each exam
_WEAR = 0.6
_CHARSET = Path(__file__).parents[1] / "sweeps" / "corpora" / "charsets" / "qianziwen.txt"


class _Silent:
    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        pass

    def should_stop(self) -> bool:
        return False


def main() -> None:
    """Generate, measure, train four classifiers, print one table."""
    args = _arguments()
    chars = read_charset_file(_CHARSET, args.classes)
    hidden = chars[1::2]
    plan = _plan(args, chars, hidden)
    began = time.perf_counter()
    folder = args.work / "data" / "generated" / "drawn"
    report = generate(plan, folder, cache=args.work / "cache", threads=args.threads, progress=_every_100, note=_say)
    seconds = time.perf_counter() - began
    for style, found in report["held_back"].items():
        _say(style + " " + json.dumps(found, ensure_ascii=False))
    _say(
        f"accepted {report['accepted']} of {len(hidden)}; {seconds:.0f} s (0 where it was there already); {folder / 'sheet.png'}"
    )
    _compare(args, plan, chars, hidden, folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("source", "target", "exam"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--judge", action="append", required=True)
    parser.add_argument("--work", type=Path, required=True)
    for name, value in (
        ("classes", 200),
        ("steps", 1500),
        ("size", 64),
        ("base", 24),
        ("learn", 800),
        ("threads", 1),
        ("seeds", 2),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _every_100(what: str, done: int, total: int) -> None:
    if done % 100 == 0:
        _say(f"{what} {done} {total}")


def _plan(args: argparse.Namespace, chars: str, hidden: str) -> GanPlan:
    recipe = CorpusConfig.model_validate(_recipe(args, chars))
    order = GanOrder(args.source, (args.target,), (), hidden, args.learn, 100, 0.5)
    settings = GanSettings(args.size, args.base, args.steps, 16, 1e-3, 0)
    return plan_gan(recipe, order, settings, data_root=args.work, cache=args.work / "cache", progress=lambda *_: None)


def _recipe(args: argparse.Namespace, chars: str) -> dict[str, Any]:
    return {
        "name": "gan",
        "seed": 0,
        "image_size": _SIZE,
        "charset": {"chars": chars},
        "rendered": {"fonts": args.judge, "max_faces": 8},
        "scanned": [],
        "scanned_per_class": 0,
        "simulated": [{"name": "simulated", "val_per_class": 1, "test_per_class": 1, "wear": _WEAR}],
    }


def _compare(args: argparse.Namespace, plan: GanPlan, chars: str, hidden: str, folder: Path) -> None:
    """Train on four corpora that differ in the hidden classes alone, and print accuracy on those classes."""
    cache = args.work / "cache"
    target, exam = (named_face(font, chars, args.work, cache) for font in (args.target, args.exam))
    drawn = {char: found[0] for char in hidden if (found := sorted(folder.glob(f"U+{ord(char):04X}/*.png")))}
    judged = "".join(char for char in drawn if char in target.chars and char in exam.chars)
    arms: dict[str, dict[str, Images]] = {
        "nothing": {},
        "source glyphs": {char: draw_glyph(plan.source.path, plan.source.index, char, _SIZE) for char in judged},
        "generated": {char: _read(drawn[char]) for char in judged},
        "true glyphs": {char: draw_glyph(target.path, target.index, char, _SIZE) for char in judged},
    }
    _say(f"judged on {len(judged)} hidden classes of {len(chars)}, {_SCANS} simulated scans each")
    for name, extra in arms.items():
        each = [_accuracies(args, plan, chars, judged, extra, (target, exam), seed) for seed in range(args.seeds)]
        means = [float(np.mean(values)) for values in zip(*each, strict=True)]
        _say(f"{name:12} target face {means[0]:.1%}, unseen face {means[1]:.1%} (each seed: {each})")


def _read(path: Path) -> Images:
    image = make_image(ScanJob(path, None), _SIZE)
    assert isinstance(image, np.ndarray)
    return image


def _accuracies(
    args: argparse.Namespace,
    plan: GanPlan,
    chars: str,
    judged: str,
    extra: dict[str, Images],
    faces: tuple[Face, Face],
    seed: int,
) -> tuple[float, ...]:
    images: list[Images] = []
    rows: list[tuple[int, int, int, int]] = []
    for face in plan.judges:
        for char in sorted(face.chars & set(chars[0::2])):
            images.append(draw_glyph(face.path, face.index, char, _SIZE))
            rows.append((chars.index(char), int(Source.RENDERED), 0, len(rows)))
    for char, image in extra.items():
        images += [image] * len(plan.judges)  # as often as a class that every face draws
        rows += [(chars.index(char), int(Source.GENERATED), 0, len(rows))] * len(plan.judges)
    for char in sorted(set(chars[0::2]) & faces[0].chars):
        images.append(_scan(faces[0], char, 99))  # chooses the epoch: classes that are not judged
        rows.append((chars.index(char), int(Source.SIMULATED), 1, len(rows)))
    for number, face in enumerate(faces):
        for char in judged:
            for copy in range(_SCANS):
                images.append(_scan(face, char, copy))
                rows.append((chars.index(char), int(Source.SIMULATED), 2 + number, len(rows)))
    sets = ["train", "val/simulated", "test/simulated_target", "test/simulated_unseen"]
    manifest = {"recipe": _recipe(args, chars), "sets": sets, "fingerprint": "benchmark"}
    view = CorpusView(args.work, manifest, np.stack(images), np.array(rows, dtype=ROW_DTYPE))
    checkpoint = args.work / "classifier.pt"
    checkpoint.unlink(missing_ok=True)
    trained = Trainer(_trial(args, chars, seed), view, checkpoint).run(_Silent())
    assert trained is not None
    found = []
    for name in sets[2:]:
        indices = view.indices(name)
        logits = predict_logits(trained.model, view, indices, _SIZE)
        found.append(float((logits.argmax(axis=1) == view.class_ids[indices]).mean()))
    return tuple(found)


def _scan(face: Face, char: str, copy: int) -> Images:
    image = make_image(SimulatedJob(face.path, face.index, char, _WEAR, f"{face.label} {char} {copy}"), _SIZE)
    assert isinstance(image, np.ndarray)
    return image


def _trial(args: argparse.Namespace, chars: str, seed: int) -> TrialConfig:
    strength = {"strength": 0.4}
    return TrialConfig.model_validate(
        {
            "corpus": _recipe(args, chars),
            "seed": seed,
            "image_size": _SIZE,
            "model": {
                "kind": "unet",
                "base_channels": 16,
                "depth": 3,
                "dropout": 0.1,
                "decoder": False,
                "reconstruction_weight": 0.0,
            },
            "augment": {"rendered": strength, "scanned": strength, "generated": strength},
            "loss": {"kind": "cross_entropy", "label_smoothing": 0.1},
            "optim": {
                "lr": 3e-3,
                "weight_decay": 0.02,
                "warmup": 0.1,
                "clip_norm": 5.0,
                "handover_at": 1.0,
                "handover_patience": 0,
                "handover_rate": "matched",
                "handover_kappa": 10.0,
                "sgd_momentum": 0.9,
            },
            "training": {
                "epochs": 6,
                "batch_size": 64,
                "images_per_epoch": 3200,
                "sampling": "class_balanced",
                "threads": args.threads,
            },
        }
    )


if __name__ == "__main__":
    main()
