"""One OpenSim muscle along a slider, whose length and speed are the slider's; and random muscles and states for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from edge.msk.curves import CurveParameters, curves_of
from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import load_model


@dataclass
class Slider:
    """Keeps the model alive: OpenSim frees what Python does not hold."""

    model: Any
    state: Any
    coordinate: Any
    muscle: Any

    def put(self, length_m: float, lengthening_mps: float) -> None:
        self.coordinate.setValue(self.state, float(length_m), False)
        self.coordinate.setSpeedValue(self.state, float(lengthening_mps))
        self.model.realizeVelocity(self.state)


def on_a_slider(
    opensim: ModuleType, kind: str, *, length_m: Any = None, excitation: Any = None, **properties: Any
) -> Slider:
    """A muscle of the OpenSim class `kind` with the given properties.

    length_m, excitation: OpenSim functions of time that prescribe them.
    """
    model = opensim.Model()
    model.setGravity(opensim.Vec3(0))
    body = opensim.Body("block", 1.0, opensim.Vec3(0), opensim.Inertia(1, 1, 1))
    model.addBody(body)
    joint = opensim.SliderJoint("slide", model.getGround(), body)
    coordinate = joint.updCoordinate()
    coordinate.setName("x")
    if length_m is not None:
        coordinate.setPrescribedFunction(length_m)
        coordinate.setDefaultIsPrescribed(True)
    model.addJoint(joint)
    muscle = getattr(opensim, kind)()
    muscle.setName("m")
    for name, value in properties.items():
        getattr(muscle, f"set_{name}")(value)
    muscle.addNewPathPoint("origin", model.updGround(), opensim.Vec3(0))
    muscle.addNewPathPoint("insertion", body, opensim.Vec3(0))
    model.addForce(muscle)
    if excitation is not None:
        controller = opensim.PrescribedController()
        controller.addActuator(muscle)
        controller.prescribeControlForActuator("m", excitation)
        model.addController(controller)
    model.finalizeConnections()
    return Slider(model, model.initSystem(), coordinate, muscle)


def random_muscles(
    count: int,
    seed: int,
    mode: MuscleMode = MuscleMode.CORRECT,
    curves: str = "degroote2016",
    parameters: Sequence[CurveParameters] | None = None,
) -> HillMuscles:
    """Muscles as different as those of a leg, all in one array.

    parameters: the curves of each; None: the default ones of the family `curves`.
    """
    rng = np.random.default_rng(seed)
    optimal = rng.uniform(0.03, 0.2, count)
    return replace(
        HillMuscles.of(load_model("leg9"), mode),
        curves=curves_of(parameters or [CurveParameters(curves)]),
        max_force_n=rng.uniform(100.0, 6000.0, count),
        optimal_length_m=optimal,
        slack_length_m=optimal * np.exp(rng.uniform(np.log(0.5), np.log(8.0), count)),
        height_m=optimal * np.sin(rng.uniform(0.0, 0.5, count)),
        max_velocity=rng.uniform(8.0, 15.0, count),
    )


_RANGES = {
    "degroote2016": {"active_width_scale": (1.0, 1.6), "passive_strain": (0.3, 0.9), "tendon_strain": (0.02, 0.1)},
    "thelen2003": {
        "active_width": (0.3, 0.7),
        "passive_shape": (3.0, 6.0),
        "passive_strain": (0.3, 0.9),
        "force_velocity_shape": (0.15, 0.5),
        "max_lengthening_force": (1.2, 1.9),
        "tendon_strain": (0.02, 0.1),
    },
    "millard2013": {
        "active_min_length": (0.2, 0.5),
        "active_transition_length": (0.7, 0.8),
        "active_max_length": (1.6, 2.0),
        "active_slope": (0.6, 0.9),
        "passive_slack_strain": (-0.2, 0.1),
        "passive_strain": (0.4, 0.9),
        "passive_low_stiffness": (0.1, 0.5),
        "passive_relative_stiffness": (1.5, 3.0),
        "passive_curviness": (0.4, 1.0),
        "concentric_slope": (0.0, 0.0),  # OpenSim's damped or rigid muscle takes no other
        "concentric_near_slope": (0.15, 0.4),
        "isometric_slope": (3.0, 6.0),
        "eccentric_slope": (0.0, 0.0),
        "eccentric_near_slope": (0.12, 0.19),
        "max_lengthening_force": (1.2, 1.9),
        "concentric_curviness": (0.3, 0.9),
        "eccentric_curviness": (0.3, 0.9),
        "tendon_strain": (0.02, 0.1),
    },
}


def random_parameters(family: str, count: int, seed: int) -> list[CurveParameters]:
    """Curves of a family as different as muscles may have them."""
    rng = np.random.default_rng(seed)
    return [
        CurveParameters(family, {name: float(rng.uniform(*ends)) for name, ends in _RANGES[family].items()})
        for _ in range(count)
    ]


def opensim_properties(opensim: ModuleType, parameters: CurveParameters) -> dict[str, Any]:
    """The curves of a muscle under OpenSim's names, for `on_a_slider`."""
    p = parameters.values
    if parameters.family == "degroote2016":
        return {
            "active_force_width_scale": p["active_width_scale"],
            "passive_fiber_strain_at_one_norm_force": p["passive_strain"],
            "tendon_strain_at_one_norm_force": p["tendon_strain"],
        }
    if parameters.family == "thelen2003":
        return {
            "KshapeActive": p["active_width"],
            "KshapePassive": p["passive_shape"],
            "FmaxMuscleStrain": p["passive_strain"],
            "Af": p["force_velocity_shape"],
            "Flen": p["max_lengthening_force"],
            "FmaxTendonStrain": p["tendon_strain"],
        }
    tendon = opensim.TendonForceLengthCurve()
    tendon.setStrainAtOneNormForce(p["tendon_strain"])
    return {
        "ActiveForceLengthCurve": opensim.ActiveForceLengthCurve(
            p["active_min_length"],
            p["active_transition_length"],
            p["active_max_length"],
            p["active_slope"],
            p["active_min_force"],
        ),
        "FiberForceLengthCurve": opensim.FiberForceLengthCurve(
            p["passive_slack_strain"],
            p["passive_strain"],
            p["passive_low_stiffness"],
            p["passive_relative_stiffness"] / (p["passive_strain"] - p["passive_slack_strain"]),
            p["passive_curviness"],
        ),
        "ForceVelocityCurve": opensim.ForceVelocityCurve(
            p["concentric_slope"],
            p["concentric_near_slope"],
            p["isometric_slope"],
            p["eccentric_slope"],
            p["eccentric_near_slope"],
            p["max_lengthening_force"],
            p["concentric_curviness"],
            p["eccentric_curviness"],
        ),
        "TendonForceLengthCurve": tendon,
    }


