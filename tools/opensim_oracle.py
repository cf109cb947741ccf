"""What the real OpenSim says of a trial: the oracle of the physics tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tools.opensim_module import load_opensim

opensim = load_opensim("comparisons with OpenSim")

FloatArray = npt.NDArray[np.float64]

CUTOFF_HZ = 6.0
CONVERGENCE = 1e-8  # at OpenSim's default 1e-4 its optimiser stops with activations that are wrong by 0.001
_SAME_S = 1e-6  # files hold eight decimals


@dataclass(frozen=True)
class Storage:
    time_s: FloatArray
    columns: dict[str, FloatArray]

    def stack(self, names: Sequence[str]) -> FloatArray:
        """The named columns, (rows, len(names))."""
        return np.stack([self.columns[n] for n in names], axis=1)

    def at(self, time_s: FloatArray) -> Storage:
        """The rows of these times, each of which must be one of the storage's own."""
        rows = np.abs(self.time_s[:, None] - time_s).argmin(axis=0)
        if np.abs(self.time_s[rows] - time_s).max() > _SAME_S:
            raise ValueError("a time that is none of the storage's own")
        return Storage(self.time_s[rows], {n: v[rows] for n, v in self.columns.items()})


def read(path: Path) -> Storage:
    table = opensim.TimeSeriesTable(str(path))
    data = table.getMatrix().to_numpy()
    return Storage(
        np.array(table.getIndependentColumn()), {n: data[:, i] for i, n in enumerate(table.getColumnLabels())}
    )


def inverse_dynamics(
    model: Path,
    kinematics: Path,
    loads: Path | None,
    out: Path,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Storage:
    """OpenSim's InverseDynamicsTool with its 6 Hz filter, over the whole recording or from `start_s` to `end_s`."""
    tool = opensim.InverseDynamicsTool()
    tool.setModelFileName(str(model))
    tool.setCoordinatesFileName(str(kinematics))
    if loads is not None:
        tool.setExternalLoadsFileName(str(loads))
    tool.setLowpassCutoffFrequency(CUTOFF_HZ)
    start, end = _range(kinematics, start_s, end_s)
    tool.setStartTime(start)
    tool.setEndTime(end)
    excluded = opensim.ArrayStr()
    excluded.append("Muscles")
    tool.setExcludedForces(excluded)
    tool.setResultsDir(str(out))
    tool.setOutputGenForceFileName("id.sto")
    tool.run()
    return read(out / "id.sto")


def by_coordinate(forces: Storage) -> Storage:
    """Generalised forces of inverse dynamics with the columns named by coordinate alone."""
    return Storage(
        forces.time_s, {n.removesuffix("_moment").removesuffix("_force"): v for n, v in forces.columns.items()}
    )


def leg_reserve_nm(coordinate: str) -> float:
    """Optimal force of a coordinate's reserve when both legs have their muscles: residuals are free, a leg's cost 1 per Nm."""
    free = ("pelvis", "lumbar", "arm", "elbow", "pro_sup", "wrist")
    return 1000.0 if coordinate.startswith(free) else 1.0


def static_optimisation(
    model_file: Path,
    kinematics: Path,
    loads: Path | None,
    out: Path,
    *,
    reserve_nm: Callable[[str], float] = leg_reserve_nm,
    start_s: float | None = None,
    end_s: float | None = None,
    convergence: float = CONVERGENCE,
    every: int = 1,
) -> tuple[Storage, Storage]:
    """OpenSim's StaticOptimization with the exponent 2: activations and forces.

    Every free coordinate gets a reserve whose optimal force is `reserve_nm` of its name: a reserve torque of that size
    costs as much as one full activation. `every` = 5 solves every fifth frame.
    """
    model = opensim.Model(str(model_file))
    state = model.initSystem()
    for coordinate in [c for c in model.getCoordinateSet() if not c.isConstrained(state)]:
        name = coordinate.getName()
        actuator = opensim.CoordinateActuator(name)
        actuator.setName(f"{name}_reserve")
        actuator.setOptimalForce(reserve_nm(name))
        actuator.setMinControl(-np.inf)
        actuator.setMaxControl(np.inf)
        model.addForce(actuator)
        actuator.this.disown()
    model.finalizeConnections()
    prepared = out / "with_reserves.osim"
    model.printToXML(str(prepared))

    model = opensim.Model(str(prepared))  # kept until the tool has run: OpenSim does not own it
    model.initSystem()
    tool = opensim.AnalyzeTool()
    tool.setName("so")
    tool.setModel(model)
    tool.setModelFilename(str(prepared))
    tool.setCoordinatesFileName(str(kinematics))
    tool.setLowpassCutoffFrequency(CUTOFF_HZ)
    if loads is not None:
        tool.setExternalLoadsFileName(str(loads))
    tool.setResultsDir(str(out))
    tool.setReplaceForceSet(False)
    start, end = _range(kinematics, start_s, end_s)
    tool.setStartTime(start)
    tool.setFinalTime(end)
    analysis = opensim.StaticOptimization()
    analysis.setStartTime(start)
    analysis.setEndTime(end)
    analysis.setStepInterval(every)
    analysis.setUseModelForceSet(True)
    analysis.setUseMusclePhysiology(True)
    analysis.setActivationExponent(2)
    analysis.setConvergenceCriterion(convergence)
    analysis.setMaxIterations(200)
    tool.updAnalysisSet().cloneAndAppend(analysis)
    setup = out / "so_setup.xml"
    tool.printToXML(str(setup))
    tool = opensim.AnalyzeTool(str(setup), True)
    tool.run()
    return read(out / "so_StaticOptimization_activation.sto"), read(out / "so_StaticOptimization_force.sto")


def _range(kinematics: Path, start_s: float | None, end_s: float | None) -> tuple[float, float]:
    """The range asked for, or the whole recording: beyond it OpenSim would go on into its own padding."""
    if start_s is not None and end_s is not None:
        return start_s, end_s
    times = read(kinematics).time_s
    return float(times[0]) if start_s is None else start_s, float(times[-1]) if end_s is None else end_s
