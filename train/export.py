"""A trained network as ONNX, held to the original by a parity check before anything is written."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings

import numpy as np
import numpy.typing as npt
import onnx
import onnxscript.optimizer
import torch

from edge.errors import EngineError
from edge.inference.onnx_engine import INPUT, OUTPUT, OnnxEngine
from train.networks import BiGRU

PARITY = 1e-4  # largest difference allowed, relative to the largest answer


def to_onnx(network: BiGRU, *, window: int, features: int) -> bytes:
    """The network as one ONNX file: static shapes, batch 1, constants folded."""
    network.eval()
    example = torch.zeros(1, window, features)
    # The exporter reports its steps on stdout and through warnings; a command's stdout belongs to its JSON.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise EngineError("PyTorch exported no ONNX program: install the pinned versions of constraints.txt")
    folded = onnxscript.optimizer.optimize(program.model_proto, input_size_limit=1 << 22, output_size_limit=1 << 22)
    assert isinstance(folded, onnx.ModelProto)
    del folded.metadata_props[:]
    for node in folded.graph.node:
        # Stack traces of the exporter: paths of this machine, which neither the network nor its hash should carry.
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(folded)
    return bytes(folded.SerializeToString())


def check_parity(network: BiGRU, exported: bytes, windows: npt.NDArray[np.float64], outputs: int) -> float:
    """Largest relative difference between PyTorch and ONNX Runtime over windows (n, window, features).

    Raises EngineError when it exceeds PARITY.
    """
    engine = OnnxEngine(
        exported, window=windows.shape[1], features=windows.shape[2], outputs=outputs, where="exported network"
    )
    with torch.no_grad():
        wanted = network(torch.from_numpy(windows.astype(np.float32))).numpy().astype(np.float64)
    got = np.array([engine.infer(w) for w in windows])
    difference = float(np.abs(got - wanted).max() / max(float(np.abs(wanted).max()), 1e-9))
    if not difference <= PARITY:
        raise EngineError(
            f"exported network differs from the trained one by {difference:.2g} of its largest answer (allowed {PARITY:g}): "
            "install the pinned versions of constraints.txt"
        )
    return difference
