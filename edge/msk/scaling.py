"""A model for a person of another size: every length by one factor, every mass by one factor."""

from __future__ import annotations

from dataclasses import replace

from edge.msk.geometry import LengthPolynomial
from edge.msk.model import Model
from edge.msk.spline import Spline

LEG_LENGTH_PER_HEIGHT = (
    0.491  # hip to ankle over stature: 0.530 - 0.039, Winter 2009 (after Drillis & Contini 1966), figure 4.1
)


def scale_uniformly(
    model: Model,
    *,
    mass_kg: float | None = None,
    leg_length_m: float | None = None,
    height_m: float | None = None,
) -> Model:
    """The model with the person's mass and leg length (or the leg length that goes with the height).

    What is not given stays the model's. Lengths of segments, paths, fibres and tendons grow with the leg, masses with the
    body, moments of inertia with both; maximal forces stay.
    """
    if any(value is not None and not 0.0 < value < float("inf") for value in (mass_kg, leg_length_m, height_m)):
        raise ValueError(f"mass, leg length and height must be positive: {mass_kg}, {leg_length_m}, {height_m}")
    if leg_length_m is None and height_m is not None:
        leg_length_m = LEG_LENGTH_PER_HEIGHT * height_m
    length = 1.0 if leg_length_m is None else leg_length_m / model.leg_length_m
    mass = 1.0 if mass_kg is None else mass_kg / model.mass_kg
    if length == 1.0 and mass == 1.0:
        return model
    return replace(
        model,
        mass_kg=model.mass_kg * mass,
        leg_length_m=model.leg_length_m * length,
        base=replace(
            model.base,
            joint_offset_m=(model.base.joint_offset_m[0] * length, model.base.joint_offset_m[1] * length),
        ),
        joints=tuple(replace(j, center=Spline(j.center.knots, j.center.values * length)) for j in model.joints),
        segments=tuple(
            replace(
                s,
                mass_kg=s.mass_kg * mass,
                com_m=(s.com_m[0] * length, s.com_m[1] * length),
                inertia_kg_m2=s.inertia_kg_m2 * mass * length**2,
            )
            for s in model.segments
        ),
        muscles=tuple(
            replace(
                m,
                optimal_fiber_length_m=m.optimal_fiber_length_m * length,
                tendon_slack_length_m=m.tendon_slack_length_m * length,
                length=LengthPolynomial(
                    m.length.joints, m.length.exponents, tuple(c * length for c in m.length.coefficients_m)
                ),
            )
            for m in model.muscles
        ),
    )
