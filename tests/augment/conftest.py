from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def glyph() -> NDArray[np.uint8]:
    """A square 48-pixel 日 with strokes of 4 pixels, and nothing symmetric about where it stands."""
    image = np.zeros((48, 48), dtype=np.uint8)
    image[8:42, 12:16] = image[8:42, 31:35] = 255
    for top in (8, 23, 38):
        image[top : top + 4, 12:35] = 255
    return image
