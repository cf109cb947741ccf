from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result
from drawn_text import badly_placed, texts
from hypothesis import given
from hypothesis import strategies as st

from edge.cli import cli
from edge.errors import TrialError
from edge.msk.model import Model, load_model, model_from_dict
from edge.storage import write_sto
from tools.plots.comparison import Agreement, common_times, compare, figures_text
from tools.plots.series import Channel, Quantity, Series, read_series
from tools.plots.sheet import Sheet, draw
from tools.plots.trial import draw_trial

FloatArray = npt.NDArray[np.float64]

LEG = load_model("leg9")
T = np.linspace(0.0, 1.0, 101)


def solved_columns(t: FloatArray = T) -> dict[str, FloatArray]:
    """As `edge-msk solve` writes them."""
    columns = {f"{j}_moment": 40.0 * np.sin(6.0 * t + i) for i, j in enumerate(LEG.joint_names)}
    columns |= {f"{m}_activation": 0.3 + 0.2 * np.sin(5.0 * t + i) for i, m in enumerate(LEG.muscle_names)}
    columns |= {f"{m}_force": 500.0 + 400.0 * np.sin(5.0 * t + i) for i, m in enumerate(LEG.muscle_names)}
    return columns | {f"{j}_reserve": np.full_like(t, 0.1) for j in LEG.joint_names}


def write(path: Path, columns: dict[str, FloatArray], t: FloatArray = T) -> Path:
    write_sto(path, "made up", list(columns), t, np.stack(list(columns.values()), axis=1))
    return path


@pytest.fixture
def solved(tmp_path: Path) -> Path:
    return write(tmp_path / "walk.sto", solved_columns())


def trial(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["plot", "trial", *map(str, arguments)])


def told(*arguments: object) -> Any:
    result = trial(*arguments, "--json", "--dpi", 60)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def shown(solved: Path, *references: Path, quantities: list[Quantity] | None = None, tmp_path: Path) -> Sheet:
    comparison = compare(
        read_series("ours", [solved], LEG, "r"),
        [read_series(path.name, [path], LEG, "r") for path in references],
        quantities,
        None,
        None,
        None,
    )
    return draw(lambda: draw_trial(comparison, free_scale=False, width_mm=183.0), tmp_path / "a.png", 60.0)


def test_all_that_was_solved_is_drawn(solved: Path, tmp_path: Path) -> None:
    figures = told("--solved", solved, "--out", tmp_path / "a.png")
    assert figures["panels"] == 3 + 9 + 9
    assert figures["period_s"] == [0.0, 1.0]
    assert figures["references"] == {}


@pytest.mark.parametrize(
    ("arguments", "panels"),
    [
        (["--torque"], 3),
        (["--activation"], 9),
        (["--torque", "--force"], 12),
        (["--force", "--muscles", "soleus,vasti"], 2),
        (["--muscles", "soleus"], 5),
    ],
)
def test_what_is_asked_for_is_drawn(arguments: list[str], panels: int, solved: Path, tmp_path: Path) -> None:
    assert told("--solved", solved, *arguments, "--out", tmp_path / "a.png")["panels"] == panels


def test_lines_are_the_columns_over_seconds(solved: Path, tmp_path: Path) -> None:
    sheet = shown(solved, quantities=[Quantity.TORQUE, Quantity.FORCE], tmp_path=tmp_path)
    columns = solved_columns()
    for block, names, kind in zip(sheet.axes, (LEG.row_names, LEG.muscle_names), ("moment", "force"), strict=True):
        for ax, name in zip(block, names, strict=True):
            lines = [ln for ln in ax.lines if len(np.asarray(ln.get_xdata())) == len(T)]
            np.testing.assert_allclose(np.asarray(lines[0].get_xdata()), T, atol=1e-9)
            np.testing.assert_allclose(np.asarray(lines[0].get_ydata()), columns[f"{name}_{kind}"], atol=1e-6)
            assert len(lines) == (2 if kind == "moment" else 1)  # with the reserve
            assert ax.get_xlim() == (0.0, 1.0)
    assert {ax.get_ylim() for ax in sheet.axes[1]} == {sheet.axes[1][0].get_ylim()}
    assert sheet.axes[1][0].get_ylim()[0] == 0.0


