"""The rate that SWATS would give to SGD: an estimate beside ours, never the trigger."""

from __future__ import annotations

_BETA_2 = 0.999  # AdamW's, which SWATS also averages its estimate with


class Swats:
    """The moving average of the rate at which an SGD step, projected on AdamW's step, is as long as it.

    gamma = p'p / (-p'g) for AdamW's step p and the gradient g; lambda <- beta2 lambda + (1 - beta2) gamma, corrected for its
    beginning at 0. Everything is per unit of AdamW's rate, as the matched rate is and for the same reason; under a
    constant rate it is the paper's to the letter. A step that does not descend (p'g >= 0) says nothing and is left out.

    References:
        Keskar & Socher, Improving generalization performance by switching from Adam to SGD, arXiv:1712.07628.
    """

    def __init__(self) -> None:
        self.mean = 0.0  # lambda
        self.count = 0  # steps in it

    def add(self, step_squared: float, step_dot_gradient: float, adamw_lr: float) -> None:
        """Take in a step of AdamW: p'p, p'g, and the rate that it was taken at."""
        if step_dot_gradient < 0:
            gamma = step_squared / -step_dot_gradient / adamw_lr
            self.mean = _BETA_2 * self.mean + (1 - _BETA_2) * gamma
            self.count += 1

    def rate(self, *, adamw_lr: float, momentum: float) -> float:
        """(1 - mu) Lambda, what torch's SGD would be given when AdamW's rate is `adamw_lr`; 0.0 when nothing was taken in."""
        if not self.count:
            return 0.0
        return (1 - momentum) * adamw_lr * self.mean / (1 - _BETA_2**self.count)
