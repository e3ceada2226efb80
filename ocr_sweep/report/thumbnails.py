"""Corpus images as PNG data URIs, so that a page needs no other file."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ocr_sweep.store import CorpusView

_SIDE = 48  # pixels


def image_uri(image: NDArray[np.uint8], side: int = _SIDE) -> str:
    """(S, S), 0 paper and 255 ink, as dark ink on white, in `side` pixels."""
    picture = Image.fromarray(255 - np.asarray(image)).resize((side, side), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def glyph_uri(view: CorpusView, class_id: int) -> str | None:
    """What a class looks like; None where the corpus has no training image of it."""
    place = int(view.glyph_indices[class_id])
    return image_uri(view.images[place]) if place >= 0 else None
