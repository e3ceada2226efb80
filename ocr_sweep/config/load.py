"""From a study file to a StudyConfig, or to every mistake in it at once, each with file and line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ocr_sweep.config.charset_file import read_charset_file
from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.config.dotted import get, put
from ocr_sweep.config.gate import GateConfig
from ocr_sweep.config.messages import explain, unknown_key
from ocr_sweep.config.scale import apply_scale
from ocr_sweep.config.space import CategoricalRange, Range, contains
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.config.yaml_file import Document, Key, Mark, is_file, read_yaml
from ocr_sweep.errors import ConfigError, NotFoundError, OcrSweepError

Block = TypeVar("Block", bound=BaseModel)


def find_study(name_or_file: str, sweeps: Path) -> Path:
    """Return the file of a study, given its name or a path.

    Raises:
        NotFoundError: neither exists; the message names the known studies.
    """
    path = Path(name_or_file)
    if path.suffix == ".yaml":
        if is_file(path):
            return path
        raise NotFoundError(f"no such study file: {path}")
    found = sweeps / f"{name_or_file}.yaml"
    if "/" not in name_or_file and is_file(found):
        return found
    known = sorted(file.stem for file in sweeps.glob("*.yaml"))
    close = difflib.get_close_matches(name_or_file, known, n=1)
    hint = f"did you mean '{close[0]}'? Known studies" if close else "known studies"
    raise NotFoundError(f"no study '{name_or_file}' in {sweeps}; {hint}: {', '.join(known) or 'none'}")


def load_study(path: Path, sweeps: Path, scale: str | None = None) -> StudyConfig:
    """Read, complete and check a study file.

    Args:
        sweeps: folder in which the files that a study names are looked up, after the study's own folder.
        scale: one of the file's `scales:`; null: the first.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: every mistake found.
    """
    document = _open(path, sweeps)
    written = document.data.get("name") if isinstance(document.data, dict) else None
    apply_scale(document, scale)
    _complete(document, ("base", "corpus"))
    study = _validate(StudyConfig, document)
    _check_name(document, written, path)
    _check_search(document)
    _refuse(document)
    assert study is not None
    return study


def _check_name(document: Document, name: object, path: Path) -> None:
    """One name for the file, the experiment and the command line."""
    if isinstance(name, str) and name != path.stem:
        sentence = f"name: must be the file's own, '{path.stem}', but got '{name}'; rename one of them"
        document.problems.append((document.mark(("name",)), sentence))


def load_corpus(path: Path, sweeps: Path) -> CorpusConfig:
    """Read and check a corpus recipe (see `load_study`)."""
    document = _open(path, sweeps)
    _complete(document, ())
    corpus = _validate(CorpusConfig, document)
    _refuse(document)
    assert corpus is not None
    return corpus


def load_gate(alias: str, sweeps: Path) -> GateConfig:
    """What the gate of an alias asks: `gates/<alias>.yaml`, for a customer's production else `gates/production.yaml`.

    Without such a file the defaults hold.

    Raises:
        ConfigError: every mistake found.
    """
    names = dict.fromkeys((alias, alias.partition("-")[0]))
    path = next((file for name in names if is_file(file := sweeps / "gates" / f"{name}.yaml")), None)
    return GateConfig() if path is None else read_gate(path, sweeps)


def read_gate(path: Path, sweeps: Path) -> GateConfig:
    """Read and check a gate's file (see `load_study`)."""
    document = _open(path, sweeps)
    gate = _validate(GateConfig, document)
    _refuse(document)
    assert gate is not None
    return gate


def _open(path: Path, sweeps: Path) -> Document:
    document = read_yaml(path, (sweeps, sweeps.parent))
    if document.unread:
        _refuse(document)  # what is missing would look like further mistakes
    if not isinstance(document.data, dict) and not document.problems:
        document.problems.append((Mark(path, 1), "a study file must hold keys and values, but it is empty or a list"))
    return document


