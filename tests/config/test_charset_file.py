"""Charset files: what they may be, what is refused, and that a pickle is read without being run."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import pytest

from ocr_sweep.config import charset_file
from ocr_sweep.config.chars import charset_problem
from ocr_sweep.config.charset_file import read_charset_file
from ocr_sweep.errors import DataError, NotFoundError

CHARS = "天地玄黃\U00020000。"


def write(folder: Path, name: str, content: bytes | str | Any) -> Path:
    path = folder / name
    if isinstance(content, str | bytes):
        path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    else:
        path.write_text(json.dumps(content))
    return path


def test_text_is_every_visible_character_outside_comments(tmp_path: Path) -> None:
    path = write(tmp_path, "chars.txt", "\ufeff# 字 in a comment\n天 地\n#玄\n\n黃\n")
    assert read_charset_file(path) == "天地#玄黃"
    assert read_charset_file(path, 2) == "天地"


@pytest.mark.parametrize(
    "content",
    [list(CHARS), json.dumps(CHARS), dict(zip(CHARS, range(6), strict=True)),
     dict(zip(CHARS[::-1], range(5, -1, -1), strict=True))],
)  # fmt: skip
def test_json_keeps_the_order_of_the_classes(tmp_path: Path, content: Any) -> None:
    assert read_charset_file(write(tmp_path, "chars.json", content)) == CHARS
    assert read_charset_file(write(tmp_path, "CHARS.JSON", content), 3) == CHARS[:3]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("shape", [list, lambda chars: {char: i for i, char in enumerate(chars)}], ids=["list", "dict"])
def test_a_pickled_list_or_dict_of_any_protocol(tmp_path: Path, protocol: int, shape: Any) -> None:
    many = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 3000))  # several batches of APPENDS, long memo numbers
    for chars in (CHARS, many):
        content = pickle.dumps(shape(chars), protocol=protocol)
        for stored in (content, pickletools.optimize(content)):
            assert read_charset_file(write(tmp_path, "chars.pkl", stored)) == chars


def test_a_pickle_that_names_one_object_twice_is_read_as_python_reads_it(tmp_path: Path) -> None:
    char = "天"
    assert read_charset_file(write(tmp_path, "c.pickle", pickle.dumps([char, "地", char]))) == "天地天"


WRONG_JSON: list[tuple[Any, str]] = [
    (["天", "字典", "", 7, None], r"4 of 5 are not: number 1: U\+5B57 U\+5178; number 2: an empty text; number 3: a int; "),
    (["か\u3099"], r"number 0: U\+304B U\+3099 \(write U\+304C\)"),
    (["辶\U000e0100"], r"number 0: U\+8FB6 U\+E0100$"),
    ([["天"]], "number 0: a list"),
    (["天地" * 50], r"U\+5929 U\+5730 U\+5929 U\+5730 U\+5929 U\+5730 \.\.\.$"),
    ({"天": 1, "地": 2}, r"class numbers .* must be 0 to 1, each once, but 1 are not: U\+5730: '2'"),
    ({"天": 0, "地": 0}, "but some repeat"),
    ({"天": True, "地": 0}, r"U\+5929: 'True'"),
    ({"天": "0"}, r"U\+5929: '0'"),
    ({"天": 0.0}, r"U\+5929: '0\.0'"),
    ({"字典": 0}, r"number 0: U\+5B57 U\+5178"),
    (7, "holds int"),
    (None, r"holds nothing \(null\)"),
    ('{"天": 0, "天": 1}', r"name each character once, but .* has U\+5929 twice"),
    ('["天"\n', "line 2 is not"),
    ("[" * 100_000, "nested too deep"),
    ("[" + "9" * 10_000 + "]", "a number too long"),
    (b"\xff\xfe[]", r"must be UTF-8 text, but .* is not \(byte 0\)"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), WRONG_JSON)
def test_wrong_json_is_refused_with_code_points(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_charset_file(write(tmp_path, "chars.json", content))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500 + len(str(tmp_path))


class Evil:
    """Its pickle would write a marker file."""

    def __init__(self, marker: Path, call: Any = os.system) -> None:
        self.marker, self.call = marker, call

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return self.call, (f"touch {self.marker}",)


def evil_corpus(marker: Path) -> dict[str, bytes]:
    """What must never run: each would write `marker`, import, hang or fill the memory in `pickle.load`."""
    touch = f"touch {marker}".encode()
    short = len(touch).to_bytes(1, "little")
    found = {f"reduce, protocol {p}": pickle.dumps([Evil(marker)], protocol=p) for p in range(6)}
    found |= {f"reduce in a dict, protocol {p}": pickle.dumps({"天": Evil(marker)}, protocol=p) for p in range(6)}
    return found | {
        "eval": pickle.dumps(["天", Evil(marker, eval)]),
        "GLOBAL and REDUCE": b"cos\nsystem\n(V" + touch + b"\ntR.",
        "GLOBAL alone": b"cos\nsystem\n.",
        "INST": b"(V" + touch + b"\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nV" + touch + b"\no.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + short + touch + b"\x85R.",
        "BUILD": b"\x80\x02]V" + touch + b"\nb.",
        "NEWOBJ": b"\x80\x02cos\nsystem\n)\x81.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent id": b"P1\n.",
        "binary persistent id": b"V1\nQ.",
        "after the end": pickle.dumps(["天", "地"]) + b"cos\nsystem\n(V" + touch + b"\ntR.",
        "hidden by POP": b"cos\nsystem\n(V" + touch + b"\ntR0" + pickle.dumps(["天", "地"], 0),
        "pickle in bytes": pickle.dumps([pickle.dumps(Evil(marker))]),
        "nested lists": pickle.dumps([["天"], ["地"]]),
        "10,000 lists deep": b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b".",
        "a list in itself": b"\x80\x02]q\x00h\x00a.",
        "tuple": pickle.dumps(("天", "地")),
        "set": pickle.dumps({"天", "地"}),
        "bytearray": pickle.dumps(bytearray(b"x"), protocol=5),
        "text alone": pickle.dumps("天地"),
        "two lists": b"\x80\x02]].",
        "1 GB text": b"\x80\x03]X\x00\x00\x00\x40" + "天".encode() + b"a.",
        "2**62 bytes text": b"\x80\x04]\x8d" + (2**62).to_bytes(8, "little") + b"x" + b"a.",
        "2**63 bytes text": b"\x80\x04]\x8d" + (2**63).to_bytes(8, "little") + b"x" + b"a.",
        "frame of 2**60": b"\x80\x04\x95" + (2**60).to_bytes(8, "little") + b"]cos\nsystem\n.",
        "unknown opcode": b"\x80\x02]\xff.",
        "no mark": b"\x80\x02e.",
        "append to nothing": b"\x80\x02X\x01\x00\x00\x00aa.",
        "append to text": b"\x80\x02X\x01\x00\x00\x00aX\x01\x00\x00\x00aa.",
        "unknown memo": b"\x80\x02]h\x07a.",
        "odd items": b"\x80\x02}(X\x01\x00\x00\x00au.",
        "empty": b"",
        "text file": "天地玄黃".encode(),
    }


NAMES = sorted(evil_corpus(Path("marker")))


def test_the_evil_corpus_is_evil(tmp_path: Path) -> None:
    """Guards the next test: the same bytes do run when they are given to pickle."""
    ran = 0
    for name in ("reduce, protocol 4", "GLOBAL and REDUCE", "INST", "OBJ", "STACK_GLOBAL", "hidden by POP"):
        marker = tmp_path / f"ran-{name.replace(' ', '-').replace(',', '')}"
        pickle.loads(evil_corpus(marker)[name])  # noqa: S301
        ran += marker.exists()
    assert ran == 6


@pytest.mark.parametrize("name", NAMES)
def test_an_evil_pickle_is_refused_with_one_sentence_and_never_run(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker"
    path = write(tmp_path, "chars.pkl", evil_corpus(marker)[name])
    with pytest.raises(DataError, match=r"the (pickled charset|class numbers)|every class of") as caught:
        read_charset_file(path)
    assert "\n" not in str(caught.value) and not marker.exists()


def test_no_cut_or_flipped_pickle_gives_anything_but_a_charset_or_a_sentence(tmp_path: Path) -> None:
    """Every prefix, and every byte of a small pickle changed in 16 ways."""
    for protocol in (0, 2, 4):
        whole = pickle.dumps(list("天地玄"), protocol=protocol)
        mutants = [whole[:n] for n in range(len(whole))]
        mutants += [
            whole[:i] + bytes([whole[i] ^ flip]) + whole[i + 1 :] for i in range(len(whole)) for flip in range(1, 256, 16)
        ]
        refused = 0
        for mutant in mutants:
            try:
                assert isinstance(read_charset_file(write(tmp_path, "chars.pkl", mutant)), str)
            except DataError:
                refused += 1
        assert refused >= len(whole) - 1  # every true prefix


def test_a_reference_bomb_costs_no_memory_and_no_time(tmp_path: Path) -> None:
    """One text of 2 MB, named 300,000 times."""
    text = b"\x80\x04](\x8d" + (2_000_000).to_bytes(8, "little") + b"a" * 2_000_000 + b"\x94"
    with pytest.raises(DataError, match=r"300001 of 300001 are not: number 0: U\+0061"):
        read_charset_file(write(tmp_path, "chars.pkl", text + b"h\x00" * 300_000 + b"e."))


@pytest.mark.parametrize("name", ["chars.txt", "chars.json", "chars.pkl"])
def test_size_and_absence(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="no such charset file"):
        read_charset_file(tmp_path / name)
    monkeypatch.setattr(charset_file, "MAX_BYTES", 10)
    with pytest.raises(DataError, match="must be smaller than 10 bytes"):
        read_charset_file(write(tmp_path, name, b"x" * 11))


@pytest.mark.parametrize(
    ("chars", "problem"),
    [
        (CHARS, None),
        ("天\u200b地\ufeff", r"visible characters only, but got U\+200B, U\+FEFF"),
        ("か\u3099", r"stand alone, but these are parts of decomposed ones: U\+3099"),
        ("天\ud800", r"visible characters only, but got U\+D800"),
        ("\uf9dc", r"NFC, but these characters are not: \S U\+F9DC -> U\+9686"),
        ("天地天地玄", r"once, but these repeat: 地 U\+5730, 天 U\+5929"),
    ],
)
def test_what_cannot_be_a_class(chars: str, problem: str | None) -> None:
    found = charset_problem(chars)
    if problem is None:
        assert found is None
    else:
        assert found is not None and re.search(problem, found), found
