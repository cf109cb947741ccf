"""Static optimisation as a layer of a network: joint torques in, muscle activations out, with the exact derivative.

The answer of the problem of `edge.msk.staticopt` with squared activations is a = clip(B^T y, lower, upper), where y solves
B a + rho^2 y = tau. Away from the moment at which a muscle reaches a bound, the muscles that are free stay free, so that with
P the projection on them

    (B P B^T + rho^2 I) dy = dtau - dB a - B P dB^T y,   da = P (B^T dy + dB^T y)

(implicit differentiation at the active set; Amos & Kolter 2017, OptNet, for the general QP). No iterations are unrolled: the
backward pass is one solution of a system as large as the number of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge.msk.staticopt import LOWER_ACTIVATION, RESERVE_NM, UPPER_ACTIVATION, optimise

FloatArray = npt.NDArray[np.float64]


def share(
    torque_nm: Tensor,
    strength_nm: Tensor,
    *,
    start: Tensor | None = None,
    lower: float = LOWER_ACTIVATION,
    upper: float = UPPER_ACTIVATION,
    reserve_nm: float = RESERVE_NM,
) -> Tensor:
    """Activations (batch, muscles) that carry the torques (batch, rows), differentiable in torque and strength.

    strength_nm: B (batch, rows, muscles), the torque of full activation; start: multipliers (batch, rows) in 1/Nm near the
    answer, which save time and change nothing else. Solved by the NumPy reference in double precision on the CPU, wherever
    the tensors are. A frame whose torque is not finite, as that of a network that diverges, has no activations: NaN.
    Raises ValueError as `edge.msk.staticopt.optimise` does.
    """
    activation: Tensor = _Sharing.apply(torque_nm, strength_nm, start, (lower, upper, reserve_nm))  # type: ignore[no-untyped-call]
    return activation


class _Sharing(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, torque: Tensor, strength: Tensor, start: Tensor | None, settings: tuple[float, float, float]
    ) -> Tensor:
        lower, upper, reserve_nm = settings
        tau, b = _array(torque), _array(strength)
        finite = np.isfinite(tau).all(axis=1, keepdims=True)
        optimum = optimise(
            np.swapaxes(b, 1, 2),
            np.ones((len(b), b.shape[2])),
            np.where(finite, tau, 0.0),
            lower=lower,
            upper=upper,
            reserve_nm=reserve_nm,
            start=None if start is None else _array(start),
        )
        drive = np.einsum("frm,fr->fm", b, optimum.multiplier)
        activation = np.where(finite, optimum.activation, np.nan)
        ctx.of_solution = (b, optimum.multiplier, activation, (drive > lower) & (drive < upper), reserve_nm**2)
        return torch.as_tensor(activation, dtype=torque.dtype, device=torque.device)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        b, multiplier, activation, free, reserve2 = ctx.of_solution
        pull = np.where(free, _array(along), 0.0)
        hessian = np.einsum("frm,fm,fsm->frs", b, free, b) + reserve2 * np.eye(b.shape[1])
        by_torque = np.linalg.solve(hessian, np.einsum("frm,fm->fr", b, pull)[..., None])[..., 0]
        by_strength = None
        if ctx.needs_input_grad[1]:
            rest = np.where(free, pull - np.einsum("frm,fr->fm", b, by_torque), 0.0)
            change = multiplier[:, :, None] * rest[:, None] - by_torque[:, :, None] * activation[:, None]
            by_strength = torch.as_tensor(change, dtype=along.dtype, device=along.device)
        return torch.as_tensor(by_torque, dtype=along.dtype, device=along.device), by_strength, None, None


def _array(tensor: Tensor) -> FloatArray:
    return tensor.detach().to("cpu", torch.float64).numpy()