def _complete(document: Document, corpus_at: Key) -> None:
    _read_charset(document, corpus_at)
    _label_choices(document)


def scales_of(path: Path, sweeps: Path) -> list[str]:
    """The names of a study file's scales; none where it has no well-formed ones."""
    data = read_yaml(path, (sweeps, sweeps.parent)).data
    scales = data.get("scales") if isinstance(data, dict) else None
    return list(scales) if isinstance(scales, dict) else []


def _read_charset(document: Document, corpus_at: Key) -> None:
    """Put the characters in place of `charset: {file: ..., first: ...}`, so that a recipe is complete in itself."""
    at = (*corpus_at, "charset")
    try:
        charset = get(document.data, ".".join(map(str, at)))
    except KeyError:
        return
    if not (isinstance(charset, dict) and isinstance(charset.get("file"), str)):
        return
    for key in set(charset) - {"file", "first"}:
        document.problems.append((document.mark((*at, key)), unknown_key(key, ["file", "first"])))
    first = charset.get("first")
    if first is not None and not (isinstance(first, int) and first >= 2):
        document.problems.append((document.mark((*at, "first")), f"first must be a whole number >= 2, but got {first!r}"))
        first = None
    mark = document.mark((*at, "file"))
    try:
        charset_chars = read_charset_file(mark.file.parent / charset["file"], first)
    except OcrSweepError as error:
        document.problems.append((mark, str(error)))
        charset_chars = "天地"  # stands in, so that the rest can be checked
    charset.clear()
    charset["chars"] = charset_chars


def _label_choices(document: Document) -> None:
    search = document.data.get("search") if isinstance(document.data, dict) else None
    for path, space in search.items() if isinstance(search, dict) else ():
        if not isinstance(space, dict) or not isinstance(space.get("choices"), list):
            continue
        if "labels" in space:
            document.problems.append((document.mark(("search", path, "labels")), "unknown key 'labels'; choices name themselves"))
        labels: list[Any] = []
        for i, choice in enumerate(space["choices"]):
            at: Key = ("search", path, "choices", i)
            label = document.labels.get(at, "null" if choice is None else choice)
            if isinstance(label, dict | list):
                document.problems.append((document.mark(at), "a block as a choice must be a file of its own: name it here"))
                label = f"choice {i}"
            elif label in labels or str(label) in map(str, labels):
                message = f"each choice must stand here once, but got {label!r} again (true equals 1, and 1 equals 1.0)"
                document.problems.append((document.mark(at), message))
            labels.append(label)
        space["labels"] = labels


def _validate(kind: type[Block], document: Document) -> Block | None:
    if not isinstance(document.data, dict):
        return None
    try:
        return kind.model_validate(document.data)
    except ValidationError as error:
        reported = {mark for mark, _ in document.problems}
        for at, message in explain(error, kind, document.data):
            if document.mark(at) not in reported:
                document.problems.append((document.mark(at), f"{_dotted(at)}{message}"))
    return None


def _check_search(document: Document) -> None:
    """Try every parameter on the base: it must name a value, hold the base's, and be legal at both ends."""
    data = document.data if isinstance(document.data, dict) else {}
    base, search = data.get("base"), data.get("search")
    if not isinstance(base, dict) or not isinstance(search, dict):
        return
    with suppress(ValidationError):  # reported with the study
        base = TrialConfig.model_validate(base).model_dump()  # keys that may be left out can be searched over, too
    spaces: dict[str, Range] = {}
    for path, raw in search.items():
        try:
            spaces[path] = StudySpace.model_validate({"space": raw}).space
        except ValidationError:
            continue  # reported with the study
    for path, space in spaces.items():
        for message in _space_problems(path, space, spaces, base):
            document.problems.append((document.mark(("search", path)), f"search.{path}: {message}"))


class StudySpace(BaseModel):
    """One range, read by itself."""

    space: Range


