"""A trained network as ONNX, held to the original by a parity check before anything is written."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxscript.optimizer
import torch
from onnxscript import opset18 as op

from edge.errors import EngineError
from edge.inference.onnx_engine import INPUT, OUTPUT, OnnxEngine
from train.networks import Network

PARITY = 1e-4  # largest difference allowed, relative to the largest answer
_LARGEST = 1 << 22  # elements of a constant that is folded


def to_onnx(network: Network, *, window: int, features: int, outputs: int | None = None) -> bytes:
    """The network as one ONNX file: static shapes, batch 1, constants folded.

    outputs: how many of the network's answers the device needs, the first ones; default all.
    """
    wanted = network.first(network.outputs if outputs is None else outputs).cpu().eval()
    # The exporter reports its steps on stdout and through warnings; a command's stdout belongs to its JSON.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            wanted,
            (torch.zeros(1, window, features),),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            external_data=False,
            verbose=False,
            optimize=False,
            custom_translation_table={torch.ops.aten.rnn_tanh.input: _rnn_tanh},
        )
    if program is None:
        raise EngineError("PyTorch exported no ONNX program: install the pinned versions of constraints.txt")
    folded = onnxscript.optimizer.optimize(program.model_proto, input_size_limit=_LARGEST, output_size_limit=_LARGEST)
    assert isinstance(folded, onnx.ModelProto)
    del folded.metadata_props[:]
    for node in folded.graph.node:
        # Stack traces of the exporter: paths of this machine, which neither the network nor its hash should carry.
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(folded)
    return bytes(folded.SerializeToString())


def _rnn_tanh(step: Any, state: Any, weights: Sequence[Any], *_: Any) -> tuple[Any, Any]:
    """One tanh layer as ONNX's operator; PyTorch's exporter would write out every step.

    step: (steps, batch, features). weights: of each direction those of the input, of the state, and the two biases.
    """
    first = [op.Unsqueeze(part, [0]) for part in weights]  # type: ignore[arg-type]
    by_input, by_state = op.Concat(*first[0::4], axis=0), op.Concat(*first[1::4], axis=0)
    biases = [op.Concat(*pair, axis=1) for pair in zip(first[2::4], first[3::4], strict=True)]
    output, last = op.RNN(
        step,
        by_input,
        by_state,
        op.Concat(*biases, axis=0),
        None,
        state,
        direction="bidirectional" if len(biases) == 2 else "forward",
        activations=["Tanh"] * len(biases),
        hidden_size=state.shape[2],
    )  # (steps, directions, batch, hidden)
    output = op.Transpose(output, perm=[0, 2, 1, 3])
    return op.Reshape(output, [0, 0, -1]), last  # type: ignore[arg-type]


def check_parity(network: Network, exported: bytes, windows: npt.NDArray[np.float64], outputs: int) -> float:
    """Largest relative difference between PyTorch and ONNX Runtime over windows (n, window, features).

    outputs: how many of the network's answers were exported. Raises EngineError when the difference exceeds PARITY.
    """
    engine = OnnxEngine(
        exported, window=windows.shape[1], features=windows.shape[2], outputs=outputs, where="exported network"
    )
    with torch.no_grad():
        given = torch.from_numpy(windows.astype(np.float32)).to(network.mean.device)
        wanted = network(given)[:, :outputs].cpu().numpy().astype(np.float64)
    got = np.array([engine.infer(w) for w in windows])
    difference = float(np.abs(got - wanted).max() / max(float(np.abs(wanted).max()), 1e-9))
    if not difference <= PARITY:
        raise EngineError(
            f"exported network differs from the trained one by {difference:.2g} of its largest answer (allowed {PARITY:g}): "
            "install the pinned versions of constraints.txt"
        )
    return difference
