"""Which trainings fit side by side, on machines that are written down."""

from __future__ import annotations

import pytest

from ocr_sweep.sweep.running.slots import Gpu, Machine, Need, Place, Shortage, find_place, num_slots, whole_place

TWO_GPUS = Machine("", cores=8, memory_mb=64_000, gpus=(Gpu("0", 24_000), Gpu("1", 24_000)))
BARE = Machine("", cores=4, memory_mb=8_000)
WHOLE = Need(cores=2, memory_mb=2_000, gpu_memory_mb=10_000)
HALF = Need(cores=2, memory_mb=2_000, gpu_share=0.5, gpu_memory_mb=10_000)


def filled(machines: list[Machine], need: Need, avoid: tuple[str, ...] = ()) -> tuple[list[Place], Shortage]:
    """As many as fit, and what the next one waits for."""
    taken: list[tuple[Place, Need]] = []
    while isinstance(place := find_place(machines, taken, need, avoid), Place):
        taken.append((place, need))
    return [place for place, _ in taken], place


def test_each_training_gets_a_gpu_of_its_own() -> None:
    places, waits = filled([TWO_GPUS], WHOLE)
    assert [place.gpus for place in places] == [("0",), ("1",)]
    assert waits == Shortage("GPUs: it takes 1, and 0 are free", usual=True)


def test_halves_share_a_gpu_once_no_empty_one_is_left() -> None:
    places, waits = filled([TWO_GPUS], HALF)
    assert [place.gpus for place in places] == [("0",), ("1",), ("0",), ("1",)]
    assert waits.of.startswith("cores"), "four trials of two cores"
    thirds = Need(cores=1, gpu_share=1 / 3)
    assert len(filled([TWO_GPUS], thirds)[0]) == 6, "three thirds are a whole"


def test_a_gpu_is_shared_by_those_whose_memory_it_has() -> None:
    places, waits = filled([TWO_GPUS], Need(cores=1, gpu_share=0.25, gpu_memory_mb=10_000))
    assert [place.gpus for place in places] == [("0",), ("1",), ("0",), ("1",)]
    assert waits == Shortage("memory of a GPU: it takes about 10,000 MB, and about 4,000 MB are free")


def test_several_devices_take_whole_gpus_whatever_the_share() -> None:
    both = Need(cores=2, devices=2, gpu_share=0.5)
    assert find_place([TWO_GPUS], [], both) == Place("", ("0", "1"))
    assert find_place([TWO_GPUS], [(Place("", ("1",)), HALF)], both) == Shortage("GPUs: it takes 2, and 1 are free")


def test_without_a_gpu_cores_and_memory_count() -> None:
    assert len(filled([BARE], Need(cores=1, memory_mb=1_000))[0]) == 4
    places, waits = filled([BARE], Need(cores=1, memory_mb=3_000))
    assert places == [Place(), Place()]
    assert waits == Shortage("memory: it takes about 3,000 MB, and about 2,000 MB are free")
    assert find_place([BARE], [], Need(cores=5)) == Shortage("cores: it takes 5, and 4 are free", usual=True)


def test_a_training_goes_where_most_is_left_and_not_to_a_machine_without_gpus() -> None:
    cluster = [BARE, Machine("a", 8, 64_000, (Gpu("0"),)), Machine("b", 16, 64_000, (Gpu("0"),))]
    places, _ = filled(cluster, WHOLE)
    assert [str(place) for place in places] == ["GPU 0 of b", "GPU 0 of a"]
    bare = [Machine("a", 2, 1e4), Machine("b", 3, 1e4)]
    assert [place.machine for place in filled(bare, Need(cores=1))[0]] == ["b", "a", "b", "a", "b"]


def test_a_place_to_avoid_gets_nothing() -> None:
    places, waits = filled([TWO_GPUS], WHOLE, avoid=("GPU 0",))
    assert [place.gpus for place in places] == [("1",)] and waits.usual
    cluster = [Machine("a", 2, 1e4), Machine("b", 2, 1e4)]
    assert {place.machine for place in filled(cluster, Need(cores=1), avoid=("a",))[0]} == {"b"}


def test_what_needs_more_than_there_is_gets_all_that_it_can_take() -> None:
    assert whole_place([BARE], Need(cores=64)) == Place()
    assert whole_place([BARE, TWO_GPUS], Need(cores=1, devices=4)) == Place("", ("0", "1"))
    assert whole_place([TWO_GPUS], Need(cores=1, gpu_memory_mb=1e6)) == Place("", ("0",))


@pytest.mark.parametrize(
    ("need", "limit", "slots"), [(Need(1), None, 4), (Need(3), None, 1), (Need(64), None, 1), (Need(1), 2, 2), (Need(0), 9, 9)]
)
def test_slots_are_what_fits_and_no_more_than_the_limit(need: Need, limit: int | None, slots: int) -> None:
    assert num_slots([BARE], need, limit) == slots


def test_no_machine_is_waited_for() -> None:
    assert find_place([], [], WHOLE) == Shortage("a machine")
