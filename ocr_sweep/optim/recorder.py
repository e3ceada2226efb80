"""What AdamW's steps were like: how long for their gradients, as the handover to SGD wants to know."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import torch
from torch import Tensor, nn

from ocr_sweep.optim.swats import Swats

_WINDOW = 200  # AdamW steps that the matched rate looks back on
_UNREAD = 50  # steps whose numbers may wait on the device, so that no step waits for it


class StepRecorder:
    """The ratio of AdamW's step to the gradient, per unit of learning rate, over the last 200 steps; and SWATS' estimate.

    Per unit of rate, because the rate declines within the window: the matched rate belongs to the step that AdamW would
    take now, not to the longer ones that it took before. A short training would else hand over at many times its step.

    Use `before(...)` between backward and step, and `after(...)` behind the step.
    """

    def __init__(self, model: nn.Module) -> None:
        self._parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self._before: list[Tensor] = []
        self._lr = 0.0
        self._unread: list[tuple[float, Tensor]] = []  # rate, and the four numbers of `after`
        self._ratios: deque[float] = deque(maxlen=_WINDOW)
        self._swats = Swats()

    @torch.no_grad()
    def before(self, optimizer: torch.optim.Optimizer) -> None:
        """Remember the weights as decay alone would leave them."""
        decay = {id(p): 1 - group["lr"] * group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
        self._before = list(torch._foreach_mul(self._parameters, [decay[id(p)] for p in self._parameters]))
        self._lr = float(optimizer.param_groups[0]["lr"])

    @torch.no_grad()
    def after(self) -> None:
        """Record the length of the step, without its decay part, and the gradient that it answered."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        steps = list(torch._foreach_sub(self._parameters, self._before))
        self._before = []
        step, gradient = global_norm(steps), global_norm(gradients)
        torch._foreach_mul_(steps, gradients)
        dot = torch.stack([part.sum() for part in steps]).sum()
        self._unread.append((self._lr, torch.stack([step / gradient, gradient, step.square(), dot])))
        if len(self._unread) >= _UNREAD:
            self._read()

    @property
    def ratios(self) -> list[float]:
        """|step| / (rate |gradient|) of the steps in the window, oldest first."""
        self._read()
        return list(self._ratios)

    def median_ratio(self) -> float:
        """Median of |step| / (rate |gradient|); 0.0 when nothing was recorded."""
        ratios = self.ratios
        return float(torch.tensor(ratios, dtype=torch.float64).median()) if ratios else 0.0

    def swats_rate(self, *, adamw_lr: float, momentum: float) -> float:
        """SWATS' estimate of SGD's rate; see `Swats.rate`."""
        self._read()
        return self._swats.rate(adamw_lr=adamw_lr, momentum=momentum)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold; plain values."""
        return {"ratios": self.ratios, "swats": vars(self._swats).copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self._ratios.extend(state["ratios"])
        vars(self._swats).update(state["swats"])

    def _read(self) -> None:
        for lr, numbers in self._unread:
            ratio, gradient, step_squared, dot = numbers.tolist()
            if 0 < gradient < math.inf:  # a step that fp16's scaler skipped has no finite gradient
                self._ratios.append(ratio / lr)
                self._swats.add(step_squared, dot, lr)
        self._unread = []


def global_norm(tensors: list[Tensor]) -> Tensor:
    """The Euclidean norm of all tensors taken as one vector, a scalar tensor."""
    norms = torch.stack(torch._foreach_norm(tensors))  # (number of tensors,)
    return norms.square().sum().sqrt()