def _space_problems(path: str, space: Range, spaces: dict[str, Range], base: dict[str, Any]) -> Iterator[str]:
    context = dict_copy(base)
    for other, label in space.when.items():
        parent = spaces.get(other)
        if not isinstance(parent, CategoricalRange) or label not in parent.labels:
            known = ", ".join(str(x) for x in parent.labels) if isinstance(parent, CategoricalRange) else "no such categorical"
            yield f"`when` must name another search path and one of its choices, but got {other}: {label} ({known})"
            return
        if _names(context, other):
            put(context, other, parent.choice_of(label))
    if not _names(context, path):
        paths = sorted(_leaves(context))
        close = difflib.get_close_matches(path, paths, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else f"; known paths: {', '.join(paths)}"
        if not space.when and any(_names(choice, path.partition(".")[2]) for choice in _blocks(path, spaces)):
            hint = "; the base's block has no such value: add `when:` with the choice that has it"
        yield f"a search path must name a value that the base has{hint}"
        return
    if path.split(".")[0] == "corpus":
        yield "the corpus cannot be searched over: trials on different data are not comparable"
        return
    if path == "training.fold":
        yield "folds cannot be searched over: the confirmation takes them in turn, so that winner and base meet on each"
        return
    yield from _base_problem(path, space, context)
    yield from _end_problems(path, space, context)


def _base_problem(path: str, space: Range, base: dict[str, Any]) -> Iterator[str]:
    """Trial 0 is the base untouched, so the base must be a point of the space."""
    if isinstance(space, CategoricalRange):
        try:
            space.label_of(path, base)
        except ValueError as error:
            yield f"the base's value {error}, because trial 0 is the base; add it or change the base"
    elif not contains(space, value := get(base, path)):
        steps = "" if space.step in (None, 1) else f" on a step of {space.step:g}"
        yield (
            f"the base's value {value} must lie in [{space.low:g}, {space.high:g}]{steps}, because trial 0 is the base; "
            "widen the range or change the base"
        )


def _end_problems(path: str, space: Range, context: dict[str, Any]) -> Iterator[str]:
    ends = space.choices if isinstance(space, CategoricalRange) else [space.low, space.high]
    known = {at for at, _ in _findings(context)}  # of the base itself, and reported there
    for end in ends:
        trial = dict_copy(context)
        put(trial, path, end)
        for at, message in _findings(trial):
            if at not in known or ".".join(map(str, at)).startswith(path):
                yield f"the value {_short(end)} is not legal: {_dotted(at)}{message}"


def _findings(trial: dict[str, Any]) -> list[tuple[Key, str]]:
    try:
        TrialConfig.model_validate(trial)
    except ValidationError as error:
        return list(explain(error, TrialConfig, trial))
    return []


def _blocks(path: str, spaces: dict[str, Range]) -> Iterator[Any]:
    parent = spaces.get(path.split(".")[0])
    if isinstance(parent, CategoricalRange):
        yield from (choice for choice in parent.choices if isinstance(choice, dict))


def _names(data: Any, path: str) -> bool:
    try:
        get(data, path)
    except KeyError:
        return False
    return True


def _leaves(data: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in data.items():
        if f"{prefix}{key}" == "corpus":
            continue
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")


def dict_copy(data: dict[str, Any]) -> dict[str, Any]:
    """A copy whose blocks can be changed; other values are shared."""
    return {key: dict_copy(value) if isinstance(value, dict) else value for key, value in data.items()}


def _short(value: Any) -> str:
    return str(value.get("kind", "block")) if isinstance(value, dict) else repr(value)


def _dotted(at: Key) -> str:
    return f"{'.'.join(map(str, at))}: " if at else ""


def _refuse(document: Document) -> None:
    if document.problems:
        ordered = sorted(set(document.problems), key=lambda problem: (str(problem[0].file), problem[0].line, problem[1]))
        raise ConfigError([f"{_display(mark.file)}:{mark.line}: {message}" for mark, message in ordered])


def _display(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
