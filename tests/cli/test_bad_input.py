"""Every mistake and every trouble: its exit code, one clear sentence, and nothing half-written."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_study import CHARS, STUDY, draw_book, here, ipaex, ocr_sweep, refused, write_study

from ocr_sweep import disk
from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.sweep import study_loop

Project = Callable[..., Path]
RUN = ("sweep", "run", "tiny")
BOOK = {"name": "book", "path": "book", "split": {"train": 0.4, "val": 0.3, "test": 0.3}, "group": None, "max_bad": 0.0}
UNKNOWN = "0123456789abcdef0123456789abcdef"


def untouched(root: Path) -> None:
    """No corpus, no study, no run and no trial came of it."""
    left = sorted(path.relative_to(root).as_posix() for path in (root / "mlruns").rglob("*") if path.is_file())
    left = [name for name in left if not name.endswith(".lock") and not name.startswith(("mlruns/cache/", "mlruns/logs/"))]
    assert left == ["mlruns/mlflow.db"], left


def with_scans(root: Path, chars: str = CHARS, each: int = 8, **changes: Any) -> Path:
    """A study on scanned images, which are drawn here."""
    draw_book(root, chars, each)
    write_study(root, base__corpus__scanned=[BOOK], base__corpus__simulated=[], **changes)
    return root


# ----------------------------------------------------------------------------------------------- the study file


def test_an_unknown_study(project: Project) -> None:
    root = project(corpus=False)
    refused(here(root, "sweep", "run", "tinny"), 2, "no study 'tinny'", "did you mean 'tiny'?")
    refused(here(root, "sweep", "run", "elsewhere/x.yaml"), 2, "no such study file")
    untouched(root)


def test_a_misspelt_key(project: Project) -> None:
    root = project(corpus=False, base__optim={**STUDY["base"]["optim"], "learning_rate": 1.0})
    refused(here(root, *RUN), 2, "tiny.yaml:", "unknown key 'learning_rate'")
    untouched(root)


def test_a_range_upside_down(project: Project) -> None:
    root = project(corpus=False, search={"loss.label_smoothing": {"type": "float", "low": 0.2, "high": 0.0}})
    refused(here(root, *RUN), 2, "tiny.yaml:", "`low <= high` must hold", "swap them")


def test_a_search_path_that_names_nothing(project: Project) -> None:
    root = project(corpus=False, search={"loss.label_smoothin": {"type": "float", "low": 0.0, "high": 0.2}})
    refused(here(root, *RUN), 2, "must name a value that the base has", "did you mean 'loss.label_smoothing'?")


def test_an_unknown_kind_of_model(project: Project) -> None:
    root = project(corpus=False, base__model={"kind": "vnet"})
    refused(here(root, *RUN), 2, "kind must be one of unet, dense_unet, capsule, timm, but got 'vnet'")
    untouched(root)


@pytest.mark.parametrize("wrong", ["missing", "changed", "foreign"])
def test_a_file_of_similarities_that_cannot_be_used(project: Project, tmp_path: Path, wrong: str) -> None:
    table = tmp_path / "data" / "alike.tsv"
    table.parent.mkdir()
    table.write_text(f"{CHARS[0]}\t{'龘' if wrong == 'foreign' else CHARS[1]}\t0.5\n", encoding="utf-8")
    named = {"file": table.name, "sha256": file_sha256(table) if wrong != "changed" else 64 * "0"}
    loss = {"kind": "cross_entropy", "label_smoothing": 0.02}
    alike = {**loss, "similarity": {"source": "file", "mass": 0.05, "file": named}}
    search = {"loss": {"type": "categorical", "choices": ["plain.yaml", "alike.yaml"]}}  # an arm that comes later
    root = project(corpus=False, base__loss=loss, search=search)
    (root / "sweeps" / "plain.yaml").write_text(yaml.safe_dump(loss))
    (root / "sweeps" / "alike.yaml").write_text(yaml.safe_dump(alike))
    if wrong == "missing":
        table.unlink()
    words = {"missing": "no such file", "changed": "must have sha256 0000", "foreign": "龘 U+9F98"}
    refused(here(root, *RUN, OCR_SWEEP_DATA=str(table.parent)), 2, "alike.tsv", words[wrong])
    untouched(root)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"kind": "dense_unet", "decoder": False, "reconstruction_weight": 0.0}, "must be a multiple of 32 for this model"),
        ({"kind": "capsule", "base_channels": 4, "depth": 5, "routing": {"kind": "attention"}}, "must be a multiple of 32"),
        ({"kind": "timm", "name": "efficientformerv2_s0"}, "must be a multiple of 32"),
        ({"kind": "timm", "name": "test_vit2"}, "timm's test_vit2 cannot read images of 20 pixels: "),
    ],
)
def test_an_image_size_that_a_model_cannot_read(project: Project, model: dict[str, Any], said: str) -> None:
    root = project(corpus=False, base__model={**model, "dropout": 0.0}, base__image_size=20)
    refused(here(root, *RUN), 2, said)
    untouched(root)


def test_an_image_size_that_only_another_choice_of_the_study_can_read(project: Project) -> None:
    root = project(corpus=False)
    (root / "sweeps" / "vit.yaml").write_text("kind: timm\nname: test_vit\ndropout: 0.0\n")
    (root / "sweeps" / "small.yaml").write_text(yaml.safe_dump(STUDY["base"]["model"]))
    search = {
        "model": {"type": "categorical", "choices": ["small.yaml", "vit.yaml"]},
        "image_size": {"type": "categorical", "choices": [16, 24]},
    }
    write_study(root, search=search)
    refused(here(root, *RUN), 2, "timm's test_vit cannot read images of 24 pixels: ")
    untouched(root)


def test_weights_that_are_not_there(project: Project) -> None:
    weights = {"file": "weights/resnet.safetensors", "sha256": 64 * "0"}
    root = project(corpus=False, base__model={"kind": "timm", "name": "test_resnet", "dropout": 0.0, "weights": weights})
    refused(here(root, *RUN), 2, "no such file: ", "weights/resnet.safetensors; set OCR_SWEEP_DATA to the folder")
    untouched(root)


def test_an_unknown_timm_model(project: Project) -> None:
    root = project(corpus=False, base__model={"kind": "timm", "name": "resnet19", "dropout": 0.0})
    refused(here(root, *RUN), 2, "resnet19")
    untouched(root)


def test_every_mistake_is_told_at_once(project: Project) -> None:
    root = project(corpus=False, base__optim={**STUDY["base"]["optim"], "lr": "fast", "warmup": 3.0}, trials=0)
    done = here(root, *RUN)
    assert done.code == 2 and done.err.count("error: ") == done.err.count("\n") == 3, done.err


# ------------------------------------------------------------------------------------------------------- the data


def test_a_missing_data_root(project: Project) -> None:
    root = project(corpus=False)
    refused(here(root, *RUN, OCR_SWEEP_DATA="/nowhere/at/all"), 2, "/nowhere/at/all")
    untouched(root)


def test_a_broken_font(project: Project) -> None:
    root = project(corpus=False)
    font = root / "data" / "fonts" / "a.ttf"
    font.unlink()
    font.write_bytes(ipaex().read_bytes()[:5000])
    done = here(root, *RUN)
    assert done.code == 2 and "a.ttf" in done.err and "Traceback" not in done.err, done.err
    untouched(root)


@pytest.mark.parametrize(
    ("content", "word"), [(b"only text, whatever it is called", "image"), (None, "truncated")], ids=["text", "truncated"]
)
def test_an_image_that_is_none(project: Project, content: bytes | None, word: str) -> None:
    root = with_scans(project(corpus=False))
    image = root / "data" / "book" / CHARS[0] / "0.png"
    image.write_bytes(image.read_bytes()[:-60] if content is None else content)
    done = here(root, *RUN)
    assert done.code == 2 and "Traceback" not in done.err and "0.png" in done.err and word in done.err, done.err
    assert "max_bad" in done.err
    untouched(root)


def test_a_charset_with_characters_that_no_source_has(project: Project) -> None:
    root = project(corpus=False, base__corpus__charset={"chars": CHARS + "\U0003134a"})
    done = here(root, *RUN)
    assert done.code == 2 and "U+3134A" in done.err and "Traceback" not in done.err, done.err
    untouched(root)


def test_an_empty_class(project: Project) -> None:
    root = with_scans(project(corpus=False), chars=CHARS[1:], base__corpus__rendered=None)
    (root / "data" / "book" / CHARS[0]).mkdir()
    done = here(root, *RUN)
    assert done.code == 2 and CHARS[0] in done.err and "Traceback" not in done.err, done.err
    untouched(root)


# ---------------------------------------------------------------------------------------------------- runs and stores


def test_a_run_that_does_not_exist(project: Project) -> None:
    root = project()
    for command in (("runs", "reproduce"), ("models", "promote", "--run"), ("runs", "compare")):
        for unknown in (UNKNOWN, "../../etc", "no run"):
            refused(here(root, *command, unknown), 2, f"no run '{unknown}'", "runs list")


def test_commands_on_a_project_without_runs(project: Project) -> None:
    root = project()
    refused(here(root, "runs", "list"), 2, "no runs yet")
    refused(here(root, "models", "list"), 2, "no registered model yet")
    refused(here(root, "models", "verify"), 2, "no registered model yet")
    for command in ("show", "history", "rollback", "verify"):
        refused(here(root, "models", command, "ocr-tiny"), 2, "no registered model 'ocr-tiny'; known ones: none yet")
    refused(here(root, "models", "promote", "--study", "tiny"), 2, "has no winner yet", "make sweep STUDY=tiny")
    refused(here(root, "runs", "compare", "--study", "tiny"), 2, "no complete run to compare")
    refused(here(root, "models", "promote"), 2, "either --study or --run")
    refused(here(root, "runs", "compare"), 2, "either run IDs or --study")


def test_no_project(tmp_path: Path) -> None:
    refused(here(tmp_path, *RUN), 2, "no project found", "sweeps/")


@pytest.mark.parametrize(
    "arguments",
    [("sweep", "rum"), ("sweep", "run"), ("sweep", "run", "tiny", "--fast"), ("ui", "--port", "0"), ("ui", "--port", "many"),
     ("models", "promote", "--study", "x", "--stage", "best"), ("models", "rollback"), ("nothing",)],
)  # fmt: skip
def test_a_mistake_of_usage(project: Project, arguments: tuple[str, ...]) -> None:
    done = here(project(), *arguments)
    assert done.code == 2 and "Traceback" not in done.err and done.err.strip(), (done.code, done.err)


def test_a_port_in_use(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(here(project(), "ui", "--port", str(port)), 5, f"port {port} is in use", f"make ui PORT={port + 1}")


def test_a_tracking_server_that_is_gone(project: Project) -> None:
    began = time.monotonic()
    refused(here(project(), "runs", "list", MLFLOW_TRACKING_URI="http://127.0.0.1:9"), 4, "http://127.0.0.1:9", "reachable")
    assert time.monotonic() - began < 30


def test_a_tracking_server_that_is_gone_keeps_its_password(project: Project) -> None:
    done = here(project(), "runs", "list", MLFLOW_TRACKING_URI="http://me:secret@127.0.0.1:9")
    assert done.code == 4 and "secret" not in done.err + done.out, done.err


def test_an_optuna_database_that_is_gone(project: Project) -> None:
    root = project()
    refused(here(root, *RUN, OCR_SWEEP_OPTUNA_URL="sqlite:////nowhere/optuna.db"), 4, "Optuna's database", "/nowhere/optuna.db")


def test_a_damaged_database(project: Project) -> None:
    root = project()
    (root / "mlruns" / "optuna.db").write_bytes(b"this is no database" * 200)
    refused(here(root, *RUN), 4, "Optuna's database")
    (root / "mlruns" / "mlflow.db").write_bytes(b"this is no database" * 200)
    refused(here(root, "runs", "list"), 4, "tracking store")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses(project: Project, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    root = project()

    def refuse(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(disk.os, "fsync", refuse)
        refused(here(root, *RUN), 4, os.strerror(code), "What was recorded before is safe", "run the same command again")


def test_a_bug_of_ours_is_called_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(study_loop, "check_parts", wrong)
    done = here(project(), *RUN)
    refused(done, 1, "a bug of ocr-sweep", "ZeroDivisionError: of all things")
    file = Path(done.err.strip().rpartition(" ")[2])
    assert "check_parts" in file.read_text() or "wrong" in file.read_text()
    file.unlink()


@pytest.mark.slow
def test_a_full_disk(project: Project, tmp_path: Path) -> None:
    """A real one: mlruns on a few megabytes, filled up to less and less, and freed again."""
    root = project()
    kept = root / "mlruns"
    kept.rename(tmp_path / "kept")
    kept.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", kept], capture_output=True).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    try:
        shutil.copytree(tmp_path / "kept", kept, dirs_exist_ok=True)
        codes, filler = [], kept / "filler"
        for left in (0, 100_000, 400_000, 1_000_000):  # bytes that are left free
            fill(filler, left)
            done = here(root, *RUN)
            codes.append(done.code)
            if done.code:
                assert done.code == 4 and "Traceback" not in done.err and done.err.count("error: ") == 1, done.err
                assert "safe" in done.err and "same command" in done.err, done.err
            filler.unlink()
        assert codes[0] == 4, codes
        done = here(root, *RUN)
        assert done.code == 0, done.err
        listed = here(root, "runs", "list", "tiny")
        assert listed.out.count("complete") == 5 and "failed" not in listed.out, listed.out
    finally:
        subprocess.run(["umount", "-l", kept], check=True)


def fill(file: Path, left: int) -> None:
    with file.open("wb", buffering=0) as out:
        try:
            while shutil.disk_usage(file.parent).free > left:
                out.write(b"\0" * min(65536, max(4096, shutil.disk_usage(file.parent).free - left)))
        except OSError:
            return


@pytest.mark.slow
def test_a_read_only_store(project: Project, tmp_path: Path) -> None:
    root = project()
    store = str(root / "mlruns")
    if os.geteuid() != 0 or subprocess.run(["mount", "--bind", store, store], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", store], check=True)
        refused(here(root, *RUN), 4, "Read-only file system", "same command")
    finally:
        subprocess.run(["umount", "-l", store], check=True)


@pytest.mark.slow
def test_one_mistake_through_the_real_door(project: Project) -> None:
    refused(ocr_sweep(project(), "runs", "reproduce", UNKNOWN), 2, f"no run '{UNKNOWN}'")
    done = subprocess.run([sys.executable, "-m", "ocr_sweep", "--help"], stdout=subprocess.PIPE, text=True, check=True)
    assert "sweep run" in done.stdout
