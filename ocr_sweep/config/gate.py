"""What the gate asks of a version before a pointer moves to it: `sweeps/gates/<alias>.yaml`, or these defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ocr_sweep.config.block import Strict


def _check_key(value: str) -> str:
    if len(value) != 64 or not all(digit in "0123456789abcdef" for digit in value):
        raise ValueError(f"a signer must be a public key of 64 hex digits, as `models verify` prints it, but got {value!r}")
    return value


class GateConfig(Strict):
    """Margins and budgets; null where nothing is asked.

    A margin is what the candidate may lose against the version that it replaces, in points of accuracy, at the lower end of
    the paired 95 % interval. So it is not enough that no loss was seen: one larger than the margin must be ruled out.
    """

    margin: float = Field(0.5, gt=0, le=100)  # points; each named test set as a whole
    group_margin: float = Field(2.0, gt=0, le=100)  # points; each class group in it: unseen, few, medium, many
    max_forgotten: float = Field(2.0, ge=0, le=100)  # percent of the characters that the former version reads
    max_dropped: int = Field(0, ge=0)  # characters of the former version that the new charset lacks
    max_latency_ms: float | None = Field(100.0, gt=0)  # of one picture on one core, its preparation included
    max_megabytes: float | None = Field(500.0, gt=0)  # of the ONNX file
    reproduction: Literal["within band", "identical"] | None = None  # the run must have been trained again with this verdict
    signers: tuple[Annotated[str, AfterValidator(_check_key)], ...] = Field(
        (), strict=False
    )  # public keys that may sign; empty: any
