"""Sees that a node has a corpus before a trial starts there: sent once, by Ray's object store, and only where it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from ocr_sweep.sweep.cluster.corpora import CorpusName, find, pieces, receive
from ocr_sweep.sweep.cluster.nodes import Node, on
from ocr_sweep.sweep.cluster.scratch import Scratch


@dataclass
class _Delivery:
    answer: Any  # reference to the corpus's path on the node, or to None where it is not there
    path: Path | None = None


class Supply:
    """The driver's side: what each node has of one corpus after the other."""

    def __init__(self) -> None:
        self._look = ray.remote(num_cpus=0, max_retries=0)(look_for)
        self._take = ray.remote(num_cpus=0, max_retries=0)(take_in)
        self._deliveries: dict[tuple[str, str], _Delivery] = {}  # by node and fingerprint
        self._sent: dict[str, list[tuple[str, Any]]] = {}  # by fingerprint, while a node is taking it in

    def path(self, node: Node, corpus: CorpusName) -> Path | Any:
        """Where a node has a corpus; else a reference to an answer that must be passed to `heard` first."""
        delivery = self._deliveries.get((node.id, corpus.fingerprint))
        if delivery is None:
            answer = self._look.options(scheduling_strategy=on(node)).remote(corpus)
            delivery = self._deliveries[node.id, corpus.fingerprint] = _Delivery(answer)
        return delivery.path or delivery.answer

    def heard(self, node: Node, corpus: CorpusName, reference: Any, answer: Path | None) -> None:
        """Take in an answer; said again, it changes nothing."""
        delivery = self._deliveries[node.id, corpus.fingerprint]
        if reference != delivery.answer or delivery.path is not None:
            return
        if answer is None:
            delivery.answer = self._take.options(scheduling_strategy=on(node)).remote(corpus, self._pieces(corpus))
            return
        delivery.path = answer
        if all(other.path for (_, name), other in self._deliveries.items() if name == corpus.fingerprint):
            self._sent.pop(corpus.fingerprint, None)

    def failed(self, node: Node, corpus: CorpusName) -> None:
        """Forget what a node said: it is gone, or must be asked again."""
        self._deliveries.pop((node.id, corpus.fingerprint), None)

    def _pieces(self, corpus: CorpusName) -> list[tuple[str, Any]]:
        if corpus.fingerprint not in self._sent:
            self._sent[corpus.fingerprint] = [(name, ray.put(piece)) for name, piece in pieces(corpus)]
        return self._sent[corpus.fingerprint]


def look_for(corpus: CorpusName) -> Path | None:
    """Where this node has a corpus, whole."""
    return find(corpus, Scratch.find())


def take_in(corpus: CorpusName, sent: Sequence[tuple[str, Any]]) -> Path:
    """Take in a corpus that this node lacks.

    Args:
        sent: names of files, and references to their pieces.

    Raises:
        see `receive`.
    """
    scratch = Scratch.find()
    scratch.made(scratch.corpora)
    return receive(corpus, sent, ray.get, scratch)
