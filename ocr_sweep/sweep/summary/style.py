"""How a study's pictures look: one style, one page, a font that has CJK characters."""

from __future__ import annotations

import functools
import importlib.util
import io
import logging
import re
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET = "#1f2328", "#656d76"
TRIAL, BEST, BASE, WRONG = "#0072b2", "#d55e00", "#009e73", "#b3261e"  # after Okabe and Ito
_STYLE: Any = {
    "axes.axisbelow": True, "axes.edgecolor": QUIET, "axes.grid": True, "axes.labelcolor": INK, "axes.spines.right": False,
    "axes.spines.top": False, "axes.titlelocation": "left", "axes.titlesize": 13, "axes.titlepad": 12, "font.size": 10,
    "grid.color": "#e7eaee", "legend.frameon": False, "text.color": INK, "xtick.color": QUIET, "ytick.color": QUIET,
    "font.family": ["DejaVu Sans", "IPAexGothic"], "figure.dpi": 110, "figure.constrained_layout.use": True,
}  # fmt: skip


class CannotDrawError(Exception):
    """A picture that would show nothing, and why."""


def draw(picture: Callable[[], Figure]) -> bytes:
    """A picture as PNG.

    Raises:
        CannotDrawError: it would show nothing.
    """
    _fonts()
    import matplotlib

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO()
        picture().savefig(buffer, format="png", facecolor="white")
    return buffer.getvalue()


@functools.cache
def _fonts() -> None:
    """Give matplotlib the CJK font that comes with the environment, and keep its words to itself."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib import font_manager

    spec = importlib.util.find_spec("matplotlib_fontja")
    if spec is not None and spec.submodule_search_locations:
        font_manager.fontManager.addfont(Path(next(iter(spec.submodule_search_locations))) / "fonts" / "ipaexg.ttf")


def page(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty picture of so many inches, with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def wrapped(name: str, width: int = 14) -> str:
    """A name in short lines, broken after spaces, slashes and underscores."""
    broken = textwrap.wrap(re.sub(r"([/_])(?=.)", r"\1 ", name), width, break_long_words=False)
    return "\n".join(line.replace("/ ", "/").replace("_ ", "_") for line in broken)
