"""Seconds until a search has a network of a given accuracy: `ocr-sweep sweep run` against the script that one writes first.

The script is Optuna's `optimize`, MLflow's `log_metric` after each epoch, a `DataLoader` of two processes with imgaug, and the
network's loop on all cores: trial after trial, none pruned, nothing shared. It trains the same networks with the same losses
and the same course of optimisers on the same images, and it is given our study's proposals in their order, so that neither
search is luckier. Both validate after each epoch and write every trial's ONNX file.

The accuracy is one that both reach: the lower of the two bests, less a point. The clock begins when the process does, in each.
Prints one JSON line; fails when ours is not at least twice as fast.

    .venv/bin/python benchmarks/time_to_accuracy.py [--trials 16]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STUDY = "unet_aug"
METRIC = "epoch/val/accuracy_macro"
LIMIT = 2.0
MARGIN = 0.01

Curve = list[tuple[float, float]]  # seconds since the start, accuracy


def main() -> int:
    """Run both, print one JSON line, and fail below the limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--plain", nargs=2, metavar=("JOB", "RESULT"), help="be the script (what this one starts)")
    asked = parser.parse_args()
    if asked.plain:
        plain(*map(Path, asked.plain))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        ours, proposals, store = run_ours(Path(folder), asked.trials)
        theirs = run_plain(Path(folder), proposals, store)
    target = min(max(value for _, value in curve) for curve in (ours, theirs)) - MARGIN
    mine, peer = (next(seconds for seconds, value in curve if value >= target) for curve in (ours, theirs))
    result = {
        "trials": asked.trials,
        "target": round(target, 4),
        "best": {"ours": round(max(ours, key=_value)[1], 4), "plain": round(max(theirs, key=_value)[1], 4)},
        "seconds_to_target": {"ours": round(mine, 1), "plain": round(peer, 1)},
        "seconds_of_all_trials": {"ours": round(ours[-1][0], 1), "plain": round(theirs[-1][0], 1)},
        "ratio": round(peer / mine, 2),
        "ratio_of_all_trials": round(theirs[-1][0] / ours[-1][0], 2),
        "limit": LIMIT,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(result))  # noqa: T201
    return 0 if peer / mine >= LIMIT else 1


def _value(point: tuple[float, float]) -> float:
    return point[1]


def run_ours(home: Path, trials: int) -> tuple[Curve, list[dict[str, Any]], Path]:
    """The shipped study with a pruner; its curve, its proposals in their order, and the corpus."""
    import optuna
    import yaml

    from ocr_sweep.config.paths import Paths
    from ocr_sweep.tracking.tracker import Tracker

    shutil.copytree(ROOT / "sweeps", home / "sweeps")
    study_file = home / "sweeps" / f"{STUDY}.yaml"
    content = yaml.safe_load(study_file.read_text(encoding="utf-8"))
    content |= {"trials": trials, "pruner": {"kind": "median"}, "confirm": {"top": 1, "seeds": 1}}
    study_file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    environment = {**os.environ, "OCR_SWEEP_HOME": str(home)}
    command = [sys.executable, "-m", "ocr_sweep"]
    corpus = Path(yaml.safe_load((home / "sweeps" / content["base"]).read_text(encoding="utf-8"))["corpus"]).stem
    subprocess.run([*command, "corpus", "build", corpus], env=environment, check=True, stdout=subprocess.DEVNULL)
    began = time.time()
    subprocess.run([*command, "sweep", "run", STUDY], env=environment, check=True, stdout=subprocess.DEVNULL)
    paths = Paths.find({"OCR_SWEEP_HOME": str(home)})
    tracker = Tracker.open(paths)
    curve: Curve = []
    for run in tracker.runs(STUDY):
        if run.tags["ocr_sweep.role"] == "search":
            points = tracker.client.get_metric_history(run.run_id, METRIC)
            curve += [(point.timestamp / 1000 - began, point.value) for point in points]
    study = optuna.load_study(study_name=STUDY, storage=paths.optuna_url)
    (store,) = (path for path in paths.corpora.iterdir() if path.is_dir())
    return sorted(curve), [trial.params for trial in study.trials], store


def run_plain(home: Path, proposals: list[dict[str, Any]], store: Path) -> Curve:
    """The script in a process of its own, as ours was."""
    job, result = home / "job.json", home / "plain.json"
    job.write_text(json.dumps({"proposals": proposals, "store": str(store), "home": str(home)}), encoding="utf-8")
    began = time.time()
    command = [sys.executable, str(Path(__file__)), "--plain", str(job), str(result)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home)
    return [(when - began, value) for when, value in json.loads(result.read_text(encoding="utf-8"))]


# ------------------------------------------------------------------------------------------------------------- the script