def test_figures_of_merit_by_hand_on_a_sparser_reference(solved: Path, tmp_path: Path) -> None:
    """Reference: the soleus's force less 30 N at every tenth of a second, then half of it in time."""
    t = np.linspace(0.5, 1.5, 11)  # of which 0.5 to 1.0 is common: 6 rows
    force = 500.0 + 400.0 * np.sin(5.0 * t + LEG.muscle_names.index("soleus"))
    reference = write(tmp_path / "so.sto", {"soleus_force": force - 30.0}, t)
    figures = told("--solved", solved, "--reference", reference, "--force", "--out", tmp_path / "a.png")
    inside = force[:6] - 30.0
    spread = ((inside - inside.mean()) ** 2).sum()
    expected = {"r2": 1.0 - 6 * 30.0**2 / spread, "rmse": 30.0, "active": True}
    found = figures["references"]["so.sto"]["force"]
    assert found["channels"] == {"soleus": pytest.approx(expected, rel=1e-5)}
    assert found["pooled"] == pytest.approx(expected, rel=1e-5)


def test_a_denser_reference_is_read_at_our_moments(solved: Path, tmp_path: Path) -> None:
    t = np.linspace(-1.0, 2.0, 3001)
    reference = write(tmp_path / "id.sto", {"knee_moment": 2.0 * t, "hip_moment": 3.0 * t}, t)
    linear = write(tmp_path / "line.sto", {"knee_moment": 2.0 * T + 1.0, "hip_moment": 3.0 * T - 2.0})
    figures = told("--solved", linear, "--reference", reference, "--out", tmp_path / "a.png")
    found = figures["references"]["id.sto"]["torque"]
    assert found["channels"]["knee"]["rmse"] == pytest.approx(1.0)
    assert found["channels"]["hip"]["rmse"] == pytest.approx(2.0)
    assert found["pooled"]["rmse"] == pytest.approx(np.sqrt((1.0 + 4.0) / 2.0))
    variance = np.var(T)
    assert found["pooled"]["r2"] == pytest.approx(1.0 - (1.0 + 4.0) / ((4.0 + 9.0) * variance))


def test_a_period_is_drawn_and_compared_alone(solved: Path, tmp_path: Path) -> None:
    columns = solved_columns()
    columns["knee_moment"] = columns["knee_moment"] + np.where(T > 0.6, 10.0, 0.0)
    reference = write(tmp_path / "late.sto", columns)
    arguments = ["--solved", solved, "--reference", reference, "--torque", "--out", tmp_path / "a.png"]
    whole, early = told(*arguments), told(*arguments, "--start-s", 0.2, "--end-s", 0.5)
    assert early["period_s"] == [0.2, 0.5]
    knees = [f["references"]["late.sto"]["torque"]["channels"]["knee"]["rmse"] for f in (whole, early)]
    assert knees == pytest.approx([np.sqrt(100.0 * 40 / 101), 0.0], abs=1e-6)


def test_a_muscle_at_rest_and_a_constant_reference(solved: Path, tmp_path: Path) -> None:
    columns = {"soleus_activation": 0.01 + 0.02 * T, "vasti_activation": np.full_like(T, 0.01)}
    reference = write(tmp_path / "rest.sto", columns)
    figures = told("--solved", solved, "--reference", reference, "--activation", "--out", tmp_path / "a.png")
    found = figures["references"]["rest.sto"]["activation"]["channels"]
    assert not found["soleus"]["active"]
    assert found["vasti"]["r2"] is None


def test_a_small_torque_is_not_at_rest(tmp_path: Path) -> None:
    solved = write(tmp_path / "a.sto", {"hip_moment": 100.0 * T, "knee_moment": T})
    reference = write(tmp_path / "b.sto", {"hip_moment": 101.0 * T, "knee_moment": 1.1 * T})
    figures = told("--solved", solved, "--reference", reference, "--out", tmp_path / "a.png")
    assert figures["references"]["b.sto"]["torque"]["channels"]["knee"]["active"]


def test_a_clock_that_counts_from_1970(tmp_path: Path) -> None:
    t = T + 1.7e9 + 0.25
    solved = write(tmp_path / "a.sto", solved_columns(), t)
    sheet = shown(solved, write(tmp_path / "b.sto", solved_columns(), t), tmp_path=tmp_path)
    assert badly_placed(sheet.figure) == []
    assert "time (s) after 1700000000 s" in {w.get_text() for w in texts(sheet.figure)}
    assert sheet.axes[0][0].get_xlim() == pytest.approx((0.25, 1.25))


