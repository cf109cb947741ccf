"""A bundle of many people has nobody's body until it is made the wearer's size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_bundle import tiny_bundle

from edge.bundle import Bundle
from edge.cli import cli


def of(path: Path, *subjects: str) -> Bundle:
    bundle = tiny_bundle(path)
    training = {"trials": [{"subject": subject} for subject in subjects]}
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"training": training}))


def test_who_it_was_trained_on(tmp_path: Path) -> None:
    assert not of(tmp_path / "a.msk").of_many
    assert not of(tmp_path / "a.msk", "s01", "s01").of_many
    assert of(tmp_path / "a.msk", "s01", "s02").of_many


def test_the_wearer_s_size_is_that_of_the_model_and_its_variants(tmp_path: Path) -> None:
    bundle = of(tmp_path / "a.msk", "s01", "s02").with_variants({"0ms": tiny_bundle(tmp_path / "a.msk", age_s=0.0)})
    worn = bundle.worn_by(mass_kg=61.0, leg_length_m=0.75)
    for own in (worn, worn.at(10.0)):
        assert own.model.mass_kg == pytest.approx(61.0)
        assert own.model.leg_length_m == pytest.approx(0.75, rel=0.02)
    assert Bundle.from_bytes(worn.to_bytes(), tmp_path / "b.msk").model == worn.model


@pytest.mark.parametrize("size", [[], ["--mass-kg", "61", "--height-m", "1.6"]], ids=["nobody's", "the wearer's"])
def test_a_session_says_whose_torques_they_are(tmp_path: Path, size: list[str]) -> None:
    path = tmp_path / "people.msk"
    of(path, "s01", "s02").write()
    command = ["run", "--bundle", str(path), "--sensor", "replay:demo", "--duration", "0.3", "--no-log", "--json"]
    result = CliRunner().invoke(cli, [*command, *size])
    assert ("many people" in result.stderr) is not bool(size)
