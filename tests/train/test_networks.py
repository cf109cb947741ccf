from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.errors import EngineError
from train.export import check_parity, to_onnx
from train.losses import ActivationTarget, TorqueTarget
from train.networks import BiGRU
from train.trainer import TrainerSettings, fit


def _network(outputs: int = 3, *, bounded: bool = False, look_ahead: int = 0) -> BiGRU:
    torch.manual_seed(0)
    network = BiGRU(features=5, outputs=outputs, window=8, look_ahead=look_ahead, bounded=bounded)
    network.eval()
    return network


def test_bounded_answers_are_activations() -> None:
    answer = _network(bounded=True)(torch.randn(50, 8, 5) * 100)
    assert answer.shape == (50, 3)
    assert float(answer.detach().min()) >= 0.0
    assert float(answer.detach().max()) <= 1.0


def test_normalisation_happens_inside() -> None:
    network = _network()
    windows = torch.randn(20, 8, 5)
    answers = torch.randn(20, 3) * 7 + 3
    network.normalise(windows, answers)
    before = network(windows)
    scaled = _network()
    scaled.load_state_dict(network.state_dict())
    scaled.normalise(windows * 1000.0 + 5.0, answers)
    torch.testing.assert_close(scaled(windows * 1000.0 + 5.0), before, atol=1e-3, rtol=1e-3)


def test_a_feature_that_rests_in_training_does_not_drown_the_others_later() -> None:
    network = _network()
    windows = torch.randn(20, 8, 5)
    windows[..., 2] = 0.7
    network.normalise(windows, torch.randn(20, 3))
    moved = windows.clone()
    moved[..., 2] += 0.01
    torch.testing.assert_close(network(moved), network(windows), atol=0.05, rtol=0.0)


@pytest.mark.parametrize("look_ahead", [0, 3])
@pytest.mark.parametrize("bounded", [False, True])
def test_export_gives_the_same_answers(look_ahead: int, bounded: bool) -> None:
    network = _network(bounded=bounded, look_ahead=look_ahead)
    exported = to_onnx(network, window=8, features=5)
    windows = np.random.default_rng(0).normal(size=(20, 8, 5))
    assert check_parity(network, exported, windows, 3) < 1e-5


def test_export_is_the_same_twice() -> None:
    network = _network()
    assert to_onnx(network, window=8, features=5) == to_onnx(network, window=8, features=5)


def test_parity_check_refuses_another_network() -> None:
    exported = to_onnx(_network(), window=8, features=5)
    other = _network()
    with torch.no_grad():
        other.head[-1].bias += 0.1  # type: ignore[operator]
    with pytest.raises(EngineError, match="differs"):
        check_parity(other, exported, np.zeros((3, 8, 5)), 3)


def test_fit_learns_and_is_reproducible() -> None:
    torch.set_num_threads(1)
    windows = torch.randn(200, 8, 5, generator=torch.Generator().manual_seed(1))
    wanted = windows[:, -1, :3] * 0.5
    target = TorqueTarget(wanted, wanted.std(dim=0))
    seen: list[int] = []
    results = []
    for _ in range(2):
        network = _network()
        network.normalise(windows, wanted)
        fit(network, windows, target, TrainerSettings(steps=60, input_noise=0.0), lambda step, _: seen.append(step))
        results.append(network(windows).detach())
        assert not network.training
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    assert float(((results[0] - wanted) ** 2).mean() / (wanted**2).mean()) < 0.5
    assert seen[:3] == [20, 40, 60]
    other = _network()
    fit(other, windows, target, TrainerSettings(steps=1, seed=1))
    one = _network()
    fit(one, windows, target, TrainerSettings(steps=1, seed=0))
    assert not torch.equal(one(windows), other(windows))


def test_activation_loss_is_zero_where_the_physics_holds() -> None:
    gain = torch.rand(4, 2, 3)
    activation = torch.full((4, 3), 0.3)
    torque = (gain @ activation[..., None])[..., 0]
    target = ActivationTarget(gain, torque, torch.ones(2), effort_weight=0.1, bound_weight=1.0, lower=0.01)
    terms = target.loss(activation, torch.arange(4))
    assert float(terms["motion"]) == pytest.approx(0.0, abs=1e-12)
    assert float(terms["effort"]) == pytest.approx(0.1 * 0.09)
    assert float(terms["bounds"]) == 0.0
    below = target.loss(torch.zeros(4, 3), torch.arange(4))
    assert float(below["bounds"]) == pytest.approx(1e-4)


def test_divergence_is_said() -> None:
    windows = torch.randn(50, 8, 5)
    wanted = torch.full((50, 3), float("nan"))
    with pytest.raises(EngineError, match="diverged"):
        fit(_network(), windows, TorqueTarget(wanted, torch.ones(3)), TrainerSettings(steps=20))
