"""The differentiable layer gives the reference's static optimisation, and its exact derivative."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.msk.staticopt import LOWER_ACTIVATION, UPPER_ACTIVATION, solve
from train.sharing_layer import share


def problem(seed: int, rows: int, muscles: int = 11, frames: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Torques (frames, rows) and strengths (frames, rows, muscles); some torques are beyond the muscles."""
    generator = torch.Generator().manual_seed(seed)
    strength = 60.0 * torch.randn(frames, rows, muscles, generator=generator, dtype=torch.float64)
    torque = 90.0 * torch.randn(frames, rows, generator=generator, dtype=torch.float64)
    return torque, strength


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 6), muscles=st.integers(1, 20))
def test_the_layer_is_the_reference(seed: int, rows: int, muscles: int) -> None:
    torque, strength = problem(seed, rows, muscles)
    reference, _ = solve(np.swapaxes(strength.numpy(), 1, 2), np.ones((5, muscles)), torque.numpy())
    np.testing.assert_allclose(share(torque, strength).numpy(), reference, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 2, 4, 6])
def test_its_derivatives_are_those_of_small_steps(rows: int) -> None:
    torque, strength = problem(rows, rows, muscles=7, frames=2)
    assert torch.autograd.gradcheck(
        share, (torque.requires_grad_(), strength.requires_grad_()), eps=1e-5, atol=1e-6, rtol=1e-4
    )


def test_a_start_saves_time_alone() -> None:
    torque, strength = problem(0, 4)
    start = torch.full_like(torque, 0.3)
    torch.testing.assert_close(share(torque, strength, start=start), share(torque, strength), rtol=0, atol=1e-9)


def test_beyond_all_strength_the_derivative_is_finite() -> None:
    strength = torch.ones(1, 1, 3)
    torque = torch.tensor([[1e4]], requires_grad=True)
    activation = share(torque, strength)
    activation.sum().backward()  # type: ignore[no-untyped-call]
    assert activation.tolist() == [[UPPER_ACTIVATION] * 3]
    assert torque.grad is not None
    assert torque.grad.item() == 0.0


def test_single_precision_stays_so() -> None:
    torque, strength = problem(1, 3)
    single = share(torque.float(), strength.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), share(torque, strength), rtol=0, atol=1e-5)


def test_a_frame_without_a_torque_has_no_activations() -> None:
    torque, strength = problem(2, 3)
    torque[1, 0] = torch.nan
    activation = share(torque, strength)
    assert activation[1].isnan().all()
    assert ((activation[[0, 2, 3, 4]] >= LOWER_ACTIVATION) & (activation[[0, 2, 3, 4]] <= UPPER_ACTIVATION)).all()