def each(muscles: HillMuscles) -> Iterator[dict[str, float]]:
    """The properties of every muscle under OpenSim's names."""
    for i in range(len(muscles.max_force_n)):
        yield {
            "max_isometric_force": float(muscles.max_force_n[i]),
            "optimal_fiber_length": float(muscles.optimal_length_m[i]),
            "tendon_slack_length": float(muscles.slack_length_m[i]),
            "pennation_angle_at_optimal": float(np.arcsin(muscles.height_m[i] / muscles.optimal_length_m[i])),
            "max_contraction_velocity": float(muscles.max_velocity[i]),
        }


OPENSIM_CLASS = {
    "degroote2016": "DeGrooteFregly2016Muscle",
    "millard2013": "Millard2012EquilibriumMuscle",
    "thelen2003": "Thelen2003Muscle",
}


@dataclass(frozen=True)
class Paths:
    """Random fibres and the lengths and speeds of muscle and tendon that they make; arrays (states, muscles)."""

    fiber_length: np.ndarray  # in optimal fibre lengths
    fiber_velocity: np.ndarray  # in maximal contraction velocities
    tendon_length: np.ndarray  # in slack lengths
    length_m: np.ndarray
    lengthening_mps: np.ndarray  # at a constant tendon length


def random_paths(muscles: HillMuscles, states: int, seed: int, *, tendon_strain: float = 0.0) -> Paths:
    """tendon_strain: the largest of the random ones."""
    rng = np.random.default_rng(seed)
    shape = (states, len(muscles.max_force_n))
    fiber, velocity = rng.uniform(0.5, 1.6, shape), rng.uniform(-1.0, 1.0, shape)
    cosine = np.sqrt(1.0 - (muscles.height_m / muscles.optimal_length_m / fiber) ** 2)
    tendon = 1.0 + rng.uniform(0.0, tendon_strain, shape)
    return Paths(
        fiber_length=fiber,
        fiber_velocity=velocity,
        tendon_length=tendon,
        length_m=muscles.slack_length_m * tendon + fiber * muscles.optimal_length_m * cosine,
        lengthening_mps=velocity * muscles.max_velocity * muscles.optimal_length_m / cosine,
    )
