"""The stand-in notices what a GPU would punish, now or one day: else passing on it would mean nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from on_the_stand_in import STANDS_IN

pytestmark = pytest.mark.skipif(not STANDS_IN, reason="of the stand-in: see test_rooms.py")


def breaches() -> list[str]:
    found: list[str] = torch.ops.stand_in.breaches()
    return found


@pytest.fixture(autouse=True)
def rules() -> Iterator[None]:
    """Nothing may wait inside a test, unless it says so."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_tensors_of_two_devices_do_not_mix() -> None:
    there = torch.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="same device"):
        there + torch.ones(3)
    with pytest.raises(RuntimeError, match="same device"):
        torch.nn.functional.conv2d(there.view(1, 1, 1, 3), torch.ones(1, 1, 1, 1))
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert (there * 2.0 + torch.tensor(1.0)).device.type == "cuda", "a single number goes with anything"


@pytest.mark.parametrize("what", ["item", "cpu", "nonzero", "mask", "to", "unpinned", "print"])
def test_waiting_is_refused(what: str) -> None:
    there, here = torch.ones(3, device="cuda"), torch.ones(3)
    waiting = {
        "item": there.sum().item,
        "cpu": there.cpu,
        "nonzero": there.nonzero,
        "mask": lambda: there[there > 0],
        "to": lambda: here.pin_memory().to("cuda"),
        "unpinned": lambda: here.to("cuda", non_blocking=True),
        "print": lambda: str(there),
    }
    with pytest.raises(RuntimeError, match="called a synchronizing CUDA operation"):
        waiting[what]()


def test_what_is_copied_to_the_host_is_there_when_it_was_waited_for() -> None:
    there, here, done = torch.full((2,), 5.0, device="cuda"), torch.zeros(2).pin_memory(), torch.cuda.Event()
    here.copy_(there, non_blocking=True)
    there += 1
    done.record(torch.cuda.current_stream())
    assert here.isnan().all()
    done.synchronize()
    assert here.tolist() == [5.0, 5.0]


def test_a_stream_must_wait_for_what_another_wrote() -> None:
    side, done = torch.cuda.Stream(), torch.cuda.Event()
    with torch.cuda.stream(side):
        made = torch.ones(3, device="cuda") * 2
        done.record(side)
    torch.cuda.current_stream().wait_event(done)
    used = made + 1
    made.record_stream(torch.cuda.current_stream())
    assert breaches() == []
    with torch.cuda.stream(side):
        used *= 2
    del used
    assert any("does not wait for stream 0, which wrote its memory" in breach for breach in breaches())


def test_memory_is_recorded_for_a_stream_that_still_uses_it() -> None:
    for recorded in (True, False):
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            made = torch.ones(3, device="cuda")
        side.synchronize()
        made + 1
        if recorded:
            made.record_stream(torch.cuda.current_stream())
        del made
        assert len(breaches()) == (not recorded)


def test_memory_is_counted_and_ends() -> None:
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    made = torch.zeros(1 << 20, device="cuda")
    twice = made * 2
    assert torch.cuda.memory_allocated() - before == torch.cuda.max_memory_allocated() - before == 8 << 20
    part = twice[:5]
    del made, twice
    assert torch.cuda.memory_allocated() - before == 4 << 20 and len(part) == 5
    free, total = torch.cuda.mem_get_info()
    assert total - free == torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction((before + (6 << 20)) / total)
    with pytest.raises(torch.OutOfMemoryError):
        torch.ones(1 << 20, device="cuda")


def test_a_gradient_is_the_cpus_to_the_bit() -> None:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4 * 36, 3)
    )
    images, gradients = torch.rand(5, 1, 8, 8), []
    torch.cuda.set_sync_debug_mode("default")
    for device in ("cpu", "cuda"):
        layers.to(device).zero_grad()
        layers(images.to(device)).square().sum().backward()
        gradients.append([parameter.grad.cpu().clone() for parameter in layers.parameters() if parameter.grad is not None])
    assert len(gradients[0]) == 6
    for mine, theirs in zip(*gradients, strict=True):
        assert torch.equal(mine, theirs)
