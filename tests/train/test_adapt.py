"""Networks made adaptable, and what measured torques do to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from demo_material import demo_material, without_row

from edge.adaptation.adaptable import Adaptable
from edge.errors import ConfigError, EngineError
from edge.inference.onnx_engine import OnnxEngine
from edge.manifest import Head
from train import adapt
from train.adapt import BOUND, adaptable, calibrate_to, corrected, shared_moments, torque_left
from train.answers import answer_to_torque, wanted_answer
from train.learning import Learned, network_answer
from train.material import Material
from train.networks import create
from train.recipe import Recipe
from train.trainer import History

SIZES = {"hidden": 5, "dense_1": 6, "dense_2": 4}
TAPS = 2 * 5 + 6 + 4 + 1


def untrained(material: Material, head: Head = "residual") -> Learned:
    """A network that knows nothing but how large answers are."""
    torch.manual_seed(0)
    wanted = wanted_answer(head, material.stretches, material.windows)
    network = create(
        "bigru", features=material.windows.feature.shape[2], outputs=wanted.shape[1], window=20, joints=3, sizes=SIZES
    )
    known = np.where(np.isfinite(wanted), wanted, 0.0)
    network.normalise(*(torch.from_numpy(a.astype(np.float32)) for a in (material.windows.feature, known)))
    return Learned(network.eval(), Recipe(head=head, causal=False, sizes=SIZES), History())


@pytest.fixture(scope="module")
def material() -> Material:
    return demo_material()


@pytest.fixture(scope="module")
def learned(material: Material) -> Learned:
    return untrained(material)


@pytest.fixture(scope="module")
def known(learned: Learned, material: Material) -> Adaptable:
    return adaptable(learned, material)


def test_the_device_reads_what_torch_reads(learned: Learned, material: Material, known: Adaptable) -> None:
    few = material.take(np.arange(5))
    taps, answer = known.read(known.taps_engine(), few.windows.feature)
    assert taps.shape == (5, TAPS)
    np.testing.assert_allclose(answer, network_answer(learned.network, few), atol=1e-5)
    correction = np.random.default_rng(0).normal(0.0, 1e-2, known.prior.shape)
    again = network_answer(corrected(learned, known, correction).network, few)
    limit = BOUND * known.prior.row_deviation
    np.testing.assert_allclose(again - answer, np.clip(taps @ correction, -limit, limit), atol=1e-5)
    engine = OnnxEngine(
        known.corrected(correction), window=20, features=few.windows.feature.shape[2], outputs=3, where="test"
    )
    np.testing.assert_allclose([engine.infer(w) for w in few.windows.feature], again, atol=1e-5)


def test_a_correction_is_bounded_on_the_device(learned: Learned, material: Material, known: Adaptable) -> None:
    wild = np.full(known.prior.shape, 1e6)
    engine = OnnxEngine(known.corrected(wild), window=20, features=13, outputs=3, where="test")
    few = material.take(np.arange(3))
    moved = np.array([engine.infer(w) for w in few.windows.feature]) - network_answer(learned.network, few)
    np.testing.assert_allclose(moved, np.tile(BOUND * known.prior.row_deviation, (3, 1)), rtol=1e-4)


def lacking(material: Material, learned: Learned, correction: np.ndarray) -> Material:
    """The same, of somebody whose torques are the network's with a correction."""
    taps = network_answer(adapt._Tapped(learned.network, 3), material)[:, :TAPS]
    answer = learned.answer(material)
    answer[:, -3:] += taps @ correction
    torque = material.stretches[0].torque.copy()
    torque[material.windows.frame] = answer_to_torque(learned.recipe.head, answer, material.stretches, material.windows)
    return replace(material, stretches=(replace(material.stretches[0], torque=torque),))


CORRECTION = np.random.default_rng(0).normal(0.0, 0.1, (TAPS, 3))


def test_measured_torques_are_learned(learned: Learned, material: Material, known: Adaptable) -> None:
    found = calibrate_to(known, learned, lacking(material, learned, CORRECTION))
    assert found.correction is not None
    assert found.after < 0.9 * found.before


def test_an_unknown_row_is_left_alone(learned: Learned, material: Material, known: Adaptable) -> None:
    found = calibrate_to(known, learned, without_row(lacking(material, learned, CORRECTION), 1))
    assert found.correction is not None
    assert (found.correction[:, 1] == 0.0).all()
    assert (found.correction[:, 0] != 0.0).any()


@pytest.mark.parametrize("head", ["residual", "torque", "contact"])
def test_what_is_left_to_the_last_answers_and_a_correction_make_the_torque(material: Material, head: Head) -> None:
    learned = untrained(material, head)
    wearer = lacking(material, learned, CORRECTION)
    taps = network_answer(adapt._Tapped(learned.network, 3), material)[:, :TAPS]
    left = torque_left(learned, wearer.gather("torque"), wearer)
    np.testing.assert_allclose(left - learned.answer(wearer)[:, -3:], taps @ CORRECTION, atol=1e-6)
    bound = np.full(3, 1e6)
    again = replace(learned, network=adapt._corrected(learned.network, CORRECTION, bound))
    torque = answer_to_torque(head, again.answer(wearer), wearer.stretches, wearer.windows)
    np.testing.assert_allclose(torque, wearer.gather("torque"), rtol=1e-3, atol=0.05)


def test_a_network_is_cut_to_the_devices_answers_before(learned: Learned, known: Adaptable) -> None:
    assert corrected(learned, known, None) is learned
    with pytest.raises(EngineError, match="all its answers"):
        corrected(learned, known, CORRECTION).network.first(2)


def test_only_networks_that_answer_a_torque(learned: Learned, material: Material, known: Adaptable) -> None:
    heads: tuple[Head, ...] = ("dual", "activation")
    for head in heads:
        other = replace(learned, recipe=replace(learned.recipe, head=head))
        with pytest.raises(ConfigError, match=head):
            adaptable(other, material)
        with pytest.raises(ConfigError, match=head):
            calibrate_to(known, other, material)


def test_moments_that_all_materials_describe(material: Material) -> None:
    later = material.take(np.arange(7, len(material)))
    sparse = material.take(np.arange(0, len(material), 3))
    found = shared_moments([material, later, sparse])
    times = [m.windows.time_s[which] for m, which in zip((material, later, sparse), found, strict=True)]
    np.testing.assert_array_equal(times[0], times[1])
    np.testing.assert_array_equal(times[0], times[2])
    assert len(times[0]) == len([i for i in range(0, len(material), 3) if i >= 7])
