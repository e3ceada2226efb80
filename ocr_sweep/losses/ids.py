"""Characters that are composed alike, from ideographic description sequences (IDS)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ocr_sweep.errors import DataError
from ocr_sweep.losses.edit_distance import edit_distances
from ocr_sweep.losses.nearest import nearest
from ocr_sweep.losses.pairs import Line, Pairs

LEAST = 0.5  # composed less alike than this is not alike
_CANDIDATES = 64  # of a character whose distance is computed
_LONGEST = 128  # tokens; the rest of a longer sequence is cut off
_TOKEN = re.compile(r"&[^;&]+;|.")  # an entity such as &CDP-8958; stands for a part that Unicode does not have
_TAG = re.compile(r"\[[^\]]*\]$")  # the countries whose form a sequence describes, e.g. [GTJ]

Sequences = dict[str, tuple[str, ...]]


def pairs_of_ids(path: Path, lines: Sequence[Line], chars: str) -> Pairs:
    """Pair characters of a charset by 1 - Levenshtein(a, b) / max(|a|, |b|) of their expanded IDS, from LEAST upwards.

    Characters that have no parts are like no other. Of the other characters the file may list as many as it likes.

    Raises:
        DataError: a line is not of cjkvi-ids' format.

    References:
        Hong et al., FASPell, W-NUT 2019 (edit distance of IDS as visual similarity).
    """
    table = read_ids(path, lines)
    composed = [(i, expanded) for i, char in enumerate(chars) if len(expanded := expand(char, table)) > 1]
    if len(composed) < 2:
        return Pairs.of([])
    class_ids = np.array([i for i, _ in composed], np.int64)
    tokens = _numbered([expanded[:_LONGEST] for _, expanded in composed])
    first, second = _candidates(tokens)
    lengths = np.array([len(sequence) for sequence in tokens])
    similarity = 1 - edit_distances(tokens, first, second) / np.maximum(lengths[first], lengths[second])
    alike = similarity >= LEAST
    both = np.concatenate([first[alike], second[alike]]), np.concatenate([second[alike], first[alike]])
    return Pairs(class_ids[both[0]], class_ids[both[1]], np.tile(similarity[alike], 2))


def read_ids(path: Path, lines: Sequence[Line]) -> Sequences:
    """Read the first sequence of each character, as tokens.

    Raises:
        DataError: a line is not code point, character and sequence.
    """
    table: Sequences = {}
    for line in lines:
        fields = line.text.split("\t")
        if len(fields) < 3 or len(fields[1]) != 1 or fields[0] != f"U+{ord(fields[1]):04X}":
            raise DataError(
                f"{path}: line {line.number} must be a code point, its character and its sequence, with tabs between, "
                f"but is {line.text[:60]!r}"
            )
        table[fields[1]] = tuple(_TOKEN.findall(_TAG.sub("", fields[2])))
    return table


def expand(char: str, table: Mapping[str, tuple[str, ...]], inside: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Describe a character by parts that have no parts; a character that describes itself stays as it is."""
    parts = table.get(char, (char,))
    if len(parts) < 2 or char in inside:
        return (char,)
    return tuple(token for part in parts for token in expand(part, table, inside | {char}))


def _numbered(sequences: Sequence[tuple[str, ...]]) -> list[NDArray[np.int32]]:
    """The tokens as numbers."""
    numbers: dict[str, int] = {}
    return [np.array([numbers.setdefault(token, len(numbers)) for token in sequence], np.int32) for sequence in sequences]


def _candidates(tokens: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs whose similarity can be greatest: it is at most the number of tokens in common over the greater length."""
    bags = torch.from_numpy(_bags(tokens))
    lengths = torch.tensor([float(len(sequence)) for sequence in tokens])
    indices, bound = nearest(bags, min(_CANDIDATES, len(tokens) - 1), sizes=lengths)
    first, place = (bound >= LEAST).nonzero(as_tuple=True)
    second = indices[first, place]
    pairs = torch.stack([torch.minimum(first, second), torch.maximum(first, second)]).unique(dim=1).numpy()
    return pairs[0], pairs[1]


def _bags(tokens: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
    """(M, F) whether a sequence has a token for the first, second ... time: inner products count what two have in common."""
    columns: dict[tuple[int, int], int] = {}
    places = []
    for row, sequence in enumerate(tokens):
        seen: dict[int, int] = {}
        for token in sequence.tolist():
            seen[token] = seen.get(token, 0) + 1
            places.append((row, columns.setdefault((token, seen[token]), len(columns))))
    bags = np.zeros((len(tokens), len(columns)), np.float32)
    rows, found = np.array(places).T
    bags[rows, found] = 1
    return bags
