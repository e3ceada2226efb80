"""A pickled list of characters, read without running it.

A pickle is a program. The few opcodes that build a list of text, or a dict from text to whole numbers, are interpreted here
on a small stack; every other opcode, whatever it would do, ends the reading. Nothing is imported and nothing is called.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from typing import Any

from ocr_sweep.errors import DataError

_IGNORED = {"PROTO", "FRAME"}
_VALUES = {
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "INT", "BININT", "BININT1", "BININT2",
}  # fmt: skip
_PUTS = {"BINPUT", "LONG_BINPUT", "PUT"}
_GETS = {"BINGET", "LONG_BINGET", "GET"}
_BROKEN = "it is damaged or cut short"


class _Mark:
    """What MARK leaves on the stack."""


def read_pickled(content: bytes) -> list[Any] | dict[Any, Any]:
    """Return the list of text or the dict from text to int that a pickle of protocol 0 to 5 describes.

    Raises:
        DataError: it describes anything else, or it is damaged; the reason completes "the file ... cannot be used: ".
    """
    machine = _Machine()
    stream = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in what is refused anyway
            for opcode, argument, _ in pickletools.genops(stream):
                machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, OverflowError):
        raise DataError(_BROKEN) from None
    if stream.read(1):
        raise DataError("it goes on after the end of its list")
    return machine.result()


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        match name:
            case "STOP":
                return
            case _ if name in _IGNORED:
                return
            case _ if name in _VALUES:
                self.stack.append(argument)
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case _ if name in _PUTS:
                self.memo[int(argument)] = self.stack[-1]
            case _ if name in _GETS:
                self.stack.append(self.memo[int(argument)])
            case _:
                self._build(name)

    def _build(self, name: str) -> None:
        match name:
            case "MARK":
                self.stack.append(_Mark())
            case "EMPTY_LIST":
                self.stack.append([])
            case "EMPTY_DICT":
                self.stack.append({})
            case "LIST":
                self.stack.append(self._extended([], self._since_mark()))
            case "DICT":
                self.stack.append(self._updated({}, self._since_mark()))
            case "APPEND" | "APPENDS":
                values = self._since_mark() if name == "APPENDS" else [self.stack.pop()]
                self._extended(self._top(list), values)
            case "SETITEM" | "SETITEMS":
                values = self._since_mark() if name == "SETITEMS" else [self.stack.pop(-2), self.stack.pop()]
                self._updated(self._top(dict), values)
            case _:
                raise DataError(
                    f"its operation {name} has no place in a list of characters, and a pickle may run any code; "
                    "nothing of it was run"
                )

    def _since_mark(self) -> list[Any]:
        values: list[Any] = []
        while not isinstance(value := self.stack.pop(), _Mark):
            values.append(value)
        return values[::-1]

    def _top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise DataError(_BROKEN)
        return self.stack[-1]

    @staticmethod
    def _extended(items: list[Any], values: list[Any]) -> list[Any]:
        if not all(isinstance(value, str) for value in values):
            raise DataError("its list must hold text only")
        items += values
        return items

    @staticmethod
    def _updated(items: dict[Any, Any], values: list[Any]) -> dict[Any, Any]:
        keys, numbers = values[::2], values[1::2]
        if len(keys) != len(numbers) or not all(isinstance(key, str) for key in keys):
            raise DataError("its dict must lead from text to whole numbers")
        for key, number in zip(keys, numbers, strict=True):
            if key in items:
                raise DataError(f"its dict names {' '.join(f'U+{ord(c):04X}' for c in key) or 'an empty text'} twice")
            items[key] = number
        return items

    def result(self) -> list[Any] | dict[Any, Any]:
        if len(self.stack) != 1 or not isinstance(self.stack[0], list | dict):
            raise DataError("it must hold one list of characters, or one dict from character to class number")
        found: list[Any] | dict[Any, Any] = self.stack[0]
        return found
