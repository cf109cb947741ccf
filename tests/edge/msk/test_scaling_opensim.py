"""Scaling against OpenSim's own: random factors, and the twelve people of `walk_12` with their own scale sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edge.msk.model import Model, load_model
from edge.msk.scaling import scale_segments, scale_uniformly
from edge.scale_set import part_factors, read_scale_set
from tools.import_opensim import import_limb
from tools.limbs import LIMBS
from tools.opensim_limb import OpenSimLimb
from tools.segment_shares import bodies_of_parts

GENERIC = {
    "gait2392": ("treadmill_speeds/gait2392_generic.osim", "leg43"),
    "rajagopal": ("walk_12/rajagopal2016_generic.osim", "leg32_rajagopal"),
}
PEOPLE = [
    "2014001", "2014004", "2014007", "2014014", "2014015", "2014019",
    "2014022", "2014025", "2014029", "2014030", "2014031", "2014048",
]  # fmt: skip
LEG = LIMBS["leg"]
Factors = Mapping[str, Sequence[float]]


def random_factors(seed: int, parts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    rng = np.random.default_rng(seed)
    return {part: tuple(rng.uniform(0.9, 1.1, 3).tolist()) for part in parts}


def scaled_in_opensim(
    opensim: ModuleType, path: Path, factors: Factors, out: Path, *, keep_distribution: bool, mass_kg: float
) -> Path:
    """The model with these factors of its bodies, as OpenSim's scale tool makes it."""
    model = opensim.Model(str(path))
    scales = opensim.ScaleSet()
    for body, three in factors.items():
        scale = opensim.Scale()
        scale.setSegmentName(body)
        scale.setScaleFactors(opensim.Vec3(*three))
        scale.setApply(True)
        scales.cloneAndAppend(scale)
    model.scale(model.initSystem(), scales, keep_distribution, mass_kg)
    model.printToXML(str(out))
    return out


def volume(factors: Sequence[float]) -> float:
    return float(np.prod(factors))


@pytest.mark.parametrize("side", ["r", "l"])
@pytest.mark.parametrize("keep_distribution", [True, False])
@pytest.mark.parametrize("generic", GENERIC)
def test_segments_with_random_factors(
    data: Path, opensim: ModuleType, tmp_path: Path, generic: str, keep_distribution: bool, side: str
) -> None:
    path = data / GENERIC[generic][0]
    model = import_limb(path, LEG, name="generic", side=side, muscles={})
    limb = OpenSimLimb(path, LEG, side)
    factors = random_factors(4, model.part_names)
    groups = bodies_of_parts(limb)
    bodies = {body: factors[part] for part, names in groups.items() for body in names if part != "pelvis"}
    # Where masses grow with their volumes ours takes the rest of the body to grow as the leg does on average.
    masses = np.array([s.mass_kg for s in model.segments])
    mean = float(masses @ [volume(factors[s.name]) for s in model.segments] / masses.sum())
    for body in groups["pelvis"]:
        bodies[body] = (mean ** (1 / 3),) * 3
    factors["pelvis"] = bodies["pelvis"]
    theirs = import_limb(
        scaled_in_opensim(
            opensim, path, bodies, tmp_path / "scaled.osim", keep_distribution=keep_distribution, mass_kg=83.0
        ),
        LEG,
        name="scaled",
        side=side,
        muscles={},
    )
    ours = scale_segments(model, factors, mass_kg=83.0, preserve_mass_distribution=keep_distribution)
    assert ours.mass_kg == pytest.approx(theirs.mass_kg, rel=1e-12)
    for mine, other in zip(ours.segments, theirs.segments, strict=True):
        assert mine.mass_kg == pytest.approx(other.mass_kg, rel=1e-9)
        assert mine.com_m == pytest.approx(other.com_m, abs=1e-5 if generic == "rajagopal" else 1e-12)
        assert mine.inertia_kg_m2 == pytest.approx(other.inertia_kg_m2, rel=1e-4 if generic == "rajagopal" else 1e-9)
    assert ours.base.links[0].offset_m == pytest.approx(theirs.base.links[0].offset_m, abs=1e-12)
    for joint, (mine, other) in enumerate(zip(ours.joints, theirs.joints, strict=True)):
        # Rajagopal's knee: the tibia's origin lies 8 mm off the joint, which OpenSim scales with the tibia.
        limit = 2e-3 if generic == "rajagopal" and joint == 1 else 1e-9
        np.testing.assert_allclose(mine.center.values, other.center.values, atol=limit)
    assert ours.leg_length_m == pytest.approx(theirs.leg_length_m, abs=5e-4 if generic == "rajagopal" else 1e-9)


