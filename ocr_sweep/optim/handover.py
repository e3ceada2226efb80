"""The handover from AdamW to SGD: at which rate SGD walks as far as AdamW did.

Inheriting AdamW's rate nearly freezes the weights, because SGD does not divide by the gradient's size. The matched
rate measures both sizes on the last AdamW steps instead (see `StepRecorder`).
"""

from __future__ import annotations

import torch


def matched_rate(median_ratio: float, *, adamw_lr: float, kappa: float, momentum: float) -> float:
    """SGD's rate at which a settled momentum step is `kappa` AdamW steps long.

    kappa (1 - mu) lr median(|step| / (lr |g|)), with AdamW's rate `adamw_lr` at the handover.
    """
    return kappa * (1 - momentum) * adamw_lr * median_ratio


def matched_weight_decay(*, adamw_lr: float, adamw_decay: float, sgd_lr: float, momentum: float) -> float:
    """SGD's coupled decay that shrinks the weights per step as AdamW's decoupled one did."""
    return adamw_lr * adamw_decay * (1 - momentum) / sgd_lr


def warm_momentum(sgd: torch.optim.SGD, adamw: torch.optim.AdamW) -> None:
    """Begin SGD's momentum as if it had seen AdamW's mean gradient for ever: buffer = m_hat / (1 - mu).

    torch's buffer is not damped, so under a constant gradient g it settles at g / (1 - mu).
    """
    for group in sgd.param_groups:
        if not group["momentum"]:
            continue
        for parameter in group["params"]:
            if moments := adamw.state.get(parameter):
                beta_1 = adamw.defaults["betas"][0]
                mean = moments["exp_avg"] / (1 - beta_1 ** float(moments["step"]))  # m_hat
                sgd.state[parameter]["momentum_buffer"] = mean / (1 - group["momentum"])
