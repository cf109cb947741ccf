"""The force curves of imported muscles, held to what OpenSim's static optimisation takes for their strength."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from muscle_on_a_slider import OPENSIM_CLASS, on_a_slider, opensim_properties, random_parameters

from edge.errors import ModelError
from edge.msk.curves import CurveParameters
from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import Model, model_from_dict
from tools.import_opensim import import_limb, muscle_names
from tools.limbs import LIMBS
from tools.opensim_curves import curve_parameters
from tools.opensim_limb import OpenSimLimb

# Limb, OpenSim model and muscles.
LIMBS_OF = {
    "gait10": ("leg", "gait10_walk/model.osim", "soleus bifemsh"),
    "gait2392": ("leg", "treadmill_speeds/gait2392_generic.osim", "soleus bifemsh vas_int"),
    "rajagopal": ("leg", "walk_12/rajagopal2016_generic.osim", "soleus bfsh glmax2"),
    "arm26": ("elbow", "arm26_elbow/model.osim", "BRA TRIlat BICshort"),
}
GAIT2392 = {
    "active_width": 0.5,
    "passive_shape": 4.0,
    "passive_strain": 0.6,
    "force_velocity_shape": 0.3,
    "max_lengthening_force": 1.8,
    "tendon_strain": 0.033,
}


@pytest.mark.parametrize("name", LIMBS_OF)
def test_compat_of_an_imported_model_is_opensim_s(name: str, data: Path, opensim: ModuleType) -> None:
    limb, file, wanted = LIMBS_OF[name]
    made = import_limb(data / file, LIMBS[limb], name=name, muscles=muscle_names(wanted))
    model = model_from_dict(made.to_dict(), name)
    assert model == made
    muscles = HillMuscles.of(model, MuscleMode.COMPAT)
    q, qd, length, lengthening, force = opensim_states(opensim, OpenSimLimb(data / file, LIMBS[limb]), model, 60)
    at_theirs = muscles.on_path(length, lengthening, np.empty((*length.shape, 0))).optimal_force_n
    at_ours = muscles.evaluate(q, qd).optimal_force_n
    exact = (np.abs(at_theirs - force) / muscles.max_force_n).max()
    rms = np.sqrt((((at_ours - force) / muscles.max_force_n) ** 2).mean(axis=0)).max()
    print(f"{name}: {exact:.1e} F_o at OpenSim's lengths, RMS {rms:.1e} F_o at our own")
    assert exact < 1e-6
    assert rms < 2e-3


def opensim_states(
    opensim: ModuleType, limb: OpenSimLimb, model: Model, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Random angles and rates, and OpenSim's lengths, speeds and forces of full activation of the model's muscles."""
    rng = np.random.default_rng(0)
    low, high = limb.limits()
    q, qd = low + rng.random((count, len(low))) * (high - low), rng.normal(scale=1.0, size=(count, len(low)))
    suffix = limb.limb.suffix.format(side="r")
    theirs = [limb.model.getMuscles().get(f"{m}{suffix}") for m in model.muscle_names]
    kinds = [getattr(opensim, m.getConcreteClassName()).safeDownCast(m) for m in theirs]
    found = np.empty((3, count, len(theirs)))
    for i in range(count):
        limb.set_angles(q[i])
        for coordinate, sign, rate in zip(limb.coordinates, limb.signs, qd[i], strict=True):
            coordinate.setSpeedValue(limb.state, float(sign * rate))
        limb.model.realizeVelocity(limb.state)
        for m, muscle in enumerate(kinds):
            found[:, i, m] = (
                muscle.getLength(limb.state),
                muscle.getLengtheningSpeed(limb.state),
                muscle.calcInextensibleTendonActiveFiberForce(limb.state, 1.0),
            )
    return q, qd, *found


@pytest.mark.parametrize("family", OPENSIM_CLASS)
def test_every_parameter_is_read(opensim: ModuleType, family: str) -> None:
    for wanted in (CurveParameters(family), *random_parameters(family, 3, seed=1)):
        slider = on_a_slider(opensim, OPENSIM_CLASS[family], **opensim_properties(opensim, wanted))
        found = curve_parameters(opensim, slider.muscle, "m")
        assert found is not None
        assert found.family == family
        assert set(found.values) == set(wanted.values)
        for name, value in wanted.values.items():
            assert found.values[name] == pytest.approx(value, rel=1e-11), name


def test_the_lower_limb_of_gait2392(data: Path, opensim: ModuleType) -> None:
    model = opensim.Model(str(data / "treadmill_speeds" / "gait2392_generic.osim"))
    model.initSystem()
    assert all(curve_parameters(opensim, m, "m") == CurveParameters("thelen2003", GAIT2392) for m in model.getMuscles())


def test_other_muscles_have_no_curves_of_ours(opensim: ModuleType) -> None:
    slider = on_a_slider(opensim, "RigidTendonMuscle")
    assert curve_parameters(opensim, slider.muscle, "m") is None


def test_values_that_make_no_curve_name_the_muscle(opensim: ModuleType) -> None:
    slider = on_a_slider(opensim, "Thelen2003Muscle", FmaxMuscleStrain=20.0)
    with pytest.raises(ModelError, match=r"a\.osim: muscle 'm': curves: `passive_strain` must be at most 10, found 20"):
        curve_parameters(opensim, slider.muscle, "a.osim: muscle 'm'")
