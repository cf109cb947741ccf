from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from torch import Tensor, nn

from edge.errors import EngineError
from edge.inference.onnx_engine import OnnxEngine
from train.export import PARITY, check_parity, to_onnx
from train.networks import ARCHITECTURES, Network, create

WINDOW, FEATURES, OUTPUTS = 4, 13, 2


def _network(
    architecture: str,
    *,
    look_ahead: int = 0,
    outputs: int = OUTPUTS,
    bounded: bool = False,
    sizes: Mapping[str, float] | None = None,
) -> Network:
    torch.manual_seed(0)
    network = create(
        architecture,
        features=FEATURES,
        outputs=outputs,
        window=WINDOW,
        look_ahead=look_ahead,
        joints=3,
        bounded=bounded,
        sizes=sizes,
    )
    network.normalise(torch.randn(30, WINDOW, FEATURES) * 3.0 + 1.0, torch.randn(30, outputs) * 5.0)
    return network


class _Abreast(nn.Module):
    """Every architecture on the same window, their answers side by side: one export instead of many.

    Those that share the GRU have one layer of it here, and `exported` has two: exporting takes its time.
    """

    def __init__(self) -> None:
        super().__init__()
        few = {name: {"layers": 1} for name in ARCHITECTURES if "gru" in name}
        self.networks = nn.ModuleList([_network(a, look_ahead=1, sizes=few.get(a)) for a in ARCHITECTURES])
        self.outputs = OUTPUTS * len(ARCHITECTURES)

    def first(self, outputs: int) -> _Abreast:
        assert outputs == self.outputs
        return self

    def forward(self, window: Tensor) -> Tensor:
        return torch.cat([network(window) for network in self.networks], dim=1)


def _windows(count: int = 10) -> npt.NDArray[np.float64]:
    return np.random.default_rng(0).normal(size=(count, WINDOW, FEATURES))


@pytest.fixture(scope="module")
def abreast() -> tuple[_Abreast, bytes]:
    networks = _Abreast().eval()
    return networks, to_onnx(networks, window=WINDOW, features=FEATURES)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def exported() -> tuple[Network, bytes]:
    """Of three answers, activations, the device needs two."""
    network = _network("bigru", outputs=3, bounded=True)
    return network, to_onnx(network, window=WINDOW, features=FEATURES, outputs=2)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_onnx_runtime_gives_the_same_answers(abreast: tuple[_Abreast, bytes], architecture: str) -> None:
    networks, file = abreast
    which = ARCHITECTURES.index(architecture)
    own = slice(which * OUTPUTS, (which + 1) * OUTPUTS)
    engine = OnnxEngine(
        file, window=WINDOW, features=FEATURES, outputs=OUTPUTS * len(ARCHITECTURES), where="the test's networks"
    )
    with torch.no_grad():
        wanted = networks.networks[which](torch.from_numpy(_windows().astype(np.float32))).numpy()
    got = np.array([engine.infer(window) for window in _windows()])[:, own]
    assert np.abs(got - wanted).max() < PARITY * np.abs(wanted).max()
    assert np.ptp(wanted, axis=0).min() > 1e-3  # answers that can differ


def test_recurrent_layers_stay_one_operator_each(
    abreast: tuple[_Abreast, bytes], exported: tuple[Network, bytes]
) -> None:
    """Of both directions: one node in the lower layer, and one for each direction in the layer that is read."""
    both = onnx.load_from_string(exported[1]).graph.node
    every = onnx.load_from_string(abreast[1]).graph.node
    kinds = [node.op_type for node in every]
    assert {kind: kinds.count(kind) for kind in ("GRU", "LSTM", "RNN")} == {"GRU": 4 * 2 + 1, "LSTM": 3, "RNN": 3}
    assert [node.op_type for node in both].count("GRU") == 3
    assert len(both) < 30
    assert not {"Loop", "Scan", "If", "ConstantOfShape", "Dropout", "Shape"} & set(kinds)
    for node in (*every, *both):
        if node.op_type == "GRU":
            assert {a.name: a.i for a in node.attribute}["linear_before_reset"] == 1


def test_the_order_of_reset_and_matrix_matters(exported: tuple[Network, bytes]) -> None:
    network, file = exported
    model = onnx.load_from_string(file)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "linear_before_reset":
                attribute.i = 0
    with pytest.raises(EngineError, match="differs"):
        check_parity(network, model.SerializeToString(), _windows(), 2)


def test_only_the_answers_that_the_device_needs(exported: tuple[Network, bytes]) -> None:
    network, file = exported
    assert check_parity(network, file, _windows(), 2) < 1e-5
    (answer,) = onnx.load_from_string(file).graph.output
    assert [d.dim_value for d in answer.type.tensor_type.shape.dim] == [1, 2]
    assert network.outputs == 3


def test_export_is_the_same_twice_and_tells_nothing_of_this_machine(exported: tuple[Network, bytes]) -> None:
    network, file = exported
    assert to_onnx(network, window=WINDOW, features=FEATURES, outputs=2) == file
    assert b"/train/" not in file
    assert b"site-packages" not in file


def test_parity_check_refuses_another_network(exported: tuple[Network, bytes]) -> None:
    network, file = exported
    other = network.first(2)
    with torch.no_grad():
        other.last.bias += 0.1
    with pytest.raises(EngineError, match="differs"):
        check_parity(other, file, np.zeros((3, WINDOW, FEATURES)), 2)
