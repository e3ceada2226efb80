"""The handover from AdamW to SGD: at which rate SGD walks as far as AdamW did.

Inheriting AdamW's rate nearly freezes the weights, because SGD does not divide by the gradient's size. The matched
rate measures both sizes on the last AdamW steps instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor, nn

_WINDOW = 200  # AdamW steps that the matched rate looks back on


class StepRecorder:
    """The ratio of AdamW's step to the gradient, per unit of learning rate, over the last 200 steps.

    Per unit of rate, because the rate declines within the window: the matched rate belongs to the step that AdamW would
    take now, not to the longer ones that it took before. A short training would else hand over at many times its step.

    Use `before(...)` between backward and step, and `after(...)` behind the step.
    """

    def __init__(self, model: nn.Module) -> None:
        self._parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self._before: Sequence[Tensor] = ()
        self._gradient = torch.zeros(())
        self._lr = 0.0
        self.ratios: deque[float] = deque(maxlen=_WINDOW)

    @torch.no_grad()
    def before(self, optimizer: torch.optim.Optimizer) -> None:
        """Remember the weights as decay alone would leave them, and the gradient's norm."""
        decay = {id(p): 1 - group["lr"] * group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
        self._before = torch._foreach_mul(self._parameters, [decay[id(p)] for p in self._parameters])
        self._lr = float(optimizer.param_groups[0]["lr"])
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        self._gradient = global_norm(gradients)

    @torch.no_grad()
    def after(self) -> None:
        """Record the length of the step, without its decay part, per length of gradient."""
        step = global_norm([now - before for now, before in zip(self._parameters, self._before, strict=True)])
        self._before = ()
        if self._gradient > 0:
            self.ratios.append(float(step / self._gradient) / self._lr)

    def median_ratio(self) -> float:
        """Median of |step| / (rate |gradient|); 0.0 when nothing was recorded."""
        return float(torch.tensor(list(self.ratios), dtype=torch.float64).median()) if self.ratios else 0.0


def global_norm(tensors: list[Tensor]) -> Tensor:
    """The Euclidean norm of all tensors taken as one vector, a scalar tensor."""
    norms = torch.stack(torch._foreach_norm(tensors))  # (number of tensors,)
    return norms.square().sum().sqrt()


def matched_rate(median_ratio: float, *, adamw_lr: float, kappa: float, momentum: float) -> float:
    """SGD's rate at which a settled momentum step is `kappa` AdamW steps long.

    kappa (1 - mu) lr median(|step| / (lr |g|)), with AdamW's rate `adamw_lr` at the handover.
    """
    return kappa * (1 - momentum) * adamw_lr * median_ratio


def matched_weight_decay(*, adamw_lr: float, adamw_decay: float, sgd_lr: float, momentum: float) -> float:
    """SGD's coupled decay that shrinks the weights per step as AdamW's decoupled one did."""
    return adamw_lr * adamw_decay * (1 - momentum) / sgd_lr
