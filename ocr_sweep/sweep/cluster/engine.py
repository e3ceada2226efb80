"""Trials on the nodes of a Ray cluster: the driver's side."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RaySystemError

from ocr_sweep.sweep.cluster.files import TrialFiles
from ocr_sweep.sweep.cluster.host import Host
from ocr_sweep.sweep.cluster.nodes import ClusterGoneError, Node, Nodes, on
from ocr_sweep.sweep.cluster.remote_trial import RemoteTrial, end_hosts
from ocr_sweep.sweep.cluster.supply import Supply
from ocr_sweep.sweep.running.active import NoProcess
from ocr_sweep.sweep.running.engine import Worker
from ocr_sweep.sweep.running.slots import Machine, Need, Place
from ocr_sweep.sweep.trials.attempt import Attempt

_CALLS = 8  # of a host at a time: one waits for news, the others must come through
_MB = 2**20

Resources = tuple[tuple[str, float], ...]


class RayEngine:
    """Starts trials as actors on nodes; Ray holds what they take, so that nobody else of the cluster gets it.

    A host stays when its trial has ended, and takes the next one with the same need: its imports are paid once.

    Args:
        timm: whether trials need timm.
        data: the driver's data root, for the files that trials read beside their corpus.
    """

    def __init__(self, *, timm: bool, data: Path) -> None:
        self._timm = timm
        self._nodes = Nodes()
        self._supply = Supply()
        self._files = TrialFiles(data, ray.put)
        self._host = ray.remote(Host)
        self._idle: list[tuple[Node, Resources, Any]] = []  # hosts, with their nodes and what they hold
        self._busy: list[tuple[RemoteTrial, Resources]] = []
        self._gone = False  # the cluster

    def settle(self, devices: int) -> None:
        """Wait for the nodes' answers (see `Nodes.settle`)."""
        self._nodes.settle(devices)

    def machines(self) -> Sequence[Machine]:
        """The nodes that may have trials now.

        Raises:
            ConflictError: a node that has just joined runs another program.
            ClusterGoneError: the cluster is.
        """
        with self._present():
            return self._nodes.machines()

    def start(self, attempt: Attempt, place: Place, need: Need) -> Worker:
        """Start the trial of a prepared folder on a node, which may take in its corpus first."""
        node = self._nodes.named(place.machine)
        if node is None:
            return _Nowhere(place.machine)
        with self._present():
            resources = _resources(node, place, need)
            trial = RemoteTrial(attempt, need, node, self._host_on(node, resources), self._supply, self._files)
            self._busy.append((trial, resources))
            return trial

    def wait(self, workers: list[Worker], seconds: float) -> None:
        """Carry news and wishes until a trial has ended, at most so many seconds.

        Raises:
            ClusterGoneError: the cluster is.
            StoreError: a disk refuses.
        """
        until = time.monotonic() + seconds
        trials = [worker for worker in workers if isinstance(worker, RemoteTrial) and worker.exit_code is None]
        with self._present():
            self._nodes.watch()
            for trial in trials:
                trial.beat()
                trial.pass_on_wish()
            while trials and all(trial.exit_code is None for trial in trials) and (left := until - time.monotonic()) > 0:
                answered, _ = ray.wait(list({trial.awaited for trial in trials}), timeout=left)
                for trial in trials:
                    if trial.awaited in answered:
                        trial.hear()
            self._sort_out()
        if any(not trial.host_lives for trial in trials):
            self._nodes.look_again()
        if not trials:
            time.sleep(seconds)

    def close(self) -> None:
        """End everything that runs on nodes, and leave nothing there but what others may use."""
        if not self._gone:
            with suppress(ClusterGoneError), self._present():
                end_hosts([host for _, _, host in self._idle] + [trial.host for trial, _ in self._busy if trial.host_lives])
        self._idle, self._busy = [], []

    @contextmanager
    def _present(self) -> Iterator[None]:
        """Notice when the cluster is gone; from then on nobody waits for its trials.

        Raises:
            ClusterGoneError: it is.
        """
        try:
            yield
        except (OSError, RaySystemError, ClusterGoneError) as error:
            self._gone = True
            for trial, _ in self._busy:
                trial.lose()
            if isinstance(error, ClusterGoneError):
                raise
            raise ClusterGoneError(f"this machine's part of it has ended ({error})") from error

    def _host_on(self, node: Node, resources: Resources) -> Any:
        """One that is free there; others, which hold what a new one may need, go."""
        self._sort_out()
        fits = [idle for idle in self._idle if idle[:2] == (node, resources)]
        if fits:
            self._idle.remove(fits[0])
            return fits[0][2]
        others = [idle for idle in self._idle if idle[0] == node]
        self._idle = [idle for idle in self._idle if idle[0] != node]
        end_hosts([host for _, _, host in others])
        made = self._host.options(**dict(resources), scheduling_strategy=on(node), max_concurrency=_CALLS)
        return made.remote(self._timm, ray.get_gpu_ids)

    def _sort_out(self) -> None:
        """See which hosts have become free."""
        ended = [(trial, resources) for trial, resources in self._busy if trial.exit_code is not None]
        self._busy = [pair for pair in self._busy if pair not in ended]
        self._idle += [(trial.node, resources, trial.host) for trial, resources in ended if trial.host_lives]


class _Nowhere(NoProcess):
    """The worker of a trial whose node was lost before it began: it has died, and starts again elsewhere."""

    exit_code = -signal.SIGKILL

    def __init__(self, machine: str) -> None:
        self.lost_on = machine


def _resources(node: Node, place: Place, need: Need) -> Resources:
    """What Ray is to hold for a trial, and no more than the node has: one that needs more has it to itself."""
    share = need.gpu_share if len(place.gpus) == 1 else float(len(place.gpus))
    held = {"num_cpus": min(need.cores, node.cpus), "num_gpus": min(share, node.gpus)}
    return tuple((held | {"memory": int(min(need.memory_mb, node.memory_mb)) * _MB}).items())
