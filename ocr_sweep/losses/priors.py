"""How often each class comes, as the loss should see it, and what that adds to the logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.loss import LossKind

Counts = NDArray[np.float64]


def effective_counts(real: NDArray[np.int64], synthetic: NDArray[np.int64], kappa: float) -> Counts:
    """(K,) n_real + kappa * n_synthetic, at least kappa: a class that has no image counts as if it had one synthetic.

    Where every class has about as many synthetic images, counting them in full hides the tail of the real ones.
    """
    return np.maximum(real + kappa * synthetic, kappa)


def logit_adjustment(kind: LossKind, counts: Counts, tau: float) -> Counts:
    """(K,) what training adds to the logits; prediction goes without it.

    Cross entropy: tau log pi; tau = 1 is the balanced softmax. Binary: tau (log pi - log(1 - pi)); tau = 1 is Bal-BCE.

    References:
        Menon et al., Long-tail learning via logit adjustment, arXiv:2007.07314; Ren et al., Balanced meta-softmax,
        arXiv:2007.10740; Xu et al., LiVT (Bal-BCE), arXiv:2212.02015.
    """
    prior = counts / counts.sum()
    match kind:
        case "cross_entropy":
            return np.asarray(tau * np.log(prior))
        case "bce":
            return np.asarray(tau * (np.log(prior) - np.log1p(-prior)))
