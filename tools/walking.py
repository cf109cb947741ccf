"""A person who walks: one trial of level walking in the sagittal plane, built from the published averages.

What holds together by construction, so that a physics-informed network can be trained on it:

* the left leg does what the right one does, half a cycle later;
* the ground reactions of both feet together are mass x (acceleration + gravity) of the centre of mass, at every
  instant. The pelvis moves as the centre of mass does (the trunk is taken as rigid), so the forces say how it moves;
* the foot is flat while it should be, and the stride is as long as the angles make it on the model's leg, so that the
  foot hardly slides;
* the centre of pressure stays under the foot, and on average under the hips: nobody falls over.

The averages give one speed, the one of their stride length. Another speed scales them: hip and knee excursions with the
stride length, the rise and fall of the centre of mass with its square (an inverted pendulum), its vertical acceleration
therefore with the speed squared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline, make_interp_spline
from scipy.optimize import brentq

from edge.msk.chain import joint_centers
from edge.msk.model import Model
from tools.normative_gait import (
    PRESSURE_SPEED_MPS,
    ROLLING_RADIUS_PER_LEG,
    STRIDE_EXPONENT,
    NormativeGait,
    PeriodicCurve,
    normative_gait,
    speed_of_stride_mps,
)

FloatArray = npt.NDArray[np.float64]

SIDES: Final = ("r", "l")
LATER: Final = {"r": 0.0, "l": 0.5}  # cycles by which a leg is ahead of the right one

# Where no published number was at hand: rough sizes of an adult, stated in docs/demo.md.
ANKLE_HEIGHT_M = 0.08  # of the ankle above the sole
HEEL_M = 0.05  # sole behind the ankle
PIVOT_ABOVE_GROUND_M = 1.2  # where the ground reactions meet: about 0.2 m above the centre of mass

FLAT = (0.10, 0.30)  # part of the cycle in which the foot is flat on the ground
_PLANTED = (0.10, 0.40)  # part in which the ankle hardly moves over the ground
_SOLE_EDGE_M = 0.02  # rounding of the pressure's path where it meets heel and toes
_FORCE_HARMONICS = 24
_CYCLE_GRID = 1000
_FINE_HZ = 1000


@dataclass(frozen=True)
class Gait:
    """The average cycle on a model's leg, at the one speed where angles and stride length agree."""

    model: Model
    curves: NormativeGait
    tilt_offset_rad: float  # added to the printed pelvic tilt so that the foot is flat when it should be
    stride_length_m: float
    speed_mps: float
    pelvis_height_m: float  # mean of pelvis_ty with the ground at 0
    rise: PeriodicCurve  # vertical place of the centre of mass about its mean, m
    surge: PeriodicCurve  # forward place about the steady advance, m
    sole_m: FloatArray  # (n,) centre of pressure along the sole, forward of the ankle, over the cycle

    @property
    def strides_per_s(self) -> float:
        return self.speed_mps / self.stride_length_m

    def tilt_rad(self, cycle: FloatArray) -> FloatArray:
        return np.asarray(np.radians(self.curves.pelvic_tilt(cycle)) + self.tilt_offset_rad)

    def leg_rad(self, cycle: FloatArray, hip: FloatArray, knee: FloatArray, ankle: FloatArray) -> FloatArray:
        """Joint angles (n, 3) in the model's signs; `hip`, `knee`, `ankle` scale the printed excursions."""
        return _leg_rad(self.curves, cycle, hip, knee, ankle)

    def pressure_from_ankle_m(self, cycle: FloatArray, foot_pitch_rad: FloatArray) -> FloatArray:
        """Centre of pressure forward of the ankle, for a foot at the given pitch (toes up positive)."""
        grid = np.arange(len(self.sole_m) + 1) / len(self.sole_m)
        sole = np.interp(np.mod(cycle, 1.0), grid, np.append(self.sole_m, self.sole_m[0]))
        return _on_ground(sole, foot_pitch_rad)


def _leg_rad(
    curves: NormativeGait, cycle: FloatArray, hip: FloatArray, knee: FloatArray, ankle: FloatArray
) -> FloatArray:
    # The hip swings about its mean; knee and ankle are scaled from straight: a longer stride bends the knee more.
    mean = curves.hip_flexion.mean
    flexion = mean + hip * (curves.hip_flexion(cycle) - mean)
    return np.radians(
        np.stack([flexion, -knee * curves.knee_flexion(cycle), ankle * curves.ankle_dorsiflexion(cycle)], axis=-1)
    )


