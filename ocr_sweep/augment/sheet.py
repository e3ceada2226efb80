"""A contact sheet: every effect of a policy at five strengths, and the whole policy, so that a person can judge by eye."""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.augment.batch import apply_drawn
from ocr_sweep.augment.chance import Stream
from ocr_sweep.augment.op import Image
from ocr_sweep.augment.policy import Policy, Step

STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
_CELL, _GAP, _LABEL, _HEAD = 72, 4, 190, 24  # pixels
_SHOWN = 4  # draws of each effect and strength, from which the one that changes most is shown
_POLICY_ROWS = 4


def policy_sheet(glyph: NDArray[np.uint8], policy: Policy, name: str) -> NDArray[np.uint8]:
    """Draw (S, S), 0 paper and 255 ink, under each effect of a policy; a row per effect, a column per strength.

    Of four draws the one that changes the glyph most is shown, so that the sheet shows what a range can do. The last
    rows are the whole policy as training sees it.

    Returns:
        (H, W) with dark ink on white, ready to be saved as an image.
    """
    rows = [("as it is", [glyph] * len(STRENGTHS))]
    rows += [(_name(step), [_strongest(step, glyph, strength) for strength in STRENGTHS]) for step in policy.steps]
    drawn = [_draws(policy, glyph, strength, _POLICY_ROWS) for strength in STRENGTHS]
    rows += [(f"policy {name}", [column[row] for column in drawn]) for row in range(_POLICY_ROWS)]
    heads = [_heading([f"{strength:g}" for strength in STRENGTHS])]
    return np.vstack(heads + [_row(name, images) for name, images in rows])


def _name(step: Step) -> str:
    return re.sub("(?<!^)([A-Z])", r" \1", type(step.op).__name__).lower()


def _strongest(step: Step, glyph: Image, strength: float) -> Image:
    always = Policy((Step(step.op, 1.0 / strength),))
    return max(_draws(always, glyph, strength, _SHOWN), key=lambda image: cv2.norm(image, glyph, cv2.NORM_L1))


def _draws(policy: Policy, glyph: Image, strength: float, how_many: int) -> list[Image]:
    images, places = np.stack([glyph] * how_many), np.arange(how_many)
    apply_drawn(images, places, policy.draw(strength, glyph.shape[0], Stream(0, 0, places), places))
    return list(images)


def _row(name: str, images: list[Image]) -> NDArray[np.uint8]:
    row = np.full((_CELL + _GAP, _LABEL + len(images) * (_CELL + _GAP)), 225, dtype=np.uint8)
    _write(row, name, (6, _CELL // 2 + 5))
    for column, image in enumerate(images):
        left = _LABEL + column * (_CELL + _GAP)
        row[:_CELL, left : left + _CELL] = 255 - cv2.resize(image, (_CELL, _CELL), interpolation=cv2.INTER_NEAREST)
    return row


def _heading(names: list[str]) -> NDArray[np.uint8]:
    head = np.full((_HEAD, _LABEL + len(names) * (_CELL + _GAP)), 225, dtype=np.uint8)
    _write(head, "strength", (6, _HEAD - 7))
    for column, name in enumerate(names):
        _write(head, name, (_LABEL + column * (_CELL + _GAP) + _CELL // 2 - 12, _HEAD - 7))
    return head


def _write(canvas: NDArray[np.uint8], text: str, place: tuple[int, int]) -> None:
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 40, 1, cv2.LINE_AA)