def test_opensim_s_own_files_under_one_label(solved: Path, tmp_path: Path) -> None:
    ours = solved_columns()
    moments = {j.coordinate.format(side="r") + "_moment": ours[f"{j.name}_moment"] for j in LEG.joints}
    id_file = write(tmp_path / "id.sto", {"pelvis_tilt_moment": T, **moments})
    activation = write(tmp_path / "a.sto", {f"{m}_r": ours[f"{m}_activation"] for m in LEG.muscle_names})
    force = write(tmp_path / "f.sto", {f"{m}_r": ours[f"{m}_force"] for m in LEG.muscle_names} | {"FX": T})
    references = [v for f in (id_file, activation, force) for v in ("--reference", f"OpenSim={f}")]
    figures = told("--solved", f"edge-msk={solved}", *references, "--out", tmp_path / "a.svg")
    assert list(figures["references"]) == ["OpenSim"]
    found = figures["references"]["OpenSim"]
    assert list(found) == ["torque", "activation", "force"]
    for quantity in found.values():
        assert quantity["pooled"]["r2"] == pytest.approx(1.0)
    words = (tmp_path / "a.svg").read_text()
    assert "<!-- OpenSim -->" in words
    assert "<!-- edge-msk -->" in words


def test_several_references_each_have_their_line(solved: Path, tmp_path: Path) -> None:
    other = solved_columns()
    other["hip_moment"] = other["hip_moment"] + 5.0
    references = [write(tmp_path / "one.sto", solved_columns()), write(tmp_path / "two.sto", other)]
    sheet = shown(solved, *references, tmp_path=tmp_path)
    words = [t.get_text() for t in texts(sheet.figure)]
    assert "R² 1.0000, RMSE 0 Nm" in words
    assert any(w.endswith("RMSE 5 Nm") for w in words)
    assert badly_placed(sheet.figure) == []
    colours = {ln.get_color() for ln in sheet.axes[0][0].lines if len(np.asarray(ln.get_xdata())) == len(T)}
    assert len(colours) == 4  # ours, two references, reserve


def test_words_with_one_reference(solved: Path, tmp_path: Path) -> None:
    sheet = shown(solved, write(tmp_path / "id.sto", solved_columns()), tmp_path=tmp_path)
    assert badly_placed(sheet.figure) == []
    words = {t.get_text() for t in texts(sheet.figure)}
    assert {"torque (Nm)", "activation", "force (N)", "time (s)", "glut max", "id.sto", "reserve torque"} <= words


def flipped() -> Model:
    """A leg whose knee turns the other way in OpenSim, as in Rajagopal's."""
    content = LEG.to_dict()
    content["joints"][1]["sign"] = -1.0
    return model_from_dict(content, "flipped")


def test_names_and_signs_of_columns(tmp_path: Path) -> None:
    one = np.ones_like(T)
    names = {
        "knee_angle_r_moment": 1.0 * one, "hip_r_moment": 2.0 * one, "ankle_moment": 3.0 * one,
        "soleus_r_activation": 0.1 * one, "vasti_activation": 0.2 * one, "/forceset/gastroc_r/activation": 0.3 * one,
        "soleus_r_force": 10.0 * one, "vasti": 11.0 * one, "hamstrings_l": 99.0 * one,
    }  # fmt: skip
    channels = read_series("x", [write(tmp_path / "x.sto", names)], flipped(), "r").channels
    values = {q: {n: c.values[0] for n, c in named.items()} for q, named in channels.items()}
    assert values == {
        Quantity.TORQUE: {"hip": 2.0, "knee": -1.0, "ankle": 3.0},
        Quantity.ACTIVATION: pytest.approx({"soleus": 0.1, "vasti": 0.2, "gastroc": 0.3}),
        Quantity.FORCE: {"soleus": 10.0, "vasti": 11.0},
    }
    left = read_series("x", [tmp_path / "x.sto"], LEG, "l").channels
    assert set(left[Quantity.FORCE]) == {"hamstrings", "vasti"}


@pytest.mark.parametrize(("largest", "quantity"), [(1.0, Quantity.ACTIVATION), (1.6, Quantity.FORCE)])
def test_a_muscle_s_name_alone_is_an_activation_or_a_force_by_its_size(
    largest: float, quantity: Quantity, tmp_path: Path
) -> None:
    path = write(tmp_path / "x.sto", {"soleus_r": largest * T, "vasti_r": 0.1 * T})
    channels = read_series("x", [path], LEG, "r").channels
    assert set(channels[quantity]) == {"soleus", "vasti"}


