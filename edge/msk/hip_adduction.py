"""The hip's adduction torque, which the planar chain does not have: from the ground reaction.

A standing leg needs its hip abductors, whose forces a sagittal model cannot know: one more torque row holds them. Adduction is
positive, so that standing on one leg gives a negative torque. Axes are OpenSim's ground: x forward, y up, z to the right.

Two estimates. Where force, centre of pressure and hip are known in space, the moment about the hip of what acts on the leg at
rest: `hip_adduction_torque`. Where only the vertical force is known: a lever, `lever_rule`, for steady walking only.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edge.msk.spline import FloatArray

HIP_ADDUCTION_LEVER = 0.0506
"""Lever of the vertical ground reaction about the hip in the frontal plane, in leg lengths (hip to knee to ankle).

From four walks. A person's own lever differs: fitted to OpenSim's 3-D inverse dynamics of both legs of twelve other people it
is 0.077 on average (SD 0.013, 0.052 to 0.101) at their preferred speed and 0.069 (SD 0.014) in fast walking.
"""


def lever_rule(vertical_force_n: FloatArray, leg_length_m: float, lever: float = HIP_ADDUCTION_LEVER) -> FloatArray:
    """Hip adduction torque (frames,) in Nm: -lever x leg length x vertical ground reaction on the leg (frames,) in N.

    Valid in steady walking only, where the foot is put down at nearly the same place beside the hip in every step. In a squat
    or on rising from a chair it is wrong: feet are apart and the thigh, and with it the axis of adduction, is level.
    `lever` may be the person's own: from one walk over a force plate, -sum(torque F) / (leg length sum(F^2)).
    """
    return -lever * leg_length_m * vertical_force_n


def hip_adduction_torque(
    force_n: FloatArray,
    point_m: FloatArray,
    hip_m: FloatArray,
    thigh_angle: FloatArray,
    side: Literal["r", "l"],
    *,
    moment_nm: FloatArray | None = None,
    limb_mass_kg: float = 0.0,
    limb_com_m: FloatArray | None = None,
    gravity_mps2: float = 9.80665,
) -> FloatArray:
    """Hip adduction torque (frames,) in Nm that holds the leg still against ground reaction and weight.

    force_n, point_m, hip_m: (frames, 3), the ground reaction on the foot, its centre of pressure (not read where no force
    acts), and the hip's centre. thigh_angle: (frames,) rad of the thigh in the sagittal plane, flexion forward positive, zero
    upright: tilt + hip flexion. moment_nm: (frames, 3), free moment of the plate. limb_mass_kg, limb_com_m (frames, 3): of the
    whole leg; without them its weight is left out.

    The torque is the moment's component along the axis of adduction, which turns forward with the flexing thigh (Wu et al.
    2002): (cos t, sin t, 0) for a right leg. Assumed: quasi-static (the leg's own inertia is left out: in the swing it
    is all there is), a pelvis that neither lists nor turns. Raises ValueError when a mass has no place.
    """
    touching = np.any(force_n != 0.0, axis=1)[:, None]
    moment = np.cross(np.where(touching, point_m - hip_m, 0.0), force_n)
    if moment_nm is not None:
        moment = moment + np.where(touching, moment_nm, 0.0)
    if limb_mass_kg != 0.0:
        if limb_com_m is None:
            raise ValueError("limb_mass_kg needs limb_com_m, where the limb's weight acts")
        moment = moment + np.cross(limb_com_m - hip_m, np.array([0.0, -limb_mass_kg * gravity_mps2, 0.0]))
    along_axis: FloatArray = np.cos(thigh_angle) * moment[:, 0] + np.sin(thigh_angle) * moment[:, 1]
    return -along_axis if side == "r" else along_axis
