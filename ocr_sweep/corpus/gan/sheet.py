"""The sample sheet: held-back characters beside their true glyphs, then new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Images = NDArray[np.uint8]

_COLUMNS = 16
_LEFT = 76  # pixels for the names of the rows
_GAP = 10  # pixels between blocks
_REFUSED = (200, 60, 40)


@dataclass(frozen=True)
class Block:
    """Rows of pictures under each other: a row for each name, a column for each character."""

    title: str
    rows: tuple[tuple[str, Images], ...]  # name, (N, S, S) ink
    accepted: Sequence[bool]  # (N,); the others get a red frame around their drawing
    drawn_row: int  # which row holds the drawings


def draw_sheet(blocks: Sequence[Block]) -> Image.Image:
    """Return the sheet: dark ink on white, at most 16 characters a block."""
    size = blocks[0].rows[0][1].shape[1]
    heights = [18 + len(block.rows) * (size + 2) + _GAP for block in blocks]
    sheet = Image.new("RGB", (_LEFT + _COLUMNS * (size + 2) + _GAP, sum(heights) + _GAP), "white")
    pen, top = ImageDraw.Draw(sheet), _GAP // 2
    font = ImageFont.load_default(12)
    for block, height in zip(blocks, heights, strict=True):
        pen.text((4, top), block.title, fill="black", font=font)
        for number, (name, images) in enumerate(block.rows):
            y = top + 18 + number * (size + 2)
            pen.text((4, y + size // 2 - 6), name, fill="black", font=font)
            for column, image in enumerate(images[:_COLUMNS]):
                x = _LEFT + column * (size + 2)
                sheet.paste(Image.fromarray(255 - image), (x, y))
                if number == block.drawn_row and not block.accepted[column]:
                    pen.rectangle((x - 1, y - 1, x + size, y + size), outline=_REFUSED)
        top += height
    return sheet
