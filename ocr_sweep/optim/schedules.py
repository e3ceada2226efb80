"""Learning-rate factors as pure functions of the step; nobody counts in secret."""

from __future__ import annotations

import math

_FIRST = 0.1  # warm-up begins at a tenth of the rate
_FLOOR = 0.01  # AdamW's cosine ends at a hundredth of the rate


def warmup_cosine(step: int, *, num_steps: int, warmup_steps: int, floor: float = _FLOOR) -> float:
    """A factor in [0, 1]: a straight rise from 0.1 to 1, then half a cosine down to `floor`.

    Args:
        step: optimiser updates done so far, 0 <= step < num_steps.
        floor: AdamW's is 0.01; that of SGD alone is 0.

    References:
        Loshchilov & Hutter, SGDR, arXiv:1608.03983.
    """
    if step < warmup_steps:
        return _FIRST + (1 - _FIRST) * step / warmup_steps
    progress = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    return floor + (1 - floor) * cosine_half(progress)


def cosine(step: int, *, num_steps: int) -> float:
    """SGD's factor in [0, 1] after the handover: half a cosine from 1 to 0 over `num_steps`."""
    return cosine_half(step / max(1, num_steps))


def cosine_half(progress: float) -> float:
    """Half a cosine from 1 at progress 0 to 0 at progress 1."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
