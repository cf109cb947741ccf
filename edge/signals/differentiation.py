"""A session's differentiator: the method of its bundle, with what is known of other people and of the wearer."""

from __future__ import annotations

from edge.signals.bank import Bank
from edge.signals.differentiate import create
from edge.signals.differentiator import Differentiator
from edge.signals.layout import Layout
from edge.signals.learner import Learned


def create_for(
    layout: Layout,
    method: str,
    *,
    background: bool = False,
    bank: Bank | None = None,
    learned: Learned | None = None,
    frozen: bool = False,
) -> Differentiator:
    """As `edge.signals.differentiate.create`, for the channels of a layout. Raises ConfigError, and BundleError for a bank of
    other channels."""
    return create(
        method,
        n_joints=len(layout.channels),
        rate_hz=layout.rate_hz,
        age_s=layout.age_s,
        background=background,
        gyroscopes=layout.taps.gyroscopes,
        scale=layout.taps.scale,
        bank=None if bank is None else bank.sums_for(layout),
        learned=learned,
        frozen=frozen,
    )
