"""What a study means: its file without budgets and words, its corpus, and the code of its recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from ocr_sweep.config.dotted import flatten, get
from ocr_sweep.config.fingerprint import canonical_json
from ocr_sweep.config.space import CategoricalRange, contains, is_active
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.tracking.provenance import recipe_sha256

CODE = "code"
_CORPUS = "corpus_fingerprint"
_MISSING = {"against": None, "repeats": 1}  # of studies that began before these keys


@dataclass(frozen=True)
class Meaning:
    """What one version of a study means.

    Attributes:
        study: None where it was written by a former version of this program whose trials cannot be read any more.
        raw: as it was written down.
        code: of the recipe; "" where a former version of this program did not say.
    """

    study: StudyConfig | None
    raw: dict[str, Any]
    corpus: str
    code: str

    @classmethod
    def of(cls, study: StudyConfig, corpus: str) -> Meaning:
        """What a study means now."""
        return cls(study, study.identity(), corpus, recipe_sha256())

    @classmethod
    def read(cls, text: str, now: StudyConfig) -> Meaning:
        """What `as_json` wrote, with the keys that studies have gained since."""
        raw: dict[str, Any] = json.loads(text)
        corpus, code = raw.pop(_CORPUS), raw.pop(CODE, "")
        try:
            arms = now.arms if now.arms in raw["search"] else None
            others = {**now.model_dump(mode="json", exclude_unset=True), "reported": None, "arms": arms, **_MISSING}
            study = StudyConfig.model_validate({**others, **raw})
        except ValidationError:
            return cls(None, raw, corpus, code)
        return cls(study, study.identity(), corpus, code)

    def as_json(self) -> str:
        """Everything, as text."""
        return canonical_json({**self.raw, _CORPUS: self.corpus, CODE: self.code})

    def with_code(self, code: str) -> Meaning:
        """The same under another recipe code."""
        return replace(self, code=code)

    def differences(self, now: Meaning) -> list[str]:
        """What differs, one "key: was -> is" each; code alone makes no other question and is not among them."""
        before = flatten({**self.raw, _CORPUS: self.corpus})
        after = flatten({**now.raw, _CORPUS: now.corpus})
        changed = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
        return [f"{key}: {_short(before.get(key))} -> {_short(after.get(key))}" for key in changed]


def why_not_comparable(was: Meaning, now: Meaning) -> str:
    """What sets all trials of one version apart from those of another; empty where each is to be looked at by itself."""
    assert now.study is not None
    if was.study is None:
        return "its configuration is of a former version of ocr_sweep"
    if was.corpus != now.corpus:
        return "another corpus"
    for key in ("metric", "direction", "against", "repeats"):
        if getattr(was.study, key) != getattr(now.study, key):
            return f"another {key}: {getattr(was.study, key)}"
    if was.code and now.code and was.code != now.code:
        return f"other recipe code ({was.code[:12]})"
    return ""


def express(params: Mapping[str, Any], was: StudyConfig, now: StudyConfig) -> dict[str, Any] | str:
    """A trial's point in another space: the one that makes the same configuration. Where there is none, what is in the way."""
    data = was.apply(params)
    data["corpus"] = now.base.model_dump()["corpus"]  # compared by its fingerprint
    found: dict[str, Any] = {}
    for path in now.ordered_search():
        space = now.search[path]
        if not is_active(space, found):
            continue
        try:
            value = get(data, path)
            found[path] = space.label_of(path, data) if isinstance(space, CategoricalRange) else value
        except (KeyError, ValueError):
            return f"{path} is none of the choices"
        if not isinstance(space, CategoricalRange) and not contains(space, value):
            return f"{path} {value} is outside of its range"
    there, here = flatten(now.apply(found)), flatten(data)
    other = next((key for key in sorted({*there, *here}) if there.get(key) != here.get(key)), None)
    return f"{other} {_short(here.get(other))} is not the base's {_short(there.get(other))}" if other else found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
