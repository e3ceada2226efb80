"""The nodes of the cluster that this process has joined: who lives, runs our program, and so may have trials."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ocr_sweep.errors import ConflictError, StoreError
from ocr_sweep.sweep.cluster import versions
from ocr_sweep.sweep.cluster.fitness import check_room
from ocr_sweep.sweep.running.slots import Gpu, Machine

_LOOK = 2.0  # seconds between two looks at who lives
_PATIENCE = 60.0  # seconds for the first answers
_SILENCE = 20.0  # seconds after which a head that takes no connection is lost; three times as many and Ray ends this process
_MB = 2**20


class ClusterGoneError(StoreError):
    """The cluster that this process had joined is no more; every trial can go on from what had come back of it."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the Ray cluster must be running, but {why}. What was recorded is safe, and every trial goes on from its last "
            "checkpoint here; when the cluster is back, run the same command again"
        )


@dataclass(frozen=True)
class Node:
    """A living machine of the cluster, as Ray knows it."""

    id: str
    name: str  # for people, and once in the cluster
    cpus: int
    gpus: int
    memory_mb: float


class Nodes:
    """Knows the machines of the cluster; one that joins is asked for its program before it counts."""

    def __init__(self) -> None:
        self._here = versions.versions()  # as it was loaded, whatever becomes of the files
        ray.cloudpickle.register_pickle_by_value(versions)  # a node's own may be older, or not there
        self._ask = ray.remote(num_cpus=0, max_retries=0)(versions.node_facts)
        self._living: dict[str, Node] = {}  # by name
        self._names: dict[str, str] = {}  # by Ray's ID, of every node that ever lived
        self._asked: dict[str, Any] = {}  # by Ray's ID, references to the answers
        self._machines: dict[str, Machine] = {}  # by Ray's ID, those that have answered
        self._looked = float("-inf")
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._head = (host.strip("[]"), int(port))
        self._heard = time.monotonic()  # the head

    def settle(self, devices: int) -> None:
        """Wait until every node has answered.

        Args:
            devices: those that a trial trains on.

        Raises:
            ConflictError: a node runs another program.
            OcrSweepError: no node can have trials.
            StoreError: a node does not answer.
        """
        self._look()
        asked = list(self._asked.values())
        _, silent = ray.wait(asked, num_returns=len(asked), timeout=_PATIENCE) if asked else ([], [])
        if silent:
            names = [node.name for node in self._living.values() if self._asked.get(node.id) in silent]
            raise StoreError(f"every node of the cluster must answer, but {', '.join(names)} did not within {_PATIENCE:.0f} s")
        check_room(self.machines(), devices)

    def machines(self) -> list[Machine]:
        """Those that may have trials now.

        Raises:
            see `watch`.
        """
        self.watch()
        return [self._machines[node.id] for node in self._living.values() if node.id in self._machines]

    def watch(self) -> None:
        """Look at who lives, if it is time to.

        Raises:
            ConflictError: a node that has just joined runs another program.
            ClusterGoneError: the head of the cluster is.
        """
        if time.monotonic() > self._looked + _LOOK and self._head_answers():
            self._look()
        if self._asked:
            answered, _ = ray.wait(list(self._asked.values()), num_returns=len(self._asked), timeout=0)
            for node in [node for node in self._living.values() if self._asked.get(node.id) in answered]:
                self._hear(node, self._asked.pop(node.id))

    def look_again(self) -> None:
        """Let the next look be now: a node may be lost."""
        self._looked = float("-inf")

    def named(self, name: str) -> Node | None:
        """A living node."""
        return self._living.get(name)

    def _head_answers(self) -> bool:
        """Ask it nothing when it does not: that would wait for it."""
        try:
            socket.create_connection(self._head, _LOOK).close()
        except OSError as error:
            if time.monotonic() < self._heard + _SILENCE:
                return False
            raise ClusterGoneError(f"its head {self._head[0]}:{self._head[1]} does not answer ({error})") from error
        self._heard = time.monotonic()
        return True

    def _look(self) -> None:
        self._looked = time.monotonic()
        self._living = {node.name: node for node in self._living_nodes()}
        for node in self._living.values():
            if node.id not in self._machines and node.id not in self._asked:
                self._asked[node.id] = self._ask.options(scheduling_strategy=on(node)).remote()
        for id in set(self._asked) - {node.id for node in self._living.values()}:
            del self._asked[id]

    def _hear(self, node: Node, answer: Any) -> None:
        try:
            facts = ray.get(answer)
        except RayError:
            return  # asked again, if it still lives
        differ = versions.differences(self._here, facts["versions"])
        if differ:
            raise ConflictError(versions.refusal(node.name, differ))
        free_mb = min(facts["gpu_memory_mb"], default=float("inf"))  # which of them Ray gives away is not known here
        gpus = tuple(Gpu(str(number), free_mb) for number in range(node.gpus))
        self._machines[node.id] = Machine(node.name, node.cpus, node.memory_mb, gpus)

    def _living_nodes(self) -> list[Node]:
        """Those with a core for trials; a head that was started with `--num-cpus=0` is none."""
        found = []
        for node in ray.nodes():
            id, has = node["NodeID"], node["Resources"]
            if node["Alive"] and has.get("CPU", 0) >= 1:
                name = self._name(id, node["NodeManagerAddress"])
                found.append(Node(id, name, int(has["CPU"]), int(has.get("GPU", 0)), has.get("memory", 0.0) / _MB))
        return found

    def _name(self, id: str, address: str) -> str:
        """The address; of the second node there, and of one that has come back, also the head of Ray's ID."""
        if id not in self._names:
            self._names[id] = f"{address} ({id[:6]})" if address in self._names.values() else address
        return self._names[id]


def on(node: Node) -> Any:
    """Where to run what must run on one node."""
    return NodeAffinitySchedulingStrategy(node.id, soft=False)
