"""A network of one matrix that can be corrected, and walking of two sines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.adaptation.adaptable import Adaptable
from edge.adaptation.readout import Prior
from edge.inference.onnx_engine import INPUT, OUTPUT

FloatArray = npt.NDArray[np.float64]

WINDOW, FEATURES, TAPS, ROWS, RATE_HZ = 4, 2, 9, 2, 100.0
_READ = np.random.default_rng(1).normal(0.0, 0.3, (WINDOW * FEATURES, TAPS - 1))
_ANSWER = np.random.default_rng(2).normal(0.0, 0.3, (WINDOW * FEATURES, ROWS))


def walking(
    seconds: float, *, start_s: float = 0.0, size: float = 1.0, offset: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Times (m,) and windows (m, WINDOW, FEATURES)."""
    time = start_s + np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    then = time[:, None] + (np.arange(WINDOW) - WINDOW + 1) / RATE_HZ
    angle = np.stack([np.sin(2 * np.pi * then), np.cos(2 * np.pi * then) + 0.3 * np.sin(6 * np.pi * then)], axis=2)
    return time, offset + size * angle


def taps_of(windows: FloatArray) -> FloatArray:
    flat = windows.reshape(len(windows), -1)
    return np.column_stack([np.maximum(flat @ _READ, 0.0), np.ones(len(flat))])


def answers_of(windows: FloatArray) -> FloatArray:
    return np.asarray(windows.reshape(len(windows), -1) @ _ANSWER)


def prior() -> Prior:
    taps = taps_of(walking(4.0)[1])
    return Prior(taps.T @ taps / len(taps), np.ones(ROWS))


def tiny_adaptable() -> Adaptable:
    mark = np.random.default_rng(3).normal(size=(TAPS, ROWS)).astype("<f4")
    network = _graph(
        [
            helper.make_node("MatMul", ["taps", "correction"], ["more"]),
            helper.make_node("Add", ["raw", "more"], [OUTPUT]),
        ],
        ROWS,
        {"correction": mark},
    )
    place = network.index(mark.tobytes())
    return Adaptable(
        network=network[:place] + bytes(mark.nbytes) + network[place + mark.nbytes :],
        taps_network=_graph([helper.make_node("Concat", ["taps", "raw"], [OUTPUT], axis=1)], TAPS + ROWS, {}),
        place=place,
        window=WINDOW,
        features=FEATURES,
        prior=prior(),
        moving_deviation=np.full(FEATURES, 0.7),
        rate_hz=RATE_HZ,
    )


def _graph(end: list[onnx.NodeProto], outputs: int, more: dict[str, npt.NDArray[np.float32]]) -> bytes:
    values = {
        "read": _READ.astype(np.float32),
        "answer_of": _ANSWER.astype(np.float32),
        "one": np.ones((1, 1), np.float32),
    }
    nodes = [
        helper.make_node("Flatten", [INPUT], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "read"], ["sums"]),
        helper.make_node("Relu", ["sums"], ["units"]),
        helper.make_node("Concat", ["units", "one"], ["taps"], axis=1),
        helper.make_node("MatMul", ["flat", "answer_of"], ["raw"]),
        *end,
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, WINDOW, FEATURES])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, outputs])],
        [numpy_helper.from_array(array, name) for name, array in {**values, **more}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
