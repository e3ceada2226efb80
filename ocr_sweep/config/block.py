"""The base of every block of a configuration, and the grammar of names."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Strict(BaseModel):
    """A frozen block: unknown keys, wrong types and non-finite numbers are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def check_identifier(value: str) -> str:
    """Return a name that is safe as a folder, a tag and a model name.

    Raises:
        ValueError: it is not.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise ValueError(
            f"a name must be 1 to 64 letters, digits, '.', '_' or '-' and begin with a letter or digit, but got {value!r}"
        )
    return value


Identifier = Annotated[str, AfterValidator(check_identifier)]
"""A name that is safe as a folder, a tag and a model name."""