def test_segments_of_twelve_people(data: Path, opensim: ModuleType) -> None:
    """Their authors kept the distribution of the mass. Their foot is three bodies of different factors."""
    path = data / GENERIC["rajagopal"][0]
    generic = import_limb(path, LEG, name="generic", muscles={})
    found = []
    for person in PEOPLE:
        folder = data / "walk_12" / person
        theirs = import_limb(folder / "model_without_muscles.osim", LEG, name=person, muscles={})
        factors = part_factors(read_scale_set(folder / "scale_set.xml"), generic.part_names, "r")
        ours = scale_segments(generic, factors, mass_kg=theirs.mass_kg)
        plain = scale_uniformly(generic, mass_kg=theirs.mass_kg, leg_length_m=theirs.leg_length_m)
        found.append([_segment_errors(model, theirs) for model in (ours, plain)])
    names = (
        "mass %",
        "leg mm",
        "hip mm",
        "knee mm",
        "ankle mm",
        *(f"{s} {q}" for s in LEG.segments for q in ("com mm", "inertia %")),
    )
    worst = np.array(found).max(axis=0)
    mean = np.array(found).mean(axis=0)
    for i, name in enumerate(names):
        print(
            f"{name:<16} worst {worst[0, i]:8.3f} mean {mean[0, i]:8.3f}   as a whole {worst[1, i]:8.3f} {mean[1, i]:8.3f}"
        )
    limits = dict.fromkeys(names, 1e-6) | {
        "leg mm": 0.6, "knee mm": 6.5, "thigh com mm": 0.02, "thigh inertia %": 0.03,
        "foot com mm": 9.0, "foot inertia %": 14.0,
    }  # fmt: skip
    for i, name in enumerate(names):
        assert worst[0, i] < limits[name], name


def _segment_errors(ours: Model, theirs: Model) -> list[float]:
    centers = [
        np.abs(a.center.values - b.center.values).max() * 1e3 for a, b in zip(ours.joints, theirs.joints, strict=True)
    ]
    centers[0] = np.abs(np.subtract(ours.base.links[0].offset_m, theirs.base.links[0].offset_m)).max() * 1e3
    segments = list(zip(ours.segments, theirs.segments, strict=True))
    return [
        max(abs(a.mass_kg / b.mass_kg - 1.0) for a, b in segments) * 1e2,
        abs(ours.leg_length_m - theirs.leg_length_m) * 1e3,
        *centers,
        *(
            error
            for a, b in segments
            for error in (
                float(np.abs(np.subtract(a.com_m, b.com_m)).max()) * 1e3,
                abs(a.inertia_kg_m2 / b.inertia_kg_m2 - 1.0) * 1e2,
            )
        ),
    ]


@dataclass(frozen=True)
class MuscleErrors:
    """Of every muscle (n_muscles,): RMS of length and moment arms (mm), optimal fibre and tendon slack length (%)."""

    length_mm: np.ndarray
    arm_mm: np.ndarray
    fibre_percent: np.ndarray
    tendon_percent: np.ndarray

    def __str__(self) -> str:
        return "   ".join(
            f"{name} {np.median(values):6.3f} {values.max():6.2f}"
            for name, values in (
                ("length mm", self.length_mm),
                ("arm mm", self.arm_mm),
                ("l_o %", self.fibre_percent),
                ("l_ts %", self.tendon_percent),
            )
        )


