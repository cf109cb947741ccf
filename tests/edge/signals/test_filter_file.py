from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.archive import array_bytes, pack
from edge.errors import FileError
from edge.signals.bank import Bank
from edge.signals.filter_file import KeptFilter
from edge.signals.layout import Layout
from edge.signals.learner import Learned
from edge.signals.movement_prior import BRISK, NormalEquations, normal_equations

LAYOUT = Layout(channels=("knee", "base_tilt"), gyroscopes=("base_tilt",), rate_hz=100.0, age_s=0.05, scale=(1.0, 1.0))
NAME = Path("s01.filter")


PRIOR = normal_equations(LAYOUT.taps, BRISK)
NOISE = np.random.default_rng(3).normal(size=PRIOR.features.shape)
SUMS = NormalEquations(PRIOR.features + NOISE + NOISE.T, PRIOR.targets / 3.0)


def kept(path: Path = NAME) -> KeptFilter:
    return KeptFilter(path, "s01", "ab" * 32, LAYOUT, Learned(SUMS, 12.25), "edge-msk 0.0.1")


GOOD = kept().to_bytes()


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    parts = parts_of(GOOD)
    about = json.loads(parts["about.json"])
    change(about)
    return pack({**parts, "about.json": json.dumps(about).encode()})


def refusal(content: bytes) -> str:
    with pytest.raises(FileError) as caught:
        KeptFilter.from_bytes(content, NAME)
    text = str(caught.value)
    assert text.startswith("s01.filter: ")
    return text


def test_every_bit_comes_back(tmp_path: Path) -> None:
    one = kept(tmp_path / "s01.filter")
    one.write()
    again = KeptFilter.read(one.path)
    assert again.learned.sums.features.tobytes() == one.learned.sums.features.tobytes()
    assert again.learned.sums.targets.tobytes() == one.learned.sums.targets.tobytes()
    assert again.learned.movement_s == 12.25
    assert (again.path, again.subject, again.model_sha256, again.layout, again.program) == (
        one.path,
        "s01",
        "ab" * 32,
        LAYOUT,
        "edge-msk 0.0.1",
    )
    assert again.to_bytes() == one.path.read_bytes() == GOOD
    assert [path.name for path in tmp_path.iterdir()] == ["s01.filter"]


def test_numpy_reads_it_too(tmp_path: Path) -> None:
    kept(tmp_path / "s01.filter").write()
    with np.load(tmp_path / "s01.filter") as file:
        np.testing.assert_array_equal(file["features"], kept().learned.sums.features)


def test_its_own_wearer_and_channels_are_welcome() -> None:
    kept().require("s01", "ab" * 32, LAYOUT)


@pytest.mark.parametrize(
    ("subject", "model", "layout", "words"),
    [
        ("s02", "ab" * 32, LAYOUT, "`subject` is s01, this session's is s02"),
        ("s01", "cd" * 32, LAYOUT, "`model_sha256` is abab"),
        ("s01", "ab" * 32, LAYOUT.model_copy(update={"age_s": 0.0}), "`layout.age_s` is 0.05, this session's is 0.0"),
        ("s01", "ab" * 32, LAYOUT.model_copy(update={"rate_hz": 200.0}), "`layout.rate_hz` is 100.0"),
        ("s01", "ab" * 32, LAYOUT.model_copy(update={"gyroscopes": ()}), "`layout.gyroscopes` is ('base_tilt',)"),
        ("s01", "ab" * 32, LAYOUT.model_copy(update={"scale": (1.0, 2.0)}), "`layout.scale`"),
        ("s01", "ab" * 32, LAYOUT.model_copy(update={"channels": ("hip", "base_tilt")}), "`layout.channels`"),
    ],
)
def test_another_wearer_or_other_channels_are_refused(subject: str, model: str, layout: Layout, words: str) -> None:
    with pytest.raises(FileError) as caught:
        kept().require(subject, model, layout)
    assert str(caught.value).startswith("s01.filter: ")
    assert words in str(caught.value)
    assert "delete or move the file to learn anew" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.update(version=2), "`version` is 2, this program reads a filter of version 1"),
        (lambda a: a.pop("version"), "`version` is None"),
        (lambda a: a.update(schema="edge-msk/bank"), "`schema` in about.json is not 'edge-msk/filter'"),
        (lambda a: a.update(colour="red"), "`colour`"),
        (lambda a: a.pop("subject"), "`subject`"),
        (lambda a: a.update(movement_s=-1.0), "`movement_s`"),
        (lambda a: a["layout"].update(rate_hz=0), "`layout.rate_hz`"),
        (lambda a: a["layout"].update(rate_hz=50.0), "do not fit its `layout`"),
        (lambda a: a["layout"].update(gyroscopes=[]), "do not fit its `layout`"),
        (lambda a: a.update(features_sha256="0" * 64), "features.npy was altered"),
        (lambda a: a.update(targets_sha256="0" * 64), "targets.npy was altered"),
    ],
)
def test_a_description_that_does_not_fit_names_its_field(
    change: Callable[[dict[str, Any]], object], words: str
) -> None:
    assert words in refusal(changed(change))


def test_damage_is_refused() -> None:
    for length in (0, 10, len(GOOD) // 2, len(GOOD) - 1):
        refusal(GOOD[:length])
    parts = parts_of(GOOD)
    assert "holds no targets.npy" in refusal(pack({n: p for n, p in parts.items() if n != "targets.npy"}))
    assert "altered" in refusal(pack({**parts, "features.npy": parts["features.npy"][:-8] + bytes(8)}))
    for content in (b"{", b"[]", b"3"):
        assert "about.json" in refusal(pack({**parts, "about.json": content}))


def test_sums_that_cannot_be_sums_are_refused() -> None:
    own = kept()
    endless = own.learned.sums.targets.copy()
    endless[0, 0] = np.inf
    bad = replace(own, learned=Learned(NormalEquations(own.learned.sums.features, endless), 1.0))
    assert "do not fit" in refusal(bad.to_bytes())


def test_a_bank_is_no_filter() -> None:
    bank = Bank(LAYOUT, kept().learned.sums, 3, 60.0)
    assert "it is no filter" in refusal(bank.to_bytes())


def test_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none.filter: cannot be read"):
        KeptFilter.read(tmp_path / "none.filter")


def test_arrays_are_kept_as_they_are() -> None:
    assert parts_of(GOOD)["targets.npy"] == array_bytes(kept().learned.sums.targets)