def _on_ground(sole_m: FloatArray, pitch_rad: FloatArray) -> FloatArray:
    """Forward distance from the ankle of a point of the sole, whose foot is pitched."""
    return np.asarray(sole_m * np.cos(pitch_rad) + ANKLE_HEIGHT_M * np.sin(pitch_rad))


def average_gait(model: Model) -> Gait:
    """The published averages put on a model's leg (hip, knee, ankle)."""
    curves = normative_gait()
    cycle = np.arange(_CYCLE_GRID) / _CYCLE_GRID
    one = np.ones_like(cycle)
    q = _leg_rad(curves, cycle, one, one, one)
    tilt = np.radians(curves.pelvic_tilt(cycle))
    flat = (cycle >= FLAT[0]) & (cycle < FLAT[1])
    offset = -float(np.mean((tilt + q.sum(axis=1))[flat]))
    tilt = tilt + offset
    pitch = tilt + q.sum(axis=1)
    ankle = joint_centers(model, q, tilt)[:, 2]
    first, last = (round(edge * _CYCLE_GRID) for edge in _PLANTED)
    stride = float((ankle[first, 0] - ankle[last, 0]) / (_PLANTED[1] - _PLANTED[0]))
    speed = speed_of_stride_mps(stride)
    strides_per_s = speed / stride

    force = curves.force_at(cycle)
    gravity = model.gravity_mps2
    rise = _displacement(gravity * (_both(force) - 1.0), strides_per_s)
    leg_length = model.leg_length_m + ANKLE_HEIGHT_M
    stance_s = float(np.mean(force > 0.02)) / strides_per_s
    toe = PRESSURE_SPEED_MPS * stance_s - HEEL_M
    lever = ROLLING_RADIUS_PER_LEG * leg_length - ANKLE_HEIGHT_M
    rolled = -lever * np.sin(tilt + q[:, 0] + q[:, 1])

    def sole(forward: float) -> FloatArray:
        return _sole_path(cycle, forward + rolled, pitch, toe)

    def unbalance(forward: float) -> float:
        return float(np.sum(force * (ankle[:, 0] + _on_ground(sole(forward), pitch))))

    # How far forward the wheel sits on the shank is not printed: the balance of the trunk over the hips decides it.
    path = sole(brentq(unbalance, -0.2, 0.2))
    to_hip = -(ankle[:, 0] + _on_ground(path, pitch))
    surge = _displacement(gravity * _both(force * to_hip / PIVOT_ABOVE_GROUND_M), strides_per_s)
    hip_height = ANKLE_HEIGHT_M - float(np.mean((ankle[:, 1] + rise(cycle))[flat]))
    ox, oy = model.base.links[0].offset_m
    hip_in_pelvis = ox * np.sin(tilt) + oy * np.cos(tilt)
    return Gait(model, curves, offset, stride, speed, hip_height - float(hip_in_pelvis.mean()), rise, surge, path)


