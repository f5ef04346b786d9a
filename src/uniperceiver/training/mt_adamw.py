"""MT-AdamW, the multi-task optimiser of Sec. 4.4 (the published version of the paper names the idea Task-Balanced
Gradient Normalization)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from uniperceiver.training.gradients import gradient_norm, name_of, own_part


class MTAdamW(torch.optim.Optimizer):
    """AdamW for unmixed sampling, MT-AdamW of Sec. 4.4: one task per step, its gradient normalised and compensated.

    The published version of the paper calls the same rule Task-Balanced Gradient Normalization. With the k-th task
    drawn at step t, in the paper's letters::

        g_t = ω_k ∇L / ‖∇L‖
        m_t = (1 - β₁) m_{t-1} + β₁ / s_k  g_t
        n_t = (1 - β₂) n_{t-1} + β₂ / s_k  g_t²
        θ_t = θ_{t-1} - α m̂_t / (√n̂_t + ε)

    ``betas`` follow PyTorch's convention: (1 - β₁, 1 - β₂) of the paper. The norm is the global one, over all
    parameters of all groups. A missing gradient is a zero gradient: E[m_t] = Σ_k g_k holds over the draw of k only if
    the moments also decay in the steps of other tasks; PyTorch's habit of skipping such parameters would break it.

    Paper: "weight decay and bias corrections are omitted for simplicity". The decay is AdamW's, θ ← (1 - αλ) θ before
    the update and in every step. The corrections are Adam's, m̂ = m / (1 - (1 - β₁)^t) and likewise n̂, with t counting
    the steps of all tasks: averaged over the draws m̂ and n̂ are then unbiased at every t. The very first update is
    α sign(g) / √s_k, larger than AdamW's α for a rare task, which is one reason to warm up.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-4,
    ) -> None:
        if not lr >= 0 or not eps > 0 or not weight_decay >= 0:
            raise ValueError(
                f"lr and weight_decay must not be negative and eps must be positive, "
                f"got lr {lr}, weight_decay {weight_decay}, eps {eps}"
            )
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must lie in [0, 1), got {betas}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "t": 0})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with their own settings; frozen ones are refused, since weight decay would still move them."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        frozen = [name_of(group, i) for i, p in enumerate(group["params"]) if not p.requires_grad]
        if frozen:
            raise ValueError(f"frozen parameters cannot be optimised, leave them out: {', '.join(frozen)}")

    @torch.no_grad()
    def step(self, *, sampling_ratio: float, scale: float) -> float:  # type: ignore[override]
        """Update all parameters with the gradient of one task, MT-AdamW (Sec. 4.4).

        Args:
            sampling_ratio: s_k, the probability with which the task was drawn, in (0, 1].
            scale: ω_k of Eq. (7), the weight of the task, above 0.

        Returns:
            ‖∇L‖ before normalising. Zero is allowed: the moments then only decay.

        Raises:
            ValueError: ``sampling_ratio`` or ``scale`` out of range.
            FloatingPointError: the gradient is not finite; parameters and moments are as before.
        """
        if not 0 < sampling_ratio <= 1 or not scale > 0 or math.isinf(scale):
            raise ValueError(
                f"expected a sampling ratio in (0, 1] and a positive scale, got {sampling_ratio} and {scale}"
            )
        norm = gradient_norm(self.param_groups)
        factor = scale / norm if norm > 0 else 0.0
        for group in self.param_groups:
            self._update(group, factor, sampling_ratio)
        return norm

    def _update(self, group: dict[str, Any], factor: float, s: float) -> None:
        group["t"] += 1
        # A processor takes one parameter after the other, which then stays in its cache; a GPU all in a few launches.
        if all(p.device.type == "cpu" for p in group["params"]):
            for p in group["params"]:
                self._move([p], group, factor, s)
        else:
            self._move(group["params"], group, factor, s)

    def _move(self, params: list[Tensor], group: dict[str, Any], factor: float, s: float) -> None:
        """One update of some of a group's parameters."""
        beta1, beta2 = (1 - beta for beta in group["betas"])
        if group["weight_decay"]:
            torch._foreach_mul_([own_part(p) for p in params], 1 - group["lr"] * group["weight_decay"])
        # Where no gradient ever came, as in experts that no task has chosen, both moments are zero and nothing moves.
        moved = [p for p in params if p.grad is not None or p in self.state]
        if not moved:
            return
        m, n = self._moments(moved, "m"), self._moments(moved, "n")
        torch._foreach_mul_(m, 1 - beta1)
        torch._foreach_mul_(n, 1 - beta2)
        seen = [(m_i, n_i, own_part(p.grad)) for m_i, n_i, p in zip(m, n, moved, strict=True) if p.grad is not None]
        if seen:
            m_seen, n_seen, gradients = map(list, zip(*seen, strict=True))
            g = torch._foreach_mul(gradients, factor)
            torch._foreach_add_(m_seen, g, alpha=beta1 / s)
            torch._foreach_addcmul_(n_seen, g, g, value=beta2 / s)
            del g  # as large as the model
        # m̂ / (√n̂ + ε) with both corrections in the step's size and in ε
        correction = math.sqrt(1 - (1 - beta2) ** group["t"])
        denominator = torch._foreach_sqrt(n)
        torch._foreach_add_(denominator, group["eps"] * correction)
        step = -group["lr"] * correction / (1 - (1 - beta1) ** group["t"])
        torch._foreach_addcdiv_([own_part(p) for p in moved], m, denominator, value=step)

    def _moments(self, params: list[Tensor], name: str) -> list[Tensor]:
        for p in params:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p)
        return [own_part(self.state[p][name]) for p in params]