def test_a_reference_that_knows_a_part_is_drawn_with_a_warning(solved: Path, tmp_path: Path) -> None:
    reference = write(tmp_path / "emg.sto", {f"{m}_activation": 0.5 * T for m in LEG.muscle_names[:7]})
    result = trial("--solved", solved, "--reference", f"EMG={reference}", "--out", tmp_path / "a.png", "--dpi", 60)
    assert result.exit_code == 0
    assert result.stderr == f"warning: EMG: has no activation of {', '.join(LEG.muscle_names[7:])}\n"
    assert "EMG: activation" in result.stdout


def refused(result: Result, tmp_path: Path, *said: str) -> None:
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for part in said:
        assert part in line
    assert not (tmp_path / "a.png").exists()


def test_no_common_time(solved: Path, tmp_path: Path) -> None:
    late = write(tmp_path / "late.sto", solved_columns(), T + 5.0)
    result = trial("--solved", solved, "--reference", late, "--out", tmp_path / "a.png")
    refused(result, tmp_path, "late.sto: runs from 5 to 6 s", "walk.sto 0 to 1 s", "no time in common")


def test_a_period_outside_the_trial(solved: Path, tmp_path: Path) -> None:
    result = trial("--solved", solved, "--start-s", 3, "--out", tmp_path / "a.png")
    refused(result, tmp_path, "walk.sto: runs from 0 to 1 s, of which --start-s and --end-s leave nothing")


def test_nothing_of_the_model(solved: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.sto", {"elbow_moment": T})
    said = ("other.sto: holds no torque, activation or force of the model 'leg9', side 'r'", "hip_moment")
    refused(trial("--solved", other, "--out", tmp_path / "a.png"), tmp_path, *said)
    refused(trial("--solved", solved, "--reference", other, "--out", tmp_path / "a.png"), tmp_path, *said)


def test_a_reference_of_nothing_that_is_drawn(solved: Path, tmp_path: Path) -> None:
    reference = write(tmp_path / "id.sto", {"knee_moment": T})
    result = trial("--solved", solved, "--force", "--reference", reference, "--out", tmp_path / "a.png")
    refused(result, tmp_path, "id.sto: holds none of what is drawn (force of hamstrings, ")


def test_asked_for_but_not_solved(tmp_path: Path) -> None:
    moments = write(tmp_path / "id.sto", {"knee_moment": T, "soleus_force": 100.0 * T})
    out = tmp_path / "a.png"
    refused(trial("--solved", moments, "--activation", "--out", out), tmp_path, "id.sto: holds no activation: leave")
    said = "id.sto: holds no force of 'vasti': choose --muscles of soleus"
    refused(trial("--solved", moments, "--force", "--muscles", "vasti", "--out", out), tmp_path, said)
    refused(trial("--solved", moments, "--muscles", "biceps", "--out", out), tmp_path, "has no muscle 'biceps'")


def test_the_same_thing_twice_under_one_label(solved: Path, tmp_path: Path) -> None:
    twice = [write(tmp_path / n, {"knee_moment": T}) for n in ("b.sto", "c.sto")]
    result = trial(
        "--solved", solved, "--reference", f"x={twice[0]}", "--reference", f"x={twice[1]}", "--out", tmp_path / "a.png"
    )
    refused(result, tmp_path, "c.sto: holds the torque of knee", "b.sto under the same label 'x'")


def test_a_hole_in_a_reference(solved: Path, tmp_path: Path) -> None:
    values = T.copy()
    values[3] = np.nan
    result = trial(
        "--solved",
        solved,
        "--reference",
        write(tmp_path / "id.sto", {"knee_moment": values}),
        "--out",
        tmp_path / "a.png",
    )
    refused(result, tmp_path, "id.sto: column 'knee_moment' is not a number at time 0.03 s")


def test_missing_file(tmp_path: Path) -> None:
    refused(trial("--solved", tmp_path / "no.sto", "--out", tmp_path / "a.png"), tmp_path, "no.sto: cannot be read")


def test_a_file_with_an_equals_sign_in_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "v=1.sto", {"knee_moment": T})
    figures = told("--solved", path, "--reference", f"again={path}", "--out", tmp_path / "a.png")
    assert list(figures["references"]) == ["again"]


