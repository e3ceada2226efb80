"""A trial on a node, as the driver sees it: what it is waited for, and what became of it."""

from __future__ import annotations

import secrets
import signal
import time
from pathlib import Path
from typing import Any, Literal

import ray
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayError, RayTaskError

from ocr_sweep.disk import read_json
from ocr_sweep.errors import IntegrityError, OcrSweepError
from ocr_sweep.sweep.cluster.corpora import CorpusName
from ocr_sweep.sweep.cluster.files import TrialFiles
from ocr_sweep.sweep.cluster.host import News, Task
from ocr_sweep.sweep.cluster.nodes import Node
from ocr_sweep.sweep.cluster.parcels import Stamp, collect, deliver, stamps
from ocr_sweep.sweep.cluster.supply import Supply
from ocr_sweep.sweep.running.slots import Need
from ocr_sweep.sweep.trials.attempt import PROVENANCE, Attempt

_KILLED = -signal.SIGKILL
_BREATH = 0.2  # seconds between two questions to a node of which Ray does not know whether it lives
_APART = 1.0  # seconds between two beats
_FAREWELL = 5.0  # seconds that a host gets to end its trial


class RemoteTrial:
    """One start of a trial: the node gets its corpus, the host begins the trial, and then there is news until it has ended.

    Args:
        attempt: its folder here.
        host: the actor that holds its place.
        files: what it reads beside its corpus.
    """

    def __init__(self, attempt: Attempt, need: Need, node: Node, host: Any, supply: Supply, files: TrialFiles) -> None:
        self.node = node
        self.host = host
        self.host_lives = True
        self.exit_code: int | None = None
        self.out_of_memory = False
        self.lost_on = ""
        self._attempt = attempt
        self._need = need
        self._supply = supply
        self._contents = files.of(attempt.config())  # references, by the files' names
        self._corpus = CorpusName.of(attempt.store())
        self._task: Task | None = None
        self._known: dict[str, Stamp] = {}  # what has come back
        self._wished = False
        self.awaited: Any = None  # a reference to the answer that comes next
        self._stage: Literal["corpus", "beginning", "news"] = "corpus"
        self._beaten = float("-inf")
        self._supply_corpus()

    def beat(self) -> None:
        """Count the time in which its node gets ready as life: that may take minutes, and is not the trial's to tell."""
        if self._stage != "news" and time.monotonic() > self._beaten + _APART:
            self._beaten = time.monotonic()
            self._attempt.heartbeat.write_text(f"waits {self._beaten}\n")

    def hear(self) -> None:
        """Take in the awaited answer, which has come.

        Raises:
            StoreError: a disk refuses, the node's or this one.
            IntegrityError: the driver's corpus is damaged.
        """
        try:
            answer = ray.get(self.awaited)
        except ActorUnavailableError:  # Ray finds out whether it still lives
            time.sleep(_BREATH)
            self._ask()
        except RayTaskError as error:
            raise _told(error, self.node) from error
        except OutOfMemoryError:
            self.out_of_memory = True
            self.lose()
        except RayError:
            self.lose()
        else:
            self._go_on(answer)

    def pass_on_wish(self) -> None:
        """Tell the trial what the supervisor wishes; one that has not begun need not."""
        wish = self._attempt.wished()
        if wish is None or self._wished or self.exit_code is not None:
            return
        self._wished = True
        if self._stage == "news":
            self.host.wish.remote(wish)
            return
        self._attempt.end("stopped")
        self.exit_code = 0
        self.host_lives = self._stage == "corpus"

    def show_stacks(self) -> None:
        """Have the stacks of its threads written into its log, which comes back."""
        if self._stage == "news":
            self.host.show_stacks.remote()

    def kill(self) -> None:
        """End it at once, and its host with it."""
        if self.exit_code is None:
            self.exit_code, self.host_lives = _KILLED, False
            end_hosts([self.host])

    def lose(self) -> None:
        """It died without a word, with its host, its node or its cluster."""
        if self.exit_code is None:
            if self._stage == "corpus":
                self._supply.failed(self.node, self._corpus)
            self.exit_code, self.host_lives, self.lost_on = _KILLED, False, self.node.name

    def _go_on(self, answer: Any) -> None:
        match self._stage:
            case "corpus":
                self._supply.heard(self.node, self._corpus, self.awaited, answer)
                self._supply_corpus()
            case "beginning":
                self._stage = "news"
                self._ask()
            case "news":
                self._take_in(answer)

    def _supply_corpus(self) -> None:
        found = self._supply.path(self.node, self._corpus)
        if not isinstance(found, Path):
            self.awaited = found
            return
        self._task = Task(
            start=secrets.token_hex(8),
            folder=self._attempt.folder.name,
            config=self._attempt.config(),
            provenance=read_json(self._attempt.result / PROVENANCE),
            store=found,
            shares=self._attempt.representations() is not None,
            parcels=tuple(collect(self._attempt, {}, ended=False)),
            files=tuple(self._contents),
            need=self._need,
        )
        self._stage = "beginning"
        self._ask()

    def _ask(self) -> None:
        """Ask for what comes next; it may be asked again."""
        if self._stage == "beginning":
            assert self._task is not None
            self.awaited = self.host.begin.remote(self._task, *self._contents.values())
        elif self._stage == "news":
            self._task = None
            self.awaited = self.host.news.remote(self._known)

    def _take_in(self, news: News) -> None:
        """Write what came back; the end of the trial is known only after everything is written."""
        try:
            deliver(self._attempt.folder, news.parcels)
        except IntegrityError:
            self.kill()
            return
        self._known |= stamps(news.parcels)
        if news.exit_code is None:
            self._ask()
        else:
            self.exit_code, self.out_of_memory = news.exit_code, news.out_of_memory


def end_hosts(hosts: list[Any]) -> None:
    """End hosts and what runs in them."""
    leaving = [host.leave.remote() for host in hosts]
    if leaving:
        ray.wait(leaving, num_returns=len(leaving), timeout=_FAREWELL)
    for host in hosts:
        ray.kill(host)


def _told(error: RayTaskError, node: Node) -> BaseException:
    """What failed on a node, as it would have failed here."""
    cause = error.cause
    return type(cause)(f"on node {node.name}: {cause}") if isinstance(cause, OcrSweepError) else error
