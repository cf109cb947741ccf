from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_bundle import WINDOW, tiny_network

from edge.errors import EngineError
from edge.inference.onnx_engine import INPUT, OUTPUT, OnnxEngine

FEATURES, OUTPUTS = 13, 3


def engine(network: bytes, *, window: int = WINDOW, features: int = FEATURES, outputs: int = OUTPUTS) -> OnnxEngine:
    return OnnxEngine(network, window=window, features=features, outputs=outputs, where="subject.msk")


def network(
    op: str = "Identity",
    *,
    inputs: dict[str, list[int | str]] | None = None,
    outputs: dict[str, list[int | str]] | None = None,
    element: int = TensorProto.FLOAT,
) -> bytes:
    """One node from the first input to every output."""
    given = inputs if inputs is not None else {INPUT: [1, 2, 2]}
    answers = outputs if outputs is not None else {OUTPUT: [1, 2, 2]}
    first = next(iter(given))
    graph = helper.make_graph(
        [helper.make_node(op, [first], [name]) for name in answers],
        "odd",
        [helper.make_tensor_value_info(name, element, shape) for name, shape in given.items()],
        [helper.make_tensor_value_info(name, element, shape) for name, shape in answers.items()],
    )
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return data


def refusal(content: bytes, **shape: int) -> str:
    with pytest.raises(EngineError) as caught:
        engine(content, **shape)
    text = str(caught.value)
    assert text.startswith("subject.msk: ")
    assert "make the bundle anew" in text
    assert "\n" not in text
    return text


def test_the_answer_is_the_networks_in_float32() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(WINDOW * FEATURES, OUTPUTS))
    window = rng.normal(size=(WINDOW, FEATURES))
    answer = engine(tiny_network(FEATURES, OUTPUTS, weight=weight, bias=0.5)).infer(window)
    assert answer.dtype == np.float64
    assert answer.shape == (OUTPUTS,)
    np.testing.assert_allclose(answer, window.ravel() @ weight + 0.5, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(answer, answer.astype(np.float32))


def test_the_order_of_the_window_matters_and_views_are_taken_as_they_are() -> None:
    rng = np.random.default_rng(1)
    tested = engine(tiny_network(FEATURES, OUTPUTS, scale=1.0))
    rows = rng.normal(size=(2 * WINDOW, FEATURES)).astype(np.float32)
    view = rows[2 : 2 + WINDOW]
    np.testing.assert_array_equal(tested.infer(view), tested.infer(view.copy()))
    np.testing.assert_array_equal(tested.infer(np.asfortranarray(view)), tested.infer(view))
    assert not np.allclose(tested.infer(view[::-1]), tested.infer(view))


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x07" * 500, tiny_network(FEATURES, OUTPUTS)[:-200]])
def test_what_is_no_network(content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert "cannot load the network" in refusal(content)
    assert capfd.readouterr().err == ""  # ONNX Runtime itself stays silent


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"window": WINDOW + 1}, ["(float, 1, 6, 13)", "(float, 1, 5, 13)"]),
        ({"features": FEATURES - 1}, ["(float, 1, 5, 12)"]),
        ({"outputs": 9}, ["(float, 1, 9)", "(float, 1, 3)"]),
    ],
)
def test_shapes_that_are_not_the_manifests(shape: dict[str, int], words: list[str]) -> None:
    text = refusal(tiny_network(FEATURES, OUTPUTS), **shape)
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    "content",
    [
        network(inputs={"x": [1, 2, 2]}),
        network(inputs={INPUT: [1, 2, 2], "more": [1]}),
        network(outputs={OUTPUT: [1, 2, 2], "more": [1, 2, 2]}),
        network(inputs={INPUT: ["batch", 2, 2]}, outputs={OUTPUT: ["batch", 2, 2]}),
        network(element=TensorProto.DOUBLE),
    ],
)
def test_other_inputs_and_outputs(content: bytes) -> None:
    assert "the network takes" in refusal(content, window=2, features=2, outputs=2)


def test_a_network_that_gives_nan_is_refused_when_it_is_loaded() -> None:
    assert "not a number" in refusal(tiny_network(FEATURES, OUTPUTS, bias=float("nan")))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_an_answer_that_is_not_finite_is_an_error(value: float) -> None:
    tested = engine(tiny_network(FEATURES, OUTPUTS, scale=100.0))
    window = np.zeros((WINDOW, FEATURES))
    window[0] = value
    with pytest.raises(EngineError, match="not a number"):
        tested.infer(window)
    assert np.isfinite(tested.infer(np.zeros((WINDOW, FEATURES)))).all()  # and the next one is fine


def test_a_window_of_another_shape_is_an_error() -> None:
    with pytest.raises(EngineError, match="cannot run the network"):
        engine(tiny_network(FEATURES, OUTPUTS)).infer(np.zeros((WINDOW, FEATURES + 1)))


def test_the_networks_here_are_valid() -> None:
    onnx.checker.check_model(onnx.load_from_string(network()))
