from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from demo_people import CAUSAL, ZERO_PHASE, cut, material_of, people, walks
from hypothesis import given, settings
from hypothesis import strategies as st

from train import material as material_module
from train.banks import fit_banks
from train.dataset import InputSettings, Stretch, make_stretches
from train.material import Material, same_moments


def moments(material: Material) -> list[tuple[int, int]]:
    return list(zip(material.windows.stretch.tolist(), material.windows.frame.tolist(), strict=True))


def test_it_is_everybody_s_stretches_and_windows() -> None:
    material = material_of("ab")
    assert [s.trial.subject for s in material.stretches] == ["a", "b"]
    assert len(material) == len(material.windows) == len(material.people)
    assert set(material.people) == {"a", "b"}
    np.testing.assert_array_equal(material.people == "b", material.windows.stretch == 1)
    np.testing.assert_array_equal(material.of_stretches(["x", "y"]) == "y", material.people == "b")
    assert material.model is material.stretches[0].trial.model


def test_what_is_gathered_is_that_of_the_described_frame_and_of_its_person() -> None:
    material = material_of("ab")
    torque, motion, scale = material.gather("torque"), material.motion, material.scale_nm
    for i in (0, len(material) // 2, len(material) - 1):
        stretch = material.stretches[material.windows.stretch[i]]
        frame = material.windows.frame[i]
        np.testing.assert_array_equal(torque[i], stretch.torque[frame])
        np.testing.assert_array_equal(motion.q[i], stretch.motion.q[frame])
        assert motion.tilt[i] == stretch.motion.tilt[frame]
        assert scale[i, 0] == stretch.trial.model.torque_scale_nm
        assert material.windows.time_s[i] == stretch.time_s[frame]


def test_a_part_of_the_windows_is_a_material_too() -> None:
    material = material_of("ab")
    mask = np.arange(len(material)) % 3 == 0
    part = material.take(mask)
    assert len(part) == mask.sum()
    np.testing.assert_array_equal(part.gather("torque"), material.gather("torque")[mask])
    np.testing.assert_array_equal(part.scale_nm, material.scale_nm[mask])
    twice = material.take(np.array([5, 5, 2]))
    np.testing.assert_array_equal(twice.windows.frame, material.windows.frame[[5, 5, 2]])


def test_the_same_stretches_through_another_view() -> None:
    """Without differentiating again, and the same as if it had been."""
    material = material_of("ab")
    recipe = replace(ZERO_PHASE, window=11, signals="segments")
    seen, anew = material.seen(recipe), Material.of(people("ab"), recipe)
    assert seen.stretches is material.stretches
    np.testing.assert_array_equal(seen.windows.feature, anew.windows.feature)
    assert moments(seen) == moments(anew)


def test_windows_reach_back_before_the_range_only_on_a_device_that_has_been_running() -> None:
    trial = replace(cut(walks()[0], 1.0, 2.2), start_s=1.5)
    tested, trained = (Material.of([trial], CAUSAL, history=history) for history in (True, False))
    assert len(tested) - len(trained) == CAUSAL.window - 1
    assert tested.windows.time_s.min() == pytest.approx(1.5, abs=0.011)
    assert len(tested.seen(replace(CAUSAL, window=30), history=True)) == len(tested)
    assert len(tested.seen(replace(CAUSAL, window=30))) == len(tested) - 29


def test_torques_are_left_out_where_nobody_asks_for_them() -> None:
    trial = replace(people()[0], ground_reaction=None)
    material = Material.of([trial], ZERO_PHASE, targets=False)
    assert np.isnan(material.gather("torque")).all()
    assert np.isfinite(material.gather("contact_free")).all()


def test_each_persons_inputs_are_made_with_a_bank_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    trials, recipe = people("abc", seconds=2.0), replace(CAUSAL, method="fir")
    used: dict[str, InputSettings] = {}
    make = make_stretches

    def listen(trial: object, settings: InputSettings, *arguments: object, **options: object) -> list[Stretch]:
        used[trial.subject] = settings  # type: ignore[attr-defined]
        return make(trial, settings, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(material_module, "make_stretches", listen)
    material = Material.of(trials, recipe)
    banks = fit_banks(trials, recipe.inputs())
    assert material.banks.everyone is not None
    assert material.banks.everyone.people == 3
    for name in "abc":
        own, expected = used[name].bank, banks.others[name]
        assert own is not None
        assert expected is not None
        assert own.people == 2
        np.testing.assert_array_equal(own.sums.features, expected.sums.features)
    # A wearer nobody has seen gets the bank of the bundle.
    Material.of(trials[:1], recipe, bank=material.banks.everyone)
    assert used["a"].bank is material.banks.everyone


WINDOWS = st.lists(st.integers(2, 40), min_size=2, max_size=4)


@settings(max_examples=20, deadline=None)
@given(windows=WINDOWS, data=st.data())
def test_members_of_other_windows_are_compared_on_the_moments_that_all_describe(
    windows: list[int], data: st.DataObject
) -> None:
    whole = material_of("ab")
    parts = []
    for window in windows:
        seen = whole.seen(replace(ZERO_PHASE, window=window))
        first = data.draw(st.integers(0, 20))
        parts.append(seen.take(np.arange(len(seen)) >= first))
    found = same_moments(parts)
    expected = set.intersection(*(set(moments(part)) for part in parts))
    for own, part in zip(found, parts, strict=True):
        assert set(moments(own)) == expected
        assert moments(own) == moments(found[0])
        assert own.windows.feature.shape[1:] == part.windows.feature.shape[1:]
