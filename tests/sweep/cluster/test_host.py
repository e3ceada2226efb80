"""What a node does for a trial, without Ray: its place, its files, its news, and nothing left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from fake_engine import FakeEngine, FakeWorker, Fate

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import read_json
from ocr_sweep.errors import DataError, OcrSweepError
from ocr_sweep.sweep.cluster import host as module
from ocr_sweep.sweep.cluster.files import TrialFiles
from ocr_sweep.sweep.cluster.fitness import check_room
from ocr_sweep.sweep.cluster.host import Host, Task
from ocr_sweep.sweep.cluster.parcels import Stamp, collect, deliver, stamps
from ocr_sweep.sweep.running.slots import Gpu, Machine, Need, Place
from ocr_sweep.sweep.trials.attempt import PROVENANCE, Attempt

NEED = Need(cores=1)


class Node:
    """A node with one place, whose trials train nothing."""

    def __init__(self, store: Path, scratch: Path) -> None:
        self.store, self.scratch = store, scratch
        self.fate, self.out_of_memory = Fate(), False
        self.engine = FakeEngine(lambda config, name: self.fate)
        with mock.patch.object(module, "LocalEngine", lambda timm: self.engine):
            self.host = Host(False, lambda: [2, "GPU-f"])

    def task(self, attempt: Attempt, start: str, files: tuple[str, ...] = ()) -> Task:
        """The trial of a driver's folder, as it is sent."""
        parcels = tuple(collect(attempt, {}, ended=False))
        return Task(start, attempt.folder.name, attempt.config(), {"code": {}}, self.store, False, parcels, files, NEED)

    def follow(self, attempt: Attempt, epochs: int = 10**9) -> int | None:
        """Bring news to the driver's folder until the trial has ended, or so many epochs are there."""
        known: dict[str, Stamp] = {}
        while len(attempt.events()) < epochs:
            news = self.host.news(known)
            deliver(attempt.folder, news.parcels)
            known |= stamps(news.parcels)
            if news.exit_code is not None:
                self.out_of_memory = news.out_of_memory
                return news.exit_code
        return None


@pytest.fixture
def node(tiny_store: Path, tmp_path: Path) -> Iterator[Node]:
    with mock.patch.dict(os.environ, OCR_SWEEP_SCRATCH=str(tmp_path / "scratch")):
        node = Node(tiny_store, tmp_path / "scratch")
        yield node
        node.host.leave()
    assert not list((tmp_path / "scratch" / "work").iterdir()), "nothing stays behind"


@pytest.fixture
def attempt(tmp_path: Path, tiny_store: Path, make_trial: Callable[..., TrialConfig]) -> Attempt:
    """The driver's folder of a trial."""
    attempt = Attempt(tmp_path / "driver" / "0000-search")
    attempt.prepare(make_trial({"training.epochs": 3}), tiny_store, {"code": {}, "machine": {"cores": 0}})
    attempt.begin()
    return attempt


def test_a_trial_on_a_node_ends_as_one_here_and_names_its_machine(node: Node, attempt: Attempt) -> None:
    node.host.begin(node.task(attempt, "first"))
    assert node.follow(attempt) == 0
    assert attempt.outcome() == ("complete", "") and len(attempt.events()) == 3 and attempt.sealed()["metrics"]
    assert read_json(attempt.result / PROVENANCE)["machine"]["cores"] == os.cpu_count()
    assert node.engine.workers[0].place == Place(gpus=("2", "GPU-f")), "those that Ray gave to its actor, and no other"


def test_a_trial_goes_on_elsewhere_from_what_had_come_back(node: Node, attempt: Attempt) -> None:
    node.host.begin(node.task(attempt, "first"))
    assert node.follow(attempt, epochs=2) is None
    came = attempt.events()
    lost = node.engine.workers[0]
    lost.kill()  # and this node is never heard of again
    there = Node(node.store, node.scratch)
    there.host.begin(there.task(attempt, "second"))
    assert there.engine.workers[0].attempt.events()[: len(came)] == came, "the epochs that the driver has are not trained again"
    assert there.follow(attempt) == 0
    assert [event.epoch for event in attempt.events()] == [1, 2, 3] and attempt.events()[: len(came)] == came
    there.host.leave()