def muscle_errors(model: Model, limb: OpenSimLimb, q: np.ndarray) -> MuscleErrors:
    length, arms = model.geometry.evaluate(q)
    suffix = limb.limb.suffix.format(side=limb.side)
    found = []
    for i, muscle in enumerate(model.muscles):
        theirs = limb.model.getMuscles().get(muscle.name + suffix)
        crossed = [model.coordinate_names.index(a) for a in muscle.length.angles]
        true_length, true_arms = limb.path_samples(theirs, q, crossed)
        found.append(
            (
                np.sqrt(((length[:, i] - true_length) ** 2).mean()) * 1e3,
                np.sqrt(((arms[:, i][:, crossed] - true_arms) ** 2).mean()) * 1e3,
                abs(muscle.optimal_fiber_length_m / theirs.getOptimalFiberLength() - 1.0) * 1e2,
                abs(muscle.tendon_slack_length_m / theirs.getTendonSlackLength() - 1.0) * 1e2,
            )
        )
    return MuscleErrors(*np.array(found).T)


@pytest.mark.parametrize("generic", GENERIC)
def test_muscles(data: Path, opensim: ModuleType, generic: str) -> None:
    """Random factors of 10 %, and three of the twelve people: median and worst muscle, by shares and as a whole."""
    path, name = data / GENERIC[generic][0], GENERIC[generic][1]
    model = load_model(name)
    limb = OpenSimLimb(path, LEG, "r", [o.name for o in model.outside])
    groups = bodies_of_parts(limb)
    low, high = limb.limits()
    q = low + np.random.default_rng(6).random((40, len(low))) * (high - low)
    cases: dict[str, Factors] = {f"random {i}": random_factors(i, model.part_names) for i in range(2)}
    for person in ("2014004", "2014015", "2014029"):
        scales = read_scale_set(data / "walk_12" / person / "scale_set.xml")
        cases[person] = part_factors(scales, model.part_names, "r")
    for case, factors in cases.items():
        stretched = limb.stretched({body: factors[part] for part, bodies in groups.items() for body in bodies})
        ours = scale_segments(model, factors)
        by_shares = muscle_errors(ours, stretched, q)
        whole = muscle_errors(scale_uniformly(model, leg_length_m=ours.leg_length_m), stretched, q)
        print(f"{name} {case:<9} by shares {by_shares}\n{'':<{len(name)}} {'':<9} as a whole {whole}")
        wild = (
            1.0 if case.startswith("random") else 6.0
        )  # pelves less high and wider by a quarter, thighs thicker by a third
        assert np.median(by_shares.length_mm) < 0.4 * wild
        assert np.median(by_shares.arm_mm) < 0.4 * wild
        assert by_shares.fibre_percent.max() < 2.0 * wild
        assert by_shares.tendon_percent.max() < 2.0 * wild
        assert np.median(by_shares.length_mm) < 0.25 * np.median(whole.length_mm)
        assert np.median(by_shares.arm_mm) < 0.5 * np.median(whole.arm_mm)
        assert np.median(by_shares.fibre_percent) < 0.25 * np.median(whole.fibre_percent)


@pytest.mark.parametrize(
    ("osim", "limb_name", "name"),
    [("arm26_elbow/model.osim", "elbow", "elbow6"), ("treadmill_speeds/gait2392_generic.osim", "knee", "knee13")],
)
def test_muscles_of_other_limbs(data: Path, opensim: ModuleType, osim: str, limb_name: str, name: str) -> None:
    model = load_model(name)
    limb = OpenSimLimb(data / osim, LIMBS[limb_name])
    groups = bodies_of_parts(limb)
    low, high = limb.limits()
    q = low + np.random.default_rng(6).random((40, len(low))) * (high - low)
    for seed in range(2):
        factors = random_factors(seed, model.part_names)
        stretched = limb.stretched({body: factors[part] for part, bodies in groups.items() for body in bodies})
        ours = scale_segments(model, factors)
        by_shares = muscle_errors(ours, stretched, q)
        alike = dict.fromkeys(model.part_names, ours.leg_length_m / model.leg_length_m)
        whole = muscle_errors(scale_segments(model, alike), stretched, q)
        print(f"{name} by shares {by_shares}\n{'':<{len(name)}} as a whole {whole}")
        assert np.median(by_shares.length_mm) < min(0.4, 0.25 * np.median(whole.length_mm))
        assert np.median(by_shares.arm_mm) < min(0.4, 0.6 * np.median(whole.arm_mm))
        assert by_shares.fibre_percent.max() < 0.5
