"""A real Ray cluster on this machine: a head without cores and nodes of one core, each with a disk of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_study import free_port, wait_for

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install -e '.[ray]'")

# Ray reads these when it is imported, here and in every process of the cluster; nobody else on the network can join
os.environ |= {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
}


class RayCluster:
    """Starts and kills the machines of a cluster; each is a process group, and dies like a machine that loses its power."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self._groups: dict[str, subprocess.Popen[bytes]] = {}

    def start_head(self) -> None:
        """Start what nodes join."""
        port = self.address.rpartition(":")[2]
        head = ["--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={self.folder / 'ray'}"]
        self._start("head", head, RAY_health_check_period_ms="500")  # so that the loss of a node is noticed in seconds

    def start_node(self, name: str, **settings: str) -> None:
        """Let a machine join: one at a time, because their sockets are named by turn."""
        arguments = [f"--address={self.address}", "--num-cpus=1"]
        self._start(name, arguments, OCR_SWEEP_SCRATCH=str(self.scratch(name)), **settings)

    def scratch(self, name: str) -> Path:
        """The disk of a node."""
        return self.folder / name / "scratch"

    def kill(self, name: str) -> None:
        """Switch a machine off."""
        process = self._groups.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Switch everything off."""
        for name in list(self._groups):
            self.kill(name)

    def _start(self, name: str, arguments: list[str], **settings: str) -> None:
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        log = self.folder / name / "log.txt"
        program = str(Path(sys.executable).with_name("ray"))
        command = [program, "start", "--block", "--disable-usage-stats", "--object-store-memory=100000000", *arguments]
        with log.open("wb") as file:
            self._groups[name] = subprocess.Popen(
                command, env={**os.environ, **settings}, stdout=file, stderr=file, start_new_session=True
            )
        wait_for(lambda: "Ray runtime started" in log.read_text(), f"{name} to start", 120)


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """A cluster of the two nodes `one` and `two`; who kills one starts it again."""
    folder = Path("/tmp") / f"ocr-sweep-{secrets.token_hex(4)}"  # Ray's sockets want a short name
    cluster = RayCluster(folder)
    try:
        cluster.start_head()
        cluster.start_node("one")
        cluster.start_node("two")
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