def test_told_twice_a_trial_is_started_once_and_the_next_one_takes_its_place(node: Node, attempt: Attempt) -> None:
    task = node.task(attempt, "first")
    node.host.begin(task)
    node.host.begin(task)
    assert node.engine.started == ["0000-search"]
    assert node.follow(attempt) == 0
    was = node.engine.workers[0].attempt.folder
    (was / "left").touch()
    node.host.begin(node.task(attempt, "second"))
    assert node.engine.started == ["0000-search"] * 2 and not (was / "left").exists()


def test_a_wish_ends_a_trial_and_leaving_ends_it_at_once(node: Node, attempt: Attempt) -> None:
    node.host.begin(node.task(attempt, "first"))
    node.host.wish("stop")
    assert node.follow(attempt) == 0 and attempt.outcome() == ("stopped", "")
    attempt.begin()
    node.host.begin(node.task(attempt, "second"))
    node.host.show_stacks()
    worker: FakeWorker = node.engine.workers[1]
    assert worker.shown == 1
    node.host.leave()
    assert worker.killed


def test_a_death_is_news_and_so_is_the_kernels_word(node: Node, attempt: Attempt) -> None:
    node.fate = Fate(dies=1, code=-11)
    node.host.begin(node.task(attempt, "first"))
    assert node.follow(attempt) == -11 and not node.out_of_memory
    node.fate = Fate(needs_parts=4, kernel=True)
    node.host.begin(node.task(attempt, "second"))
    assert node.follow(attempt) == -9 and node.out_of_memory


def test_silence_is_news_after_a_while(node: Node, attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    monkeypatch.setattr(node.engine, "wait", lambda workers, seconds: time.sleep(0.01))
    node.host.begin(node.task(attempt, "first"))
    known = stamps(node.host.news({}).parcels)
    asked: list[Any] = []
    threads = [threading.Thread(target=lambda: asked.append(node.host.news(known))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [(news.parcels, news.exit_code) for news in asked] == [((), None)] * 2, "also where the driver has asked again"


def test_what_a_trial_reads_beside_its_corpus_lies_under_the_nodes_own_data_root(
    node: Node, attempt: Attempt, make_trial: Callable[..., TrialConfig], tmp_path: Path
) -> None:
    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables" / "alike.txt"
    table.write_text("一\t二\t1.0\n", encoding="utf-8")
    similarity = {"source": "file", "file": {"file": "tables/alike.txt", "sha256": file_sha256(table)}}
    config = make_trial({"loss.similarity": similarity})
    put: list[bytes] = []
    files = TrialFiles(tmp_path, lambda content: put.append(content) or content)
    contents = files.of(config)
    assert files.of(config) == contents == {"tables/alike.txt": table.read_bytes()} and len(put) == 1, "put there once"
    node.host.begin(node.task(attempt, "first", tuple(contents)), *contents.values())
    data = Path(os.environ["OCR_SWEEP_DATA"])
    assert data.is_relative_to(node.scratch) and (data / "tables" / "alike.txt").read_bytes() == table.read_bytes()
    table.write_text("二\t一\t1.0\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"alike\.txt"):
        TrialFiles(tmp_path, lambda content: content).of(config)


def test_a_cluster_that_can_never_have_the_trials_is_refused() -> None:
    with pytest.raises(OcrSweepError, match="must have a node with a core for trials, but has none; join one: ray start"):
        check_room([], 1)
    two = Machine("a", 8, 1e5, (Gpu("0"), Gpu("1")))
    with pytest.raises(OcrSweepError, match=r"training\.devices .* is 4, and no node has more than 2; write so many"):
        check_room([two, Machine("b", 8, 1e5)], 4)
    check_room([two], 2)
    check_room([Machine("b", 8, 1e5)], 4)  # processes, where there is no GPU