def test_wrong_usage(solved: Path, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "a.png"]
    assert trial("--solved", solved, "--reference", solved, *out).exit_code == 2  # one label for both
    five = [v for i in range(5) for v in ("--reference", f"{i}={solved}")]
    result = trial("--solved", solved, *five, *out)
    assert result.exit_code == 2
    assert "5 labels, of which at most 4" in result.stderr
    assert trial("--solved", solved, "--start-s", 0.5, "--end-s", 0.5, *out).exit_code == 2
    assert trial("--solved", solved, "--start-s", "nan", *out).exit_code == 2


@pytest.mark.parametrize(
    ("agreement", "quantity", "text"),
    [
        (Agreement(0.99996, 0.00123, True), Quantity.ACTIVATION, "R2 0.9999, RMSE 0.0012"),
        (Agreement(1.0, 0.0, True), Quantity.ACTIVATION, "R2 1.0000, RMSE 0"),
        (Agreement(0.9988, 12.3, True), Quantity.FORCE, "R2 0.998, RMSE 12 N"),
        (Agreement(-0.5, 3.0, True), Quantity.TORQUE, "R2 -0.500, RMSE 3 Nm"),
        (Agreement(-1e6, 3.0, True), Quantity.TORQUE, "R2 below -10, RMSE 3 Nm"),
        (Agreement(None, 3.0, False), Quantity.TORQUE, "constant, RMSE 3 Nm"),
        (Agreement(0.9, 0.01, False), Quantity.ACTIVATION, "at rest, RMSE 0.01"),
    ],
)
def test_figures_in_a_title_never_flatter(agreement: Agreement, quantity: Quantity, text: str) -> None:
    assert figures_text(agreement, quantity) == text


stamps = st.lists(st.floats(-100.0, 100.0), min_size=2, max_size=40, unique=True).map(lambda v: np.array(sorted(v)))


@given(stamps, stamps, st.floats(-50.0, 50.0), st.floats(0.1, 100.0))
def test_common_times_lie_within_every_file(a: FloatArray, b: FloatArray, start: float, length: float) -> None:
    one, other = (Channel(Path("x.sto"), t, np.zeros_like(t)) for t in (a, b))
    period = (start, start + length)
    try:
        times = common_times([one], [other], period)
    except TrialError:
        low, high = max(start, a[0], b[0]), min(start + length, a[-1], b[-1])
        assert any(((t >= low) & (t <= high)).sum() < 2 for t in (a, b))
        return
    assert len(times) >= 2
    for t in (a, b, np.array(period)):
        assert t[0] <= times[0] < times[-1] <= t[-1]
    assert set(times) <= set(a) or set(times) <= set(b)


def test_a_measured_envelope_below_zero_is_not_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "emg.sto", {"soleus_activation": 0.3 * T - 0.1})
    series = Series("x", read_series("x", [path], LEG, "r").channels, {})
    comparison = compare(series, [], None, None, None, None)
    sheet = draw(lambda: draw_trial(comparison, free_scale=True, width_mm=89.0), tmp_path / "a.png", 60.0)
    assert sheet.axes[0][0].get_ylim()[0] < -0.1


def test_gait10_solved_like_opensim_against_its_inverse_dynamics(data: Path, tmp_path: Path) -> None:
    """The figure of the real thing: the walk of gait10, solved, beside OpenSim's own torques."""
    folder = data / "gait10_walk"
    trials = tmp_path / "trials.toml"
    trials.write_text(
        f'[[trial]]\nkinematics = "{folder / "ik.mot"}"\nground_reaction = "{folder / "subject01_walk_grf.mot"}"\n'
        f'external_loads = "{folder / "external_loads.xml"}"\nside = "r"\n'
    )
    out = tmp_path / "walk.sto"
    done = CliRunner().invoke(cli, ["solve", "--trials", str(trials), "--compat", "--out", str(out)])
    assert done.exit_code == 0, done.output
    figures = told("--solved", out, "--reference", f"OpenSim={folder / 'id.sto'}", "--out", tmp_path / "a.png")
    assert figures["panels"] == 21
    channels = figures["references"]["OpenSim"]["torque"]["channels"]
    assert set(channels) == {"hip", "knee", "ankle"}
    for channel in channels.values():
        assert channel["rmse"] < 0.05
        assert channel["r2"] > 0.9999
