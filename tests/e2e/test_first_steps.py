"""`runs reproduce --steps`: the first steps again, to the last bit, or the step and the thing that differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from looking import artifact, by_name, runs_of
from tiny_study import environment, here, ocr_sweep, refused

from ocr_sweep.tracking.provenance import PACKAGE, code_sha256

pytestmark = pytest.mark.slow


def run_of(root: Path) -> str:
    run_id: str = by_name(root, "tiny-0001").info.run_id
    return run_id


def test_the_first_steps_are_the_recorded_ones(damaged: Path) -> None:
    before = len(runs_of(damaged))
    done = ocr_sweep(damaged, "runs", "reproduce", run_of(damaged), "--steps", "40")
    assert done.code == 0, done.err
    assert "identical so far: the losses of the first 40 of 64 steps are equal to the last bit" in " ".join(done.out.split())
    assert len(runs_of(damaged)) == before, "nothing is recorded"
    losses = np.load(artifact(damaged, by_name(damaged, "tiny-0001"), "losses.npy"))
    assert losses.shape == (64,) and losses.dtype == np.float32


def test_another_way_to_compute_is_named_with_the_step(damaged: Path) -> None:
    done = ocr_sweep(damaged, "runs", "reproduce", run_of(damaged), "--steps", "64", ATEN_CPU_CAPABILITY="default")
    said = " ".join(done.err.split())
    if done.code == 0:
        pytest.skip("this processor computes the same without its vector instructions")
    assert done.code == 3 and "diverged at step " in said and "of 64: the loss was " in said
    assert "first differing factor: environment: ATEN_CPU_CAPABILITY was missing, is default" in said


def test_bad_numbers_of_steps(damaged: Path) -> None:
    done = here(damaged, "runs", "reproduce", run_of(damaged), "--steps", "0")
    assert done.code == 2 and "greater than or equal to 1" in done.err
    place = artifact(damaged, by_name(damaged, "tiny-0001"), "losses.npy")
    place.write_bytes(place.read_bytes()[:-4] + b"\0\0\0\0")
    refused(here(damaged, "runs", "reproduce", run_of(damaged), "--steps", "5"), 3, "losses.npy", "changed or damaged")


class TestOldCode:
    """`--checkout`, from a repository of the package whose working tree has moved on."""

    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        root = tmp_path / "repository"
        listed = subprocess.run(["git", "-C", str(PACKAGE.parent), "ls-files", "-co", "--exclude-standard", PACKAGE.name],
                                capture_output=True, text=True)  # fmt: skip
        names = listed.stdout.splitlines() or [str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*.py")]
        for name in names:
            if (PACKAGE.parent / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes((PACKAGE.parent / name).read_bytes())
        self.git(root, "init", "-q")
        self.git(root, "add", ".")
        self.git(root, "commit", "-qm", "then")
        return root

    def git(self, root: Path, *arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)

    def call(self, repository: Path, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        settings = environment(project, PYTHONPATH=str(repository))
        command = [sys.executable, "-P", "-m", "ocr_sweep", *arguments]
        return subprocess.run(command, env=settings, capture_output=True, text=True, cwd=project, timeout=300)

    def test_code_that_has_moved_on_is_run_as_it_was(self, repository: Path, project: object, tmp_path: Path) -> None:
        root: Path = project(trials=1, confirm={"top": 1, "seeds": 1})  # type: ignore[operator]
        added = repository / "ocr_sweep" / "of_then.py"
        added.write_text('"""Not committed."""\n')
        done = self.call(repository, root, "sweep", "run", "tiny")
        assert done.returncode == 0, done.stderr
        then = code_sha256(repository / "ocr_sweep")
        added.unlink()
        trainer = repository / "ocr_sweep" / "augment" / "batch.py"
        trainer.write_text(trainer.read_text() + '\nraise RuntimeError("code of now")\n')
        self.git(repository, "commit", "-qam", "now")
        run_id = by_name(root, "tiny-0000").info.run_id
        assert "code of now" in self.call(repository, root, "runs", "reproduce", run_id, "--steps", "20").stderr
        done = self.call(repository, root, "runs", "reproduce", run_id, "--steps", "20", "--checkout")
        said = " ".join(done.stdout.split())
        assert done.returncode == 0, done.stderr
        assert "with the changes that were not committed" in said and "nothing that is recorded differs from then" in said
        assert "identical so far: the losses of the first 20" in said
        (laid_out,) = (root / "mlruns" / "checkouts").iterdir()
        assert code_sha256(laid_out / "ocr_sweep") == then
        again = self.call(repository, root, "runs", "reproduce", run_id, "--steps", "3", "--checkout")
        assert again.returncode == 0 and "checking out" not in again.stdout, again.stderr
        assert list((root / "mlruns" / "checkouts").iterdir()) == [laid_out]
