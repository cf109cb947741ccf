from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from edge.errors import ConfigError
from train.networks import ARCHITECTURES, SIZES, STREAMING, Network, create, multiply_adds

WINDOW, FEATURES, JOINTS = 8, 13, 3


def _network(
    architecture: str = "bigru",
    *,
    outputs: int = 3,
    bounded: bool = False,
    look_ahead: int = 0,
    sizes: Mapping[str, float] | None = None,
) -> Network:
    torch.manual_seed(0)
    network = create(
        architecture,
        features=FEATURES,
        outputs=outputs,
        window=WINDOW,
        look_ahead=look_ahead,
        joints=JOINTS,
        bounded=bounded,
        sizes=sizes,
    )
    return network.eval()


def _windows(count: int = 5) -> Tensor:
    return torch.randn(count, WINDOW, FEATURES, generator=torch.Generator().manual_seed(1))


def _heard(network: Network) -> list[bool]:
    """Which steps of the window have a say in the answer."""
    window = _windows(1).requires_grad_()
    network(window).sum().backward()
    assert window.grad is not None
    return [bool(step) for step in window.grad[0].abs().amax(dim=1) > 0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_answer_and_one_set_of_hidden_features_a_window(architecture: str) -> None:
    network = _network(architecture)
    windows = _windows()
    answer = network(windows)
    assert answer.shape == (5, network.outputs) == (5, 3)
    assert network.hidden(windows).dim() == 2
    torch.testing.assert_close(network(windows[1:3]), answer[1:3], rtol=1e-4, atol=1e-6)  # alone or in a batch
    assert (network.features, network.window, network.architecture) == (FEATURES, WINDOW, architecture)


@pytest.mark.parametrize("architecture", ["bigru", "mjca-bigru", "bigru-128", "cnn-bigru", "rnn", "lstm", "cnn"])
def test_a_network_of_both_directions_hears_the_whole_window(architecture: str) -> None:
    assert _heard(_network(architecture, look_ahead=3)) == [True] * WINDOW


@pytest.mark.parametrize("architecture", STREAMING)
def test_a_streaming_network_hears_the_newest_step_whatever_it_describes(architecture: str) -> None:
    network = _network(architecture, look_ahead=3)
    assert _heard(network) == [True] * WINDOW
    torch.testing.assert_close(network(_windows()), _network(architecture)(_windows()))


def test_the_tcn_is_centred_on_the_step_it_describes() -> None:
    narrow = {"dilation_2": 1, "dilation_3": 1, "channels_1": 4, "channels_2": 4, "channels_3": 4, "kernel": 1}
    assert _heard(_network("tcn", look_ahead=3, sizes=narrow)) == [step == 4 for step in range(WINDOW)]
    assert _heard(_network("tcn", look_ahead=3)) == [True] * WINDOW


def test_bounded_answers_are_activations_and_start_at_rest() -> None:
    network = _network(bounded=True)
    answer = network(_windows(50) * 100).detach()
    assert 0.0 <= float(answer.min()) <= float(answer.max()) <= 1.0
    assert float(network(_windows()).detach().mean()) == pytest.approx(0.05, abs=0.02)


def test_activations_know_dropout_only_where_it_is_asked_for() -> None:
    windows = _windows()
    silent = _network("mjca-bigru", bounded=True).train()
    torch.testing.assert_close(silent(windows), silent(windows), rtol=0, atol=0)
    for noisy in (_network("mjca-bigru"), _network("mjca-bigru", bounded=True, sizes={"dropout": 0.1})):
        noisy.train()
        assert not torch.equal(noisy(windows), noisy(windows))


def test_normalisation_happens_inside() -> None:
    network = _network()
    windows, answers = _windows(20), torch.randn(20, 3) * 7 + 3
    network.normalise(windows, answers)
    before = network(windows)
    scaled = _network()
    scaled.load_state_dict(network.state_dict())
    scaled.normalise(windows * 1000.0 + 5.0, answers)
    torch.testing.assert_close(scaled(windows * 1000.0 + 5.0), before, atol=1e-3, rtol=1e-3)


def test_a_feature_that_rests_in_training_does_not_drown_the_others_later() -> None:
    network = _network()
    windows = _windows(20)
    windows[..., 2] = 0.7
    network.normalise(windows, torch.randn(20, 3))
    moved = windows.clone()
    moved[..., 2] += 0.01
    torch.testing.assert_close(network(moved), network(windows), atol=0.05, rtol=0.0)


@pytest.mark.parametrize("bounded", [False, True])
def test_the_first_answers_alone(bounded: bool) -> None:
    network = _network(outputs=5, bounded=bounded)
    network.normalise(_windows(20), torch.randn(20, 5))
    shorter = network.first(2)
    assert (shorter.outputs, network.outputs) == (2, 5)
    torch.testing.assert_close(shorter(_windows()), network(_windows())[:, :2])
    with torch.no_grad():
        shorter.last.bias += 1.0
    assert not torch.allclose(shorter(_windows()), network(_windows())[:, :2])  # a copy, which shares nothing


def test_the_papers_sizes() -> None:
    """Multiply-adds of a window of 8 by hand, from the widths in the papers."""

    def recurrent(inner: int, hidden: int) -> int:
        gates = 3 * hidden
        lower = 2 * WINDOW * gates * (inner + hidden)
        return lower + (WINDOW + 1) * gates * (2 * hidden + hidden)  # the top's backward direction: one step

    def dense(*widths: int) -> int:
        return sum(a * b for a, b in pairwise(widths))

    attention = WINDOW * JOINTS * (7 * 64 + 4 * 64 * 64 + 2 * JOINTS * 64) + WINDOW * JOINTS * 64 * 128
    multi_joint = dense(256, 256, 128, 64, 3)
    wanted = {
        "bigru": recurrent(FEATURES, 64) + dense(128, 128, 128, 3),
        "bigru-128": WINDOW * FEATURES * 128 + recurrent(128, 128) + multi_joint,
        "mjca-bigru": attention + recurrent(128, 128) + multi_joint,
        "cnn-bigru": WINDOW * 3 * dense(FEATURES, 64, 128) + recurrent(128, 128) + multi_joint,
    }
    assert {name: multiply_adds(_network(name)) for name in wanted} == wanted
    # Four gates instead of three, and one.
    gru, rest = recurrent(FEATURES, 64), dense(128, 128, 128, 3)
    assert multiply_adds(_network("lstm")) == gru * 4 // 3 + rest
    assert multiply_adds(_network("rnn")) == gru // 3 + rest


def test_what_a_streamed_answer_costs() -> None:
    """On raw signals of three joints and a pelvis, four torque rows: the TCN of the feasibility study."""
    network = create("tcn-stream", features=7, outputs=4, window=40, joints=3)
    assert multiply_adds(network, streamed=True) == 67_584
    assert multiply_adds(_network("gru-stream"), streamed=True) < multiply_adds(_network("gru-stream"))
    with pytest.raises(ConfigError, match=r"bigru looks both ways.*gru-stream"):
        multiply_adds(_network("bigru"), streamed=True)


def test_sizes_can_be_set() -> None:
    network = _network(sizes={"hidden": 16.0, "layers": 1, "dense_1": 24, "dropout": 0.0})
    assert network.hidden(_windows()).shape == (5, 32)
    assert [layer.out_features for layer in network.head if isinstance(layer, torch.nn.Linear)] == [24, 128]
    assert SIZES["bigru"]["hidden"] == 64


@pytest.mark.parametrize(
    ("architecture", "sizes", "message"),
    [
        ("bigru", {"heads": 2}, "bigru has no size 'heads': it has hidden, layers, dropout, dense_1, dense_2"),
        ("transformer", {}, "no architecture 'transformer': take one of bigru, mjca-bigru"),
        ("bigru", {"hidden": 0}, "hidden = 0 of bigru must be a whole number of at least 1"),
        ("bigru", {"hidden": 12.5}, "hidden = 12.5 of bigru must be a whole number"),
        ("bigru", {"hidden": float("nan")}, "hidden = nan of bigru must be a whole number"),
        ("bigru", {"hidden": float("inf")}, "hidden = inf of bigru must be a whole number"),
        ("bigru", {"dropout": float("nan")}, "dropout = nan of bigru"),
        ("bigru", {"dropout": 1.0}, "dropout = 1 of bigru must be from 0 to less than 1"),
        ("cnn", {"kernel": 4}, "kernel = 4 must be odd"),
        ("tcn", {"dilation_2": 3}, r"dilations \[1, 3, 8\] must each be a multiple"),
        ("mjca-bigru", {"heads": 3}, "joint = 64 must be a multiple of heads = 3"),
    ],
)
def test_wrong_sizes_are_refused(architecture: str, sizes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _network(architecture, sizes=sizes)


@pytest.mark.parametrize("look_ahead", [-1, WINDOW])
def test_the_described_step_lies_in_the_window(look_ahead: int) -> None:
    with pytest.raises(ConfigError, match="look-ahead"):
        _network(look_ahead=look_ahead)
