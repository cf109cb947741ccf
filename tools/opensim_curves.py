"""The force curves of OpenSim's muscles as parameters of `edge.msk.curves`."""

from __future__ import annotations

from typing import Any

from edge.msk.curves import CurveParameters, read_curve_parameters
from edge.msk.json_reader import Reader

_THELEN = {
    "active_width": "KshapeActive",
    "passive_shape": "KshapePassive",
    "passive_strain": "FmaxMuscleStrain",
    "force_velocity_shape": "Af",
    "max_lengthening_force": "Flen",
    "tendon_strain": "FmaxTendonStrain",
}
_DEGROOTE = {
    "active_width_scale": "active_force_width_scale",
    "passive_strain": "passive_fiber_strain_at_one_norm_force",
    "tendon_strain": "tendon_strain_at_one_norm_force",
}
_MILLARD = {
    "ActiveForceLengthCurve": {
        "active_min_length": "getMinActiveFiberLength",
        "active_transition_length": "getTransitionFiberLength",
        "active_max_length": "getMaxActiveFiberLength",
        "active_slope": "getShallowAscendingSlope",
        "active_min_force": "getMinValue",
    },
    "FiberForceLengthCurve": {
        "passive_slack_strain": "getStrainAtZeroForce",
        "passive_strain": "getStrainAtOneNormForce",
        "passive_low_stiffness": "getStiffnessAtLowForceInUse",
        "passive_curviness": "getCurvinessInUse",
    },
    "ForceVelocityCurve": {
        "concentric_slope": "getConcentricSlopeAtVmax",
        "concentric_near_slope": "getConcentricSlopeNearVmax",
        "isometric_slope": "getIsometricSlope",
        "eccentric_slope": "getEccentricSlopeAtVmax",
        "eccentric_near_slope": "getEccentricSlopeNearVmax",
        "max_lengthening_force": "getMaxEccentricVelocityForceMultiplier",
        "concentric_curviness": "getConcentricCurviness",
        "eccentric_curviness": "getEccentricCurviness",
    },
    "TendonForceLengthCurve": {"tendon_strain": "getStrainAtOneNormForce"},
}
_DIGITS = 12  # of a number that is not stored in the model but follows from others


def curve_parameters(osim: Any, muscle: Any, where: str) -> CurveParameters | None:
    """The curves of a muscle of an initialised OpenSim model; None for a class whose curves are not among ours.

    osim: the module; where: names the muscle in messages. Of a damped muscle OpenSim changes some of Millard's parameters
    when it initialises the model: those are the ones in use. Raises ModelError for values with which no curve can be made.
    """
    kind = str(muscle.getConcreteClassName())
    if kind == "Thelen2003Muscle":
        theirs = osim.Thelen2003Muscle.safeDownCast(muscle)
        values = {ours: float(getattr(theirs, f"get_{name}")()) for ours, name in _THELEN.items()}
        family = "thelen2003"
    elif kind == "DeGrooteFregly2016Muscle":
        theirs = osim.DeGrooteFregly2016Muscle.safeDownCast(muscle)
        values = {ours: float(getattr(theirs, f"get_{name}")()) for ours, name in _DEGROOTE.items()}
        family = "degroote2016"
    elif kind == "Millard2012EquilibriumMuscle":
        theirs = osim.Millard2012EquilibriumMuscle.safeDownCast(muscle)
        values = {
            ours: float(getattr(getattr(theirs, f"get_{curve}")(), getter)())
            for curve, getters in _MILLARD.items()
            for ours, getter in getters.items()
        }
        stiffness = theirs.get_FiberForceLengthCurve().getStiffnessAtOneNormForceInUse()
        span = values["passive_strain"] - values["passive_slack_strain"]
        values["passive_relative_stiffness"] = round(float(stiffness) * span, _DIGITS)
        family = "millard2013"
    else:
        return None
    return read_curve_parameters(Reader(f"{where}: curves", {"family": family, **values}))
