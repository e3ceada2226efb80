"""The files that trials read beside their corpus, on their way to the nodes: pretrained weights, tables of look-alikes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ocr_sweep.config.data_file import DataFile
from ocr_sweep.config.trial import TrialConfig


class TrialFiles:
    """Puts each file into the object store once.

    Args:
        data: the driver's data root.
        put: puts bytes there, and gives a reference to them.
    """

    def __init__(self, data: Path, put: Callable[[bytes], Any]) -> None:
        self._data = data
        self._put_there = put
        self._put: dict[str, Any] = {}  # by sha256

    def of(self, config: TrialConfig) -> dict[str, Any]:
        """References to the bytes of a trial's files, by their names under the data root.

        Raises:
            DataError: a file is missing, or its hash is another.
        """
        return {file.file: self._reference(file) for file in named_files(config)}

    def _reference(self, file: DataFile) -> Any:
        if file.sha256 not in self._put:
            self._put[file.sha256] = self._put_there(file.find(self._data).read_bytes())
        return self._put[file.sha256]


def named_files(block: Any) -> Iterator[DataFile]:
    """Every file that a configuration names, wherever it stands in it."""
    if isinstance(block, DataFile):
        yield block
    elif isinstance(block, BaseModel):
        for _, value in block:
            yield from named_files(value)
    elif isinstance(block, list | tuple):
        for value in block:
            yield from named_files(value)