def plain(job: Path, result: Path) -> None:
    """Search as a notebook would, and write when which accuracy was there."""
    import mlflow
    import optuna

    asked = json.loads(job.read_text(encoding="utf-8"))
    home = Path(asked["home"])
    mlflow.set_tracking_uri(f"sqlite:///{home / 'plain.db'}")
    mlflow.set_experiment("plain")
    curve: Curve = []

    def objective(trial: optuna.Trial) -> float:
        params: dict[str, Any] = {
            "strength": trial.suggest_float("augment.rendered.strength", 0.0, 1.0),
            "handover_at": trial.suggest_float("optim.handover_at", 0.5, 1.0),
            "label_smoothing": trial.suggest_float("loss.label_smoothing", 0.0, 0.2),
            "model": trial.suggest_categorical("model", ["unet", "unet_encoder"]),
        }
        with mlflow.start_run():
            mlflow.log_params(params)
            return train(home, Path(asked["store"]), curve, **params)

    study = optuna.create_study(
        storage=f"sqlite:///{home / 'plain_optuna.db'}", direction="maximize", sampler=optuna.samplers.TPESampler(seed=17)
    )
    for proposal in asked["proposals"]:
        study.enqueue_trial(proposal)
    study.optimize(objective, n_trials=len(asked["proposals"]))
    result.write_text(json.dumps(curve), encoding="utf-8")


def train(
    home: Path, store: Path, curve: Curve, *, strength: float, handover_at: float, label_smoothing: float, model: str
) -> float:
    """Train one network with a DataLoader; its best accuracy."""
    import cv2
    import mlflow
    import numpy as np
    import torch
    from augmentation import imgaug_rendered
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, Dataset, RandomSampler

    from ocr_sweep.config.load import load_study
    from ocr_sweep.config.trial import TrialConfig
    from ocr_sweep.export.onnx_file import export_onnx
    from ocr_sweep.losses import reconstruction_loss
    from ocr_sweep.metrics.accuracy import macro_accuracy
    from ocr_sweep.models import build_model
    from ocr_sweep.optim import Course
    from ocr_sweep.store import CorpusView, resized

    base = load_study(home / "sweeps" / f"{STUDY}.yaml", home / "sweeps").base
    content = base.model_dump()
    content["optim"]["handover_at"] = handover_at
    if model == "unet_encoder":
        content["model"]["decoder"] = False
    config = TrialConfig.model_validate(content)
    view = CorpusView.open(store)
    size, cfg = config.image_size, config.training

    class Glyphs(Dataset[Any]):
        def __init__(self, indices: Any, *, augmented: bool) -> None:
            self.images = resized(view.images[indices], size)
            self.labels = view.class_ids[indices]
            self.peer = imgaug_rendered(size, strength) if augmented else None

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, index: int) -> tuple[Any, Any, int]:
            clean = self.images[index]
            image = self.peer(image=clean[..., None])[..., 0] if self.peer else clean
            image, clean = (torch.from_numpy(np.ascontiguousarray(array))[None].float() / 255 for array in (image, clean))
            return image, clean, int(self.labels[index])

    cv2.setNumThreads(1)
    torch.manual_seed(config.seed)
    network = build_model(config.model, view.num_classes, size)
    training, val = Glyphs(view.indices("train"), augmented=True), Glyphs(view.indices("val"), augmented=False)
    sampler = RandomSampler(training, replacement=True, num_samples=cfg.images_per_epoch)
    loader = DataLoader(training, cfg.batch_size, sampler=sampler, num_workers=2, drop_last=True, persistent_workers=True)
    val_loader = DataLoader(val, 256)
    course = Course(config.optim, network, num_steps=cfg.epochs * len(loader))
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    step, best = 0, 0.0
    for epoch in range(cfg.epochs):
        network.train()
        for images, clean, labels in loader:
            if course.due(step, stale_epochs=0):
                course.hand_over(step)
            output = network(images)
            loss = cross_entropy(output.logits, labels, label_smoothing=label_smoothing)
            if output.restored is not None:
                loss = loss + reconstruction_loss(output.restored, clean)
            course.optimizer.zero_grad()
            loss.backward()
            course.update(step, scaler)
            step += 1
        network.eval()
        with torch.no_grad():
            found = torch.cat([network(images).logits.argmax(1) for images, _, _ in val_loader]).numpy()
        accuracy = macro_accuracy(val.labels, found)
        curve.append((time.time(), accuracy))
        mlflow.log_metrics({"loss": loss.item(), METRIC: accuracy}, step=epoch + 1)
        if accuracy > best:
            best = accuracy
            torch.save(network.state_dict(), home / "best.pt")
    network.load_state_dict(torch.load(home / "best.pt", weights_only=True))
    export_onnx(network.eval(), home / "model.onnx", chars=view.chars, image_size=size)
    mlflow.log_artifact(str(home / "model.onnx"))
    return best


if __name__ == "__main__":
    sys.exit(main())
