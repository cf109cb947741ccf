"""Makes the muscle models that come with the program from the OpenSim models they stand for.

    python -m tools.package_models FOLDER [NAME ...]

FOLDER holds the OpenSim models as the table below names them (the layout of EDGE_MSK_DATA).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click

from edge.msk.model import model_path
from edge.storage import write_text
from tools.import_opensim import import_limb, muscle_names
from tools.limbs import LIMBS

_GAIT10 = "gait10_walk/model.osim"
_GAIT2392 = "treadmill_speeds/gait2392_generic.osim"
_RAJAGOPAL = "walk_12/rajagopal2016_generic.osim"
_ARM26 = "arm26_elbow/model.osim"
_WRIST = "wrist_emg/wrist.osim"

_CC_BY_3 = "CC BY 3.0"
_NOT_STATED = "none stated in the file"

# Ma et al. 2025, multi-joint framework: the muscles of their walking leg.
_LEG10 = "psoas rect_fem bifemlh semimem iliacus vas_int vas_lat vas_med lat_gas med_gas"
_HIP_2392 = (
    "glut_med1 glut_med2 glut_med3 glut_min1 glut_min2 glut_min3 semimem semiten bifemlh bifemsh sar add_long add_brev "
    "add_mag1 add_mag2 add_mag3 tfl pect grac glut_max1 glut_max2 glut_max3 iliacus psoas"
)
_SHANK_2392 = "rect_fem vas_med vas_int vas_lat med_gas lat_gas soleus tib_ant"
_HIP_RAJAGOPAL = (
    "addbrev addlong addmagDist addmagIsch addmagMid addmagProx bflh bfsh glmax1 glmax2 glmax3 glmed1 glmed2 glmed3 "
    "glmin1 glmin2 glmin3 grac iliacus psoas sart semimem semiten tfl"
)
_SHANK_RAJAGOPAL = "gaslat gasmed recfem soleus tibant vasint vaslat vasmed"
# Without a torque row, but the hip's moment arms are wrong by millimetres where it is turned and that is not known.
_TURNS = ("hip_rotation", "subtalar")
# Rajagopal's paths have no jumps there.
_WIDE = {"hip_adduction": (-25.0, 25.0), "hip_rotation": (-25.0, 25.0), "subtalar": (-25.0, 25.0)}
_ELBOW5 = "TRIlong TRIlat TRImed BIClong BICshort"


@dataclass(frozen=True)
class Recipe:
    """What of which OpenSim model makes a packaged model."""

    osim: str
    limb: str
    licence: str
    muscles: str | None = None
    rows: tuple[str, ...] = ()
    angles: tuple[str, ...] = ()
    ranges_deg: Mapping[str, tuple[float, float]] = field(default_factory=dict)


RECIPES = {
    "leg9": Recipe(_GAIT10, "leg", _CC_BY_3),
    "leg10": Recipe(_GAIT2392, "leg", _CC_BY_3, _LEG10),
    "leg32": Recipe(_GAIT2392, "leg", _CC_BY_3, f"{_HIP_2392} {_SHANK_2392}", ("hip_adduction",), _TURNS),
    "leg32_rajagopal": Recipe(
        _RAJAGOPAL, "leg", _NOT_STATED, f"{_HIP_RAJAGOPAL} {_SHANK_RAJAGOPAL}", ("hip_adduction",), _TURNS, _WIDE
    ),
    "leg43": Recipe(_GAIT2392, "leg", _CC_BY_3, None, ("hip_adduction", "hip_rotation", "subtalar")),
    "knee5": Recipe(_GAIT2392, "knee", _CC_BY_3, "bifemlh bifemsh semiten med_gas lat_gas"),
    "knee13": Recipe(_GAIT2392, "knee", _CC_BY_3),
    "elbow5": Recipe(_ARM26, "elbow", _CC_BY_3, _ELBOW5),
    "elbow6": Recipe(_ARM26, "elbow", _CC_BY_3, f"{_ELBOW5} BRA"),
    "wrist5": Recipe(_WRIST, "wrist", _NOT_STATED, "FCR FCU ECRL ECRB ECU=ECU_pre-surgery"),
}


def _fitted(name: str, muscle: str) -> None:
    click.echo(f"{name}: fitted {muscle}", err=True)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1, type=click.Choice(list(RECIPES)))
def main(folder: Path, names: tuple[str, ...]) -> None:
    """Make the packaged models NAMES (default: all) from the OpenSim models in FOLDER."""
    for name in names or RECIPES:
        recipe = RECIPES[name]
        model = import_limb(
            folder / recipe.osim,
            LIMBS[recipe.limb],
            name=name,
            rows=recipe.rows,
            angles=recipe.angles,
            ranges_rad={
                name: (math.radians(low), math.radians(high)) for name, (low, high) in recipe.ranges_deg.items()
            },
            muscles=muscle_names(recipe.muscles),
            licence=recipe.licence,
            progress=partial(_fitted, name),
        )
        write_text(model_path(name), model.to_json())


if __name__ == "__main__":
    sys.exit(main())
