"""Which trainings fit side by side: what machines have, what each training needs, and where the next one can go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

_NOTHING = 1e-9  # shares of a GPU are sums of fractions


@dataclass(frozen=True)
class Gpu:
    """One GPU of a machine."""

    name: str  # as CUDA_VISIBLE_DEVICES takes it
    memory_mb: float = float("inf")


@dataclass(frozen=True)
class Machine:
    """What a machine gives to trainings; its control group's limits count as its own."""

    name: str  # "": this one
    cores: int
    memory_mb: float
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class Need:
    """What a training takes while it runs."""

    cores: int
    memory_mb: float = 0.0  # of the machine
    devices: int = 1  # GPUs, where there are any
    gpu_share: float = 1.0  # of its GPU, if it takes one
    gpu_memory_mb: float = 0.0  # of each of its GPUs


@dataclass(frozen=True)
class Place:
    """Where a training runs."""

    machine: str = ""
    gpus: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """What may be broken here, as it is called: each GPU, or the machine."""
        where = f" of {self.machine}" if self.machine else ""
        return tuple(f"GPU {gpu}{where}" for gpu in self.gpus) or (self.machine or "this machine",)

    def __str__(self) -> str:
        return ", ".join(self.parts)


@dataclass(frozen=True)
class Shortage:
    """Why a training cannot start now."""

    of: str  # what it waits for, in a few words
    usual: bool = False  # whether any other training would wait, too


Taken = Sequence[tuple[Place, Need]]


def find_place(machines: Sequence[Machine], taken: Taken, need: Need, avoid: Collection[str] = ()) -> Place | Shortage:
    """Where a training can start beside those that run, the emptiest such place; or what it waits for.

    On machines with GPUs a training takes some: `gpu_share` of one, or `devices` whole ones.

    Args:
        avoid: parts of places that get nothing more.
    """
    left = [_left(machine, taken) for machine in machines]
    if any(machine.gpus for machine in machines):
        left = [machine for machine in left if machine.gpus]
    left.sort(key=lambda machine: (sum(gpu.share for gpu in machine.gpus), machine.cores), reverse=True)
    found = [_on(machine, need, avoid) for machine in left]
    return next((place for place in found if isinstance(place, Place)), found[0] if found else Shortage("a machine"))


def whole_place(machines: Sequence[Machine], need: Need) -> Place:
    """Where a training runs that has everything to itself, because it needs more than there is."""
    largest = max(machines, key=lambda machine: (len(machine.gpus), machine.memory_mb, machine.cores))
    return Place(largest.name, tuple(gpu.name for gpu in largest.gpus[: need.devices]))


def num_slots(machines: Sequence[Machine], need: Need, limit: int | None) -> int:
    """How many trainings of one need run at a time, one at least.

    Args:
        limit: never more than so many; None: as many as fit.
    """
    taken: list[tuple[Place, Need]] = []
    while len(taken) < (limit or 1024):
        place = find_place(machines, taken, need)
        if isinstance(place, Shortage):
            break
        taken.append((place, need))
    return max(1, len(taken))


@dataclass(frozen=True)
class _LeftGpu:
    name: str
    share: float
    memory_mb: float


@dataclass(frozen=True)
class _Left:
    """What is left of a machine beside the trainings that run there."""

    name: str
    cores: int
    memory_mb: float
    gpus: tuple[_LeftGpu, ...]


def _left(machine: Machine, taken: Taken) -> _Left:
    gpus = {gpu.name: _LeftGpu(gpu.name, 1.0, gpu.memory_mb) for gpu in machine.gpus}
    here = [(place, need) for place, need in taken if place.machine == machine.name]
    for place, need in here:
        for name in set(place.gpus) & set(gpus):
            gpu = gpus[name]
            gpus[name] = replace(gpu, share=gpu.share - _share(need), memory_mb=gpu.memory_mb - need.gpu_memory_mb)
    cores = machine.cores - sum(need.cores for _, need in here)
    return _Left(machine.name, cores, machine.memory_mb - sum(need.memory_mb for _, need in here), tuple(gpus.values()))


def _on(machine: _Left, need: Need, avoid: Collection[str]) -> Place | Shortage:
    """The place on a machine, or what it lacks."""
    if need.cores > machine.cores:
        return Shortage(f"cores: it takes {need.cores}, and {max(0, machine.cores)} are free", usual=True)
    if need.memory_mb > machine.memory_mb:
        return Shortage(f"memory: it takes {_megabytes(need.memory_mb)}, and {_megabytes(machine.memory_mb)} are free")
    if not machine.gpus:
        place = Place(machine.name)
        return place if not set(place.parts) & set(avoid) else Shortage("a place that works", usual=True)
    return _with_gpus(machine, need, avoid)


def _with_gpus(machine: _Left, need: Need, avoid: Collection[str]) -> Place | Shortage:
    free = [gpu for gpu in machine.gpus if gpu.share >= _share(need) - _NOTHING]
    free = [gpu for gpu in free if not set(Place(machine.name, (gpu.name,)).parts) & set(avoid)]
    roomy = sorted((gpu for gpu in free if gpu.memory_mb >= need.gpu_memory_mb), key=lambda gpu: gpu.share, reverse=True)
    if len(roomy) >= need.devices:
        return Place(machine.name, tuple(gpu.name for gpu in roomy[: need.devices]))
    if len(free) >= need.devices:
        most = max(gpu.memory_mb for gpu in free)
        return Shortage(f"memory of a GPU: it takes {_megabytes(need.gpu_memory_mb)}, and {_megabytes(most)} are free")
    return Shortage(f"GPUs: it takes {need.devices}, and {len(free)} are free", usual=need.devices == 1)


def _megabytes(value: float) -> str:
    return f"about {max(0.0, value):,.0f} MB"


def _share(need: Need) -> float:
    """Of each of its GPUs: who trains on several has them whole."""
    return need.gpu_share if need.devices == 1 else 1.0
