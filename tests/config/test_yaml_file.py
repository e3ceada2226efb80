"""YAML as people mean it, with the traps closed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ocr_sweep.config.yaml_file import Document, plain_value, read_yaml
from ocr_sweep.errors import NotFoundError


def read(folder: Path, content: str | bytes, name: str = "a.yaml") -> Document:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_yaml(folder / name)


def problem(document: Document) -> tuple[int, str]:
    ((mark, message),) = document.problems
    return mark.line, message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 0.0001),
        ("1E4", 10000.0),
        ("3.", 3.0),
        (".5", 0.5),
        ("-2.5e+3", -2500.0),
        ("0", 0),
        ("-7", -7),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("True", "True"),
        ("017", "017"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("e5", "e5"),
        ("١٢", "١٢"),
        ("9" * 300, int("9" * 300)),
        ("9" * 301, "9" * 301),
    ],
)
def test_an_unquoted_scalar_is_what_it_looks_like(text: str, value: Any, tmp_path: Path) -> None:
    came = plain_value(text)
    assert came == value and type(came) is type(value)
    assert read(tmp_path, f"key: {text}\n").data == {"key": value}


@pytest.mark.parametrize("quoted", ["'1e-4'", '"1e-4"'])
def test_a_quoted_scalar_is_text(quoted: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"key: {quoted}").data == {"key": "1e-4"}


def test_every_value_has_its_line(tmp_path: Path) -> None:
    document = read(tmp_path, "a: 1\nb:\n  c:\n    - 5\n    - d: 6\n")
    lines = {".".join(map(str, at)): mark.line for at, mark in document.marks.items()}
    assert lines == {"": 1, "a": 1, "b": 2, "b.c": 3, "b.c.0": 4, "b.c.1": 5, "b.c.1.d": 5}
    assert document.mark(("b", "c", 1, "missing")).line == 5


def test_a_named_file_stands_for_its_content(tmp_path: Path) -> None:
    (tmp_path / "root" / "blocks").mkdir(parents=True)
    (tmp_path / "root" / "blocks" / "far.yaml").write_text("x: near.yaml\n")
    (tmp_path / "root" / "blocks" / "near.yaml").write_text("\ny: 1\n")
    (tmp_path / "a.yaml").write_text("key: blocks/far.yaml\n")
    document = read_yaml(tmp_path / "a.yaml", (tmp_path / "root",))
    assert document.data == {"key": {"x": {"y": 1}}}
    assert document.labels == {("key",): "far", ("key", "x"): "near"}
    mark = document.mark(("key", "x", "y"))
    assert (mark.file.name, mark.line) == ("near.yaml", 2)


def test_a_file_beside_the_naming_one_comes_before_one_in_the_roots(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "b.yaml").write_text("1")
    (tmp_path / "b.yaml").write_text("2")
    (tmp_path / "a.yaml").write_text("key: b.yaml")
    assert read_yaml(tmp_path / "a.yaml", (tmp_path / "root",)).data == {"key": 2}


def test_a_missing_file_names_where_it_was_looked_for(tmp_path: Path) -> None:
    line, message = problem(read(tmp_path, "a: 1\nb: c.yaml\n"))
    assert line == 2 and message == f"no such file: c.yaml (looked for {tmp_path}/c.yaml)"
    with pytest.raises(NotFoundError, match=r"no such file: .*/none\.yaml"):
        read_yaml(tmp_path / "none.yaml")


def test_quoted_text_is_never_a_file(tmp_path: Path) -> None:
    assert read(tmp_path, 'question: "what is in bases/unet.yaml"\n').data == {"question": "what is in bases/unet.yaml"}


@pytest.mark.parametrize("name", ["x" * 5000 + ".yaml", "..yaml", "/.yaml"])
def test_a_name_that_no_file_can_have_is_a_missing_file(name: str, tmp_path: Path) -> None:
    assert "no such file" in problem(read(tmp_path, f"b: {name}\n"))[1]


def test_a_file_may_not_name_itself_even_through_another(tmp_path: Path) -> None:
    assert "a.yaml names itself" in problem(read(tmp_path, "b: a.yaml\n"))[1]
    (tmp_path / "b.yaml").write_text("c: a.yaml\n")
    assert "names itself, directly or through other files" in problem(read(tmp_path, "b: b.yaml\n"))[1]


def test_one_file_may_be_named_twice(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("1")
    assert read(tmp_path, "- b.yaml\n- b.yaml\n").data == [1, 1]


def test_a_bomb_of_files_is_refused(tmp_path: Path) -> None:
    """Ten files, each of which names the next one ten times, would be read 10 ** 10 times."""
    for i in range(10):
        (tmp_path / f"f{i}.yaml").write_text(f"- f{i + 1}.yaml\n" * 10)
    (tmp_path / "f10.yaml").write_text("1")
    began = time.monotonic()
    document = read_yaml(tmp_path / "f0.yaml")
    assert time.monotonic() - began < 5
    assert "a study must be made of at most 200 files" in {message for _, message in document.problems}


def test_a_repeated_key_is_a_mistake(tmp_path: Path) -> None:
    document = read(tmp_path, "a: 1\nb:\n  c: 1\n  c: 2\n")
    assert problem(document) == (4, "the key 'c' stands here twice; keep one")


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    line, message = problem(read(tmp_path, bomb))
    assert line == 2 and message.startswith("aliases (*name) are not read here; put the block in a file of its own")


@pytest.mark.parametrize(
    "tagged",
    ["!!python/object/apply:os.system ['true']", "!!str 5", "!mine {a: 1}", "!mine 5", "!!python/name:os.system ''", "! 5"],
)
def test_tags_are_refused(tagged: str, tmp_path: Path) -> None:
    line, message = problem(read(tmp_path, f"a: 1\nb: {tagged}\n"))
    assert line == 2 and message.startswith("tags are not read here, but got ")


@pytest.mark.parametrize("deep", ["[" * 20_000, "[" * 20_000 + "]" * 20_000, "{a: " * 20_000, "- " * 20_000 + "1", "? " * 20_000])
def test_a_file_20_000_blocks_deep_is_one_clear_problem(deep: str, tmp_path: Path) -> None:
    began = time.monotonic()
    assert "blocks must be nested at most 40 deep" in problem(read(tmp_path, f"a: 1\nb:\n {deep}\n"))[1]
    assert time.monotonic() - began < 5


def test_forty_blocks_deep_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "[" * 39 + "1" + "]" * 39).problems == []


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("name: 草\n".encode("big5"), 1, "this is not YAML in UTF-8: unacceptable character #x00af"),
        (b"a: 1\nb: \xff\n", 2, "this is not YAML in UTF-8"),
        (b"a: 1\nb: \x00\n", 2, "this is not YAML in UTF-8: unacceptable character #x0000"),
        (b"a: 1\nb: [1\n", 3, "this is not YAML: expected ',' or ']'"),
        (b"a: 1\n\tb: 2\n", 2, "this is not YAML: "),
        (b"a: 1\n---\nb: 2\n", 2, "this is not YAML: but found another document"),
        (b'a: "\\ud800"\n', 1, "text must be made of characters, but got half of a surrogate pair"),
        (b"? [1, 2]\n: 3\n", 1, "a key must be a word"),
    ],
)
def test_what_is_not_yaml_has_a_line_and_a_reason(content: bytes, line: int, message: str, tmp_path: Path) -> None:
    came = problem(read(tmp_path, content))
    assert came[0] == line and came[1].startswith(message)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffa: 1\n").data == {"a": 1}


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(10**12)  # sparse
    _, message = problem(read_yaml(tmp_path / "a.yaml"))
    assert message == "a study file must be smaller than 1,000,000 bytes, but this one has 1,000,000,000,000"


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "").data is None and read(tmp_path, "# words\n").data is None