def _both(one_foot: FloatArray) -> FloatArray:
    return one_foot + np.roll(one_foot, len(one_foot) // 2)


def _displacement(acceleration: FloatArray, strides_per_s: float) -> PeriodicCurve:
    return PeriodicCurve.fit(acceleration, _FORCE_HARMONICS).integrated_twice(strides_per_s)


def _sole_path(cycle: FloatArray, ground_m: FloatArray, pitch: FloatArray, toe_m: float) -> FloatArray:
    """Centre of pressure along the sole: where the rolling wheel touches, from heel to toe, never going back."""
    sole = (ground_m - ANKLE_HEIGHT_M * np.sin(pitch)) / np.cos(pitch)
    sole = toe_m - _SOLE_EDGE_M * np.logaddexp(0.0, (toe_m - sole) / _SOLE_EDGE_M)
    sole = -HEEL_M + _SOLE_EDGE_M * np.logaddexp(0.0, (sole + HEEL_M) / _SOLE_EDGE_M)
    # In the air nothing is pressed: the path rests at the toe and is back at the heel before the next contact.
    stance = cycle < 0.70
    landing = cycle >= 0.90
    path = np.maximum.accumulate(np.where(stance, sole, -HEEL_M))
    return np.asarray(np.where(landing, sole[0], path))


@dataclass(frozen=True)
class Walk:
    """A trial. Arrays over frames; dictionaries over the sides r and l; x forward, y up, the ground at y = 0."""

    time_s: FloatArray
    speed_mps: FloatArray  # of the steady advance
    cycle: FloatArray  # of the right leg, in cycles
    tilt_rad: FloatArray
    pelvis_m: FloatArray  # (n, 2)
    q_rad: dict[str, FloatArray]  # (n, 3) hip, knee, ankle in the model's signs
    force_n: dict[str, FloatArray]  # (n, 2) on the foot
    pressure_m: dict[str, FloatArray]  # (n, 2) in the ground frame
    ankle_m: dict[str, FloatArray]  # (n, 2) in the ground frame


def walk(
    gait: Gait,
    *,
    seconds: float,
    rate_hz: float,
    mass_kg: float,
    speed_mps: float,
    speed_swing_mps: float,
    speed_period_s: float,
    variability: float,
    seed: int,
) -> Walk:
    """One trial at a speed that swings slowly about its mean, with strides that differ by `variability` (a fraction).

    Two trials with the same arguments are equal. Raises ValueError when the speed would leave 0.6 to 2.0 m/s, between
    which people walk and the scaling means something.
    """
    if not (speed_mps - abs(speed_swing_mps) >= 0.6 and speed_mps + abs(speed_swing_mps) <= 2.0):
        raise ValueError("the speed leaves the range of walking, 0.6 to 2.0 m/s")
    rng = np.random.default_rng(seed)
    fine = np.arange(round(seconds * _FINE_HZ) + 1) / _FINE_HZ
    speed = speed_mps + speed_swing_mps * np.sin(2.0 * np.pi * fine / speed_period_s)
    length = (speed / gait.speed_mps) ** STRIDE_EXPONENT  # stride length, as a multiple of the average's
    steady = speed / (gait.stride_length_m * length)
    wander = {name: 1.0 + _wander(rng, fine, variability) for name in ("pace", "hr", "kr", "ar", "hl", "kl", "al")}
    pace = CubicSpline(fine, steady * wander["pace"])
    cycle = pace.antiderivative()(fine)

    # The place of the centre of mass first, smooth by construction; the forces follow from its acceleration.
    x = CubicSpline(fine, speed).antiderivative()(fine) + length * (gait.strides_per_s / steady) ** 2 * gait.surge(
        cycle
    )
    y = gait.pelvis_height_m + length**2 * gait.rise(cycle)
    place = np.stack([x, y], axis=1)
    at = np.arange(round(seconds * rate_hz) + 1) / rate_hz
    acceleration = make_interp_spline(fine, place, k=5).derivative(2)(at)
    pick = np.round(at * _FINE_HZ).astype(int)
    place, cycle, length, speed = place[pick], cycle[pick], length[pick], speed[pick]
    wander = {name: values[pick] for name, values in wander.items()}

    tilt = gait.tilt_rad(cycle)
    ox, oy = gait.model.base.links[0].offset_m
    hip = place + np.stack([ox * np.cos(tilt) - oy * np.sin(tilt), ox * np.sin(tilt) + oy * np.cos(tilt)], axis=1)
    q, ankle, pressure, share = {}, {}, {}, {}
    for side in SIDES:
        own = cycle + LATER[side]
        q[side] = gait.leg_rad(own, length * wander["h" + side], length * wander["k" + side], wander["a" + side])
        ankle[side] = hip + joint_centers(gait.model, q[side], tilt)[:, 2]
        forward = gait.pressure_from_ankle_m(own, tilt + q[side].sum(axis=1))
        pressure[side] = np.stack([ankle[side][:, 0] + forward, np.zeros(len(at))], axis=1)
        share[side] = gait.curves.force_at(own)
    total = share["r"] + share["l"]
    share = {side: values / total for side, values in share.items()}
    vertical = mass_kg * (acceleration[:, 1] + gait.model.gravity_mps2)
    pointed = {
        side: share[side] * vertical * (hip[:, 0] - pressure[side][:, 0]) / PIVOT_ABOVE_GROUND_M for side in SIDES
    }
    # What the pivot leaves open of Newton's law (nothing in the average cycle) is carried by the feet as the weight is.
    rest = mass_kg * acceleration[:, 0] - pointed["r"] - pointed["l"]
    force = {side: np.stack([pointed[side] + share[side] * rest, share[side] * vertical], axis=1) for side in SIDES}
    return Walk(at, speed, cycle, tilt, place, q, force, pressure, ankle)


def _wander(rng: np.random.Generator, time_s: FloatArray, deviation: float) -> FloatArray:
    """A smooth random drift of the given standard deviation, about one independent value a second."""
    knots = np.arange(-1.0, time_s[-1] + 2.0)
    values = deviation * np.clip(rng.standard_normal(len(knots)), -2.5, 2.5)
    return np.asarray(CubicSpline(knots, values)(time_s))
