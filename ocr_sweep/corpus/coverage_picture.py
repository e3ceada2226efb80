"""The font x character matrix as a picture: faces as rows, characters as columns, one colour per state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ocr_sweep.corpus.coverage import State
from ocr_sweep.corpus.fonts import Face

COLOURS: dict[State, tuple[int, int, int]] = {
    State.DRAWN: (52, 120, 112),
    State.NOT_IN_CMAP: (222, 222, 218),
    State.EMPTY_OUTLINE: (240, 150, 40),
    State.BLANK: (248, 215, 70),
    State.NOTDEF: (205, 50, 50),
    State.CLIPPED: (130, 70, 190),
    State.PLACEHOLDER: (235, 110, 175),
}
NOWHERE = (20, 20, 20)
"""In the last row of a block: no face draws the character."""

_STATES = list(State)
_PALETTE = np.array([COLOURS[state] for state in _STATES], dtype=np.uint8)
_WIDTH, _LABEL, _EDGE = 1600, 250, 12  # pixels: of all columns, of the names beside them, around everything
_WIDEST, _NARROWEST = 12, 2  # pixels of a column
_ROW, _HEAD, _GAP = 13, 20, 12  # pixels: of a row, of the line above a block, below a block
_RULE = 50  # columns between two tick marks


def coverage_picture(faces: Sequence[Face], chars: str) -> Image.Image:
    """Draw the matrix, in code point order, cut into blocks that fit the width; a block's last row is all faces together."""
    ordered = sorted(chars)
    matrix = state_matrix(faces, ordered)
    cell = int(np.clip(_WIDTH // len(ordered), _NARROWEST, _WIDEST))
    columns = _WIDTH // cell
    blocks = [slice(start, start + columns) for start in range(0, len(ordered), columns)]
    height = _HEAD + (len(faces) + 1) * _ROW + _GAP
    top = _EDGE + _legend_height()
    picture = Image.new("RGB", (_LABEL + min(len(ordered), columns) * cell + 2 * _EDGE, top + len(blocks) * height), "white")
    if picture.width < 900:  # room for the legend
        picture = picture.crop((0, 0, 900, picture.height))
        picture.paste("white", (0, 0, *picture.size))
    draw = ImageDraw.Draw(picture)
    _legend(draw, matrix, len(ordered))
    for number, block in enumerate(blocks):
        _block(picture, draw, faces, ordered[block], matrix[:, block], cell, top + number * height, block.start)
    return picture


def state_matrix(faces: Sequence[Face], chars: Sequence[str]) -> NDArray[np.uint8]:
    """(F, K) number of the state, in the order of `State`, of each character in each face."""
    number = {state: i for i, state in enumerate(_STATES)}
    rows = [[number[face.lost.get(char, State.DRAWN)] for char in chars] for face in faces]
    return np.array(rows, dtype=np.uint8).reshape(len(faces), len(chars))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _legend_height() -> int:
    return 3 * _HEAD


def _legend(draw: ImageDraw.ImageDraw, matrix: NDArray[np.uint8], num_chars: int) -> None:
    nowhere = int((matrix != 0).all(axis=0).sum())
    title = f"{num_chars:,} characters in code point order, {len(matrix)} faces; {nowhere:,} characters are drawn by none"
    draw.text((_EDGE, _EDGE), title, fill="black", font=_font(13))
    counts = Counter(matrix.ravel().tolist())
    shown = [(COLOURS[state], f"{state} {counts[i]:,}") for i, state in enumerate(_STATES)]
    x, y = _EDGE, _EDGE + _HEAD + 4
    for colour, text in [*shown, (NOWHERE, "no face draws it")]:
        draw.rectangle((x, y, x + 11, y + 11), fill=colour)
        draw.text((x + 16, y - 1), text, fill="black", font=_font(11))
        x += 28 + int(draw.textlength(text, font=_font(11)))


def _block(
    picture: Image.Image,
    draw: ImageDraw.ImageDraw,
    faces: Sequence[Face],
    chars: Sequence[str],
    matrix: NDArray[np.uint8],
    cell: int,
    top: int,
    first: int,
) -> None:
    span = f"U+{ord(chars[0]):04X} to U+{ord(chars[-1]):04X}   (characters {first + 1:,} to {first + len(chars):,})"
    draw.text((_EDGE + _LABEL, top + 3), span, fill=(90, 90, 90), font=_font(11))
    anywhere = np.where((matrix == 0).any(axis=0)[:, None], _PALETTE[0], np.array(NOWHERE, np.uint8))[None]
    colours = np.concatenate([_PALETTE[matrix], anywhere])  # (F + 1, n, 3)
    large = colours.repeat(_ROW, axis=0).repeat(cell, axis=1)
    large[_ROW - 1 :: _ROW] = 255  # a white line between two faces
    if cell >= 4:
        large[:, cell - 1 :: cell] = 255
    picture.paste(Image.fromarray(large), (_EDGE + _LABEL, top + _HEAD))
    for row, name in enumerate([*(_name(face) for face in faces), "any face"]):
        draw.text((_EDGE, top + _HEAD + row * _ROW), name, fill="black", font=_font(10))
    for column in range(0, len(chars), _RULE):
        x = _EDGE + _LABEL + column * cell
        draw.line((x, top + _HEAD - 4, x, top + _HEAD - 1), fill=(90, 90, 90))


def _name(face: Face, longest: int = 36) -> str:
    """The face's label in characters that the picture's own font has."""
    label = face.label.encode("ascii", "replace").decode()
    return label if len(label) <= longest else f"{label[: longest - 12]}...{label[-9:]}"
