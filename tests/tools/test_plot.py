"""What all figures of `edge-msk plot` have in common: files, sizes, the same bytes every time, errors."""

from __future__ import annotations

import json
import math
import struct
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner, Result
from drawn_text import badly_placed
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from edge.cli import cli
from edge.errors import FileError
from edge.msk.model import load_model
from edge.storage import write_sto
from tools.plots import sheet
from tools.plots.sheet import Block, columns, draw, lay_out, legend, shorten, title
from train.plot_style import BLUE, COLOURS, INK

KINDS = ("curves", "moment-arms", "trial")


def plot(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["plot", *map(str, arguments)])


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, list[object]]:
    """What each kind of figure needs besides its output."""
    leg = load_model("leg9")
    t = np.linspace(0.0, 1.0, 51)
    moments = np.stack([30.0 * np.sin(6.0 * t + i) for i in range(3)], axis=1)
    write_sto(tmp_path / "walk.sto", "made up", [f"{j}_moment" for j in leg.joint_names], t, moments)
    return {"curves": [], "moment-arms": ["--row", "ankle"], "trial": ["--solved", tmp_path / "walk.sto"]}


PANELS = {"curves": 4, "moment-arms": 6, "trial": 3}


def png_size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[-8:-4] == b"IEND"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


@pytest.mark.parametrize("kind", KINDS)
def test_png_of_the_size_that_is_told(kind: str, inputs: dict[str, list[object]], tmp_path: Path) -> None:
    out = tmp_path / "figures" / "a.png"
    result = plot(kind, *inputs[kind], "--out", out, "--dpi", 100, "--width-mm", 150, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["out"] == str(out)
    assert told["panels"] == PANELS[kind]
    assert told["size_mm"][0] == 150.0
    assert png_size(out) == tuple(int(v / 25.4 * 100.0 + 0.1) for v in told["size_mm"])
    assert [p.name for p in out.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize("kind", KINDS)
def test_svg_of_the_size_that_is_told(kind: str, inputs: dict[str, list[object]], tmp_path: Path) -> None:
    out = tmp_path / "a.SVG"
    told = json.loads(plot(kind, *inputs[kind], "--out", out, "--json").stdout)
    root = ElementTree.parse(out).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for name, mm in zip(("width", "height"), told["size_mm"], strict=True):
        assert float(root.attrib[name].removesuffix("pt")) == pytest.approx(mm / 25.4 * 72.0, abs=0.2)
    panels = [g for g in root.iter("{http://www.w3.org/2000/svg}g") if g.attrib.get("id", "").startswith("axes_")]
    assert len(panels) == told["panels"] == PANELS[kind]


def test_pdf(tmp_path: Path) -> None:
    assert plot("curves", "--out", tmp_path / "a.pdf").exit_code == 0
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_bytes_every_time_whatever_the_user_s_matplotlib_is_set_to(
    suffix: str, inputs: dict[str, list[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / f"1{suffix}", tmp_path / f"2{suffix}"
    assert plot("trial", *inputs["trial"], "--out", first).exit_code == 0
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30.0)
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 9.0)
    assert plot("trial", *inputs["trial"], "--out", second).exit_code == 0
    assert first.read_bytes() == second.read_bytes()
    assert matplotlib.rcParams["font.size"] == 30.0


@pytest.mark.parametrize("kind", KINDS)
def test_for_people_one_line_tells_panels_size_and_file(
    kind: str, inputs: dict[str, list[object]], tmp_path: Path
) -> None:
    result = plot(kind, *inputs[kind], "--out", tmp_path / "a.png", "--dpi", 60)
    assert result.stdout.startswith(f"{PANELS[kind]} panels, 183 x ")
    assert result.stdout.splitlines()[0].endswith(f"mm -> {tmp_path / 'a.png'}")


@pytest.mark.parametrize("kind", KINDS)
def test_help_has_an_example_and_needs_no_matplotlib(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_matplotlib(monkeypatch)
    result = plot(kind, "--help")
    assert result.exit_code == 0
    assert f"edge-msk plot {kind} " in result.stdout.partition("Example:")[2]
    assert "--json" in result.stdout


def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "matplotlib" or n.startswith("tools.plots.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_extra(
    kind: str, inputs: dict[str, list[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_matplotlib(monkeypatch)
    result = plot(kind, *inputs[kind], "--out", tmp_path / "a.png")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: edge-msk plot needs the package 'matplotlib': install it with  pip install 'edge-msk[plot]'\n"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a.jpg", "a", "png"])
def test_unknown_suffix(kind: str, name: str, inputs: dict[str, list[object]], tmp_path: Path) -> None:
    result = plot(kind, *inputs[kind], "--out", tmp_path / name)
    assert result.exit_code == 1
    assert result.stderr == f"error: {tmp_path / name}: figures are written as .png, .svg, .pdf: name the file so\n"
    assert not (tmp_path / name).exists()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = plot("curves", "--out", tmp_path / "file" / "a.png")
    assert result.exit_code == 1
    assert "a.png: cannot be written" in result.stderr


def test_a_failed_write_leaves_the_old_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "a.png"
    out.write_bytes(b"old")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(FileError, match="No space left on device"):
        draw(lambda: lay_out([Block("", 1, None, "y")], width_mm=100.0), out, 100.0)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_picture_too_large(inputs: dict[str, list[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "_LONGEST_PX", 3000)
    result = plot("moment-arms", "--out", tmp_path / "a.png", "--dpi", 400)
    assert result.exit_code == 1
    assert "24 panels at 400 dpi make a picture of" in result.stderr
    assert "choose fewer panels or a lower --dpi, or write an .svg" in result.stderr
    assert plot("moment-arms", "--out", tmp_path / "a.svg", "--dpi", 400).exit_code == 0
    assert plot("curves", "--out", tmp_path / "a.png", "--dpi", 400).exit_code == 0
    monkeypatch.setattr(sheet, "_MOST_PX", 1_000_000)
    assert plot("curves", "--out", tmp_path / "a.png", "--dpi", 400).exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["curves"],
        ["curves", "--out", "a.png", "--dpi", "nan"],
        ["curves", "--out", "a.png", "--width-mm", "3"],
        ["curves", "--out", "a.png", "--curves", ","],
        ["curves", "--out", "a.png", "--curves", "thelen2003,thelen2003"],
        ["trial", "--out", "a.png"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert plot(*arguments).exit_code == 2


@given(st.integers(1, 300), st.floats(80.0, 500.0), st.booleans(), st.floats(0.5, 2.0))
def test_columns_fit_and_fill_their_rows(panels: int, width_mm: float, share_y: bool, narrowest: float) -> None:
    n = columns(Block("", panels, "x", "y", share_y=share_y, narrowest=narrowest), width_mm / 25.4)
    assert 1 <= n <= panels
    if n > 1:
        gap = sheet._GAP if share_y else sheet._GAP_WITH_LABELS
        assert n * narrowest + (n - 1) * gap <= width_mm / 25.4 - sheet._LEFT - sheet._RIGHT + 1e-9
    rows = math.ceil(panels / n)
    assert n == math.ceil(panels / rows)  # no column less would do


@pytest.mark.parametrize("width_mm", [80.0, 89.0, 183.0, 400.0])
@pytest.mark.parametrize("share_y", [True, False])
def test_no_word_stands_over_another(width_mm: float, share_y: bool, tmp_path: Path) -> None:
    """Long names, long figures, large numbers, many keys."""
    summary = ["a long label of a reference: R² 0.1234, RMSE 1234 Nm", "another: R² 0.99"]

    def make() -> sheet.Sheet:
        blocks = [
            Block("Heading", 7, "time (s)", "force (N)", share_y=share_y, title_lines=3, summary=summary),
            Block("Another heading", 2, "angle (deg), dorsiflexion positive", "torque (Nm)", share_y=share_y),
        ]
        keys = [(f"a label that is long, number {i}", {"color": "C0"}) for i in range(5)]
        made = lay_out(blocks, width_mm=width_mm, legend=len(keys), note="a line of small text")
        for i, ax in enumerate(made.axes[0]):
            ax.plot([0.0, 1.0], [-1500.0, 2000.0 + i])
            title(ax, "semimembranosus long", [("R² 0.9999, RMSE 0.00024 Nm", "C1"), ("at rest, RMSE 1234 Nm", "C2")])
        for ax in made.axes[1]:
            ax.plot([-105.0, 10.0], [-0.0025, 0.01])
            title(ax, "knee")
        legend(made, keys)
        return made

    made = draw(make, tmp_path / "a.png", 100.0)
    assert made.panels == 9
    assert badly_placed(made.figure) == []


def test_labels_are_taken_as_they_are(tmp_path: Path) -> None:
    def make() -> sheet.Sheet:
        made = lay_out([Block("$x$", 1, None, "y")], width_mm=183.0, legend=2)
        legend(made, [("_a$2$.sto", {"color": "C0"}), ("b", {"color": "C1"})])
        return made

    made = draw(make, tmp_path / "a.svg", 100.0)
    assert [t.get_text().strip() for box in made.figure.legends for t in box.get_texts()] == ["_a$2$.sto", "b"]
    assert "_a$2$.sto -->" in (tmp_path / "a.svg").read_text()


def test_a_long_label_is_cut_in_its_middle() -> None:
    text = "so_StaticOptimization_activation_of_a_trial.sto"
    assert shorten(text, 10.0) == text
    short = shorten(text, 1.0)
    assert len(short) < 20
    assert short.startswith("so_")
    assert short.endswith(".sto")


def test_colours_differ_in_lightness_or_hue_for_dichromats() -> None:
    """Viénot, Brettel & Mollon 1999: the colours of a protanope and a deuteranope, simulated, stay apart."""
    rgb = np.array([to_rgb(c) for c in (BLUE, *COLOURS, INK)]) ** 2.2
    protan = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
    deutan = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    for seen in (rgb, rgb @ protan.T, rgb @ deutan.T):
        shown = np.clip(seen, 0.0, 1.0) ** (1.0 / 2.2)
        apart = np.linalg.norm(shown[:, None] - shown[None], axis=-1) + np.eye(len(shown))
        assert apart.min() > 0.1
