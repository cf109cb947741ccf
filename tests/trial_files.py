"""Recordings made up for tests: a leg that swings and stands, with the files OpenSim would have."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ANGLES = {
    "pelvis_tilt": (2.0, 3.0),
    "hip_flexion_r": (10.0, 25.0),
    "knee_angle_r": (-30.0, 25.0),
    "ankle_angle_r": (0.0, 12.0),
}
ANGLES |= {name.replace("_r", "_l"): v for name, v in list(ANGLES.items()) if name.endswith("_r")}

LOADS = """<?xml version="1.0" encoding="UTF-8"?>
<OpenSimDocument Version="30000"><ExternalLoads name="loads"><objects>
<ExternalForce name="foot"><isDisabled>false</isDisabled>
<applied_to_body>calcn_{side}</applied_to_body>
<force_expressed_in_body>ground</force_expressed_in_body><point_expressed_in_body>ground</point_expressed_in_body>
<force_identifier>force_v</force_identifier><point_identifier>force_p</point_identifier>
<torque_identifier>torque_</torque_identifier></ExternalForce>
</objects><datafile>grf.mot</datafile></ExternalLoads></OpenSimDocument>
"""


def table(columns: dict[str, np.ndarray], *, degrees: str | None = "yes") -> str:
    rows = np.stack(list(columns.values()), axis=1)
    head = f"made up\nversion=1\nnRows={len(rows)}\nnColumns={len(columns)}\n"
    head += f"inDegrees={degrees}\n" if degrees else ""
    body = "\n".join("\t".join(f"{v:.9g}" for v in row) for row in rows)
    return head + "endheader\n" + "\t".join(columns) + "\n" + body + "\n"


def kinematics(seconds: float = 1.0, rate_hz: float = 100.0) -> dict[str, np.ndarray]:
    """Columns of a made-up walk, angles in degrees."""
    t = np.arange(round(seconds * rate_hz) + 1) / rate_hz
    columns = {"time": t}
    for i, (name, (middle, size)) in enumerate(ANGLES.items()):
        columns[name] = middle + size * np.sin(2 * np.pi * t + i)
    columns["pelvis_tx"] = 1.2 * t
    columns["pelvis_ty"] = 0.95 + 0.02 * np.sin(4 * np.pi * t)
    return columns


def ground_reaction(seconds: float = 1.0, rate_hz: float = 500.0) -> dict[str, np.ndarray]:
    """A foot on the ground from 0.2 to 0.8 s; in the air the place of application is not a number."""
    t = np.arange(round(seconds * rate_hz) + 1) / rate_hz
    on = (t > 0.2) & (t < 0.8)
    push = np.where(on, np.sin((t - 0.2) / 0.6 * np.pi), 0.0)
    air = np.where(on, 0.0, np.nan)
    zero = np.zeros_like(t)
    return {
        "time": t,
        "force_vx": 100.0 * push * np.cos(5 * t), "force_vy": 700.0 * push, "force_vz": zero,
        "force_px": 1.2 * t + 0.05 + air, "force_py": zero + air, "force_pz": zero,
        "torque_x": zero, "torque_y": zero, "torque_z": 2.0 * push,
    }  # fmt: skip


def write_trial(folder: Path, *, side: str = "r", toml_extra: str = "") -> Path:
    """A complete trial in `folder`: ik.mot, grf.mot, loads.xml and trials.toml, whose path is returned."""
    (folder / "ik.mot").write_text(table(kinematics()))
    (folder / "grf.mot").write_text(table(ground_reaction(), degrees=None))
    (folder / "loads.xml").write_text(LOADS.format(side=side))
    trials = folder / "trials.toml"
    trials.write_text(
        '[[trial]]\nkinematics = "ik.mot"\nground_reaction = "grf.mot"\nexternal_loads = "loads.xml"\n'
        f'side = "{side}"\n{toml_extra}\n'
    )
    return trials
