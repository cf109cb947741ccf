from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from drawn_text import badly_placed, texts

from edge.cli import cli
from edge.msk.curves import FAMILIES, MILLARD_2013, THELEN_2003
from tools.plots.curves import draw_curves
from tools.plots.sheet import draw


def curves(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["plot", "curves", *map(str, arguments)])


def test_all_families_by_default_and_those_asked_for_in_their_order(tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    assert json.loads(curves("--out", out, "--json").stdout)["curves"] == list(FAMILIES)
    chosen = json.loads(curves("--out", out, "--curves", "thelen2003, degroote2016", "--json").stdout)["curves"]
    assert chosen == ["thelen2003", "degroote2016"]


def test_the_lines_are_the_curves(tmp_path: Path) -> None:
    sheet = draw(lambda: draw_curves([MILLARD_2013, THELEN_2003], width_mm=183.0), tmp_path / "a.png", 60.0)
    active, passive, velocity, tendon = sheet.axes[0]
    for i, family in enumerate((MILLARD_2013, THELEN_2003)):
        for ax, curve in (
            (active, family.active_force_length),
            (passive, family.passive_force_length),
            (velocity, family.force_velocity),
        ):
            x, y = ax.lines[i].get_data()
            np.testing.assert_allclose(y, curve(np.asarray(x)), atol=1e-12)
        strain, force = (np.asarray(v) for v in tendon.lines[i].get_data())
        # In percent; the force is 1 at the strain that the family's authors give.
        assert np.interp(100.0 * family.tendon_strain, strain, force) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("width_mm", [80.0, 89.0, 183.0])
def test_words(width_mm: float, tmp_path: Path) -> None:
    families = list(FAMILIES.values())
    sheet = draw(lambda: draw_curves(families, width_mm=width_mm), tmp_path / "a.png", 60.0)
    assert badly_placed(sheet.figure) == []
    words = {t.get_text() for t in texts(sheet.figure)}
    assert {"tendon strain (%)", "force-velocity"} <= words
    assert "De Groote et al. 2016" in words


def test_a_family_that_there_is_not(tmp_path: Path) -> None:
    result = curves("--out", tmp_path / "a.png", "--curves", "hill1938")
    assert result.exit_code == 1
    assert "no muscle curves `hill1938`: choose one of degroote2016, millard2013, thelen2003" in result.stderr
