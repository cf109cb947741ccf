"""What the real OpenSim says of a trial: the oracle of the physics tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import opensim

FloatArray = npt.NDArray[np.float64]

opensim.Logger.setLevelString("Error")


@dataclass(frozen=True)
class Storage:
    time_s: FloatArray
    columns: dict[str, FloatArray]


def read(path: Path) -> Storage:
    table = opensim.TimeSeriesTable(str(path))
    data = table.getMatrix().to_numpy()
    return Storage(
        np.array(table.getIndependentColumn()), {n: data[:, i] for i, n in enumerate(table.getColumnLabels())}
    )


def inverse_dynamics(model: Path, kinematics: Path, loads: Path, out: Path) -> Storage:
    """OpenSim's InverseDynamicsTool with its 6 Hz filter over the whole trial."""
    tool = opensim.InverseDynamicsTool()
    tool.setModelFileName(str(model))
    tool.setCoordinatesFileName(str(kinematics))
    tool.setExternalLoadsFileName(str(loads))
    tool.setLowpassCutoffFrequency(6.0)
    times = read(kinematics).time_s  # beyond them OpenSim would go on into its own padding
    tool.setStartTime(float(times[0]))
    tool.setEndTime(float(times[-1]))
    excluded = opensim.ArrayStr()
    excluded.append("Muscles")
    tool.setExcludedForces(excluded)
    tool.setResultsDir(str(out))
    tool.setOutputGenForceFileName("id.sto")
    tool.run()
    return read(out / "id.sto")


def static_optimisation(model_file: Path, kinematics: Path, loads: Path, out: Path) -> tuple[Storage, Storage]:
    """OpenSim's StaticOptimization: activations and forces. Residuals at the pelvis are free, leg reserves cost 1 per Nm."""
    model = opensim.Model(str(model_file))
    free = ("pelvis", "lumbar", "arm", "elbow", "pro_sup", "wrist")
    for coordinate in list(model.getCoordinateSet()):
        name = coordinate.getName()
        actuator = opensim.CoordinateActuator(name)
        actuator.setName(f"{name}_reserve")
        actuator.setOptimalForce(1000.0 if name.startswith(free) else 1.0)
        actuator.setMinControl(-np.inf)
        actuator.setMaxControl(np.inf)
        model.addForce(actuator)
        actuator.this.disown()
    model.finalizeConnections()
    prepared = out / "with_reserves.osim"
    model.printToXML(str(prepared))

    model = opensim.Model(str(prepared))
    model.initSystem()
    tool = opensim.AnalyzeTool()
    tool.setName("so")
    tool.setModel(model)
    tool.setModelFilename(str(prepared))
    tool.setCoordinatesFileName(str(kinematics))
    tool.setLowpassCutoffFrequency(6.0)
    tool.setExternalLoadsFileName(str(loads))
    tool.setResultsDir(str(out))
    tool.setReplaceForceSet(False)
    times = read(kinematics).time_s
    tool.setStartTime(float(times[0]))
    tool.setFinalTime(float(times[-1]))
    analysis = opensim.StaticOptimization()
    analysis.setStartTime(float(times[0]))
    analysis.setEndTime(float(times[-1]))
    analysis.setStepInterval(1)
    analysis.setUseModelForceSet(True)
    analysis.setUseMusclePhysiology(True)
    analysis.setActivationExponent(2)
    analysis.setConvergenceCriterion(1e-4)
    analysis.setMaxIterations(100)
    tool.updAnalysisSet().cloneAndAppend(analysis)
    setup = out / "so_setup.xml"
    tool.printToXML(str(setup))
    tool = opensim.AnalyzeTool(str(setup), True)
    tool.run()
    return read(out / "so_StaticOptimization_activation.sto"), read(out / "so_StaticOptimization_force.sto")
