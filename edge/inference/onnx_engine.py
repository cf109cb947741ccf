"""The ONNX Runtime engine: one thread, static shapes, on the CPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from edge.errors import EngineError

INPUT = "window"
OUTPUT = "answer"


class OnnxEngine:
    """Runs a network (1, window, features) -> (1, outputs) in float32."""

    name = "onnx"

    def __init__(self, network: bytes, *, window: int, features: int, outputs: int, where: str) -> None:
        """Load and warm up. `where` names the network's origin in messages. Raises EngineError."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # Spinning threads would burn a core of the device between two samples.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime has no exception type of its own to catch
            reason = str(error).strip().splitlines()[0]
            raise EngineError(
                f"{where}: ONNX Runtime cannot load the network ({reason}): make the bundle anew"
            ) from None
        given = {i.name: tuple(i.shape) for i in self._session.get_inputs()}
        answers = {o.name: tuple(o.shape) for o in self._session.get_outputs()}
        if given != {INPUT: (1, window, features)} or answers != {OUTPUT: (1, outputs)}:
            raise EngineError(
                f"{where}: network takes {given} and gives {answers}, the manifest says "
                f"{INPUT} {(1, window, features)} and {OUTPUT} {(1, outputs)}: make the bundle anew"
            )
        self.infer(np.zeros((window, features)))

    def infer(self, window: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The network's answer (outputs,) to a window (window, features). Raises EngineError when it is not finite."""
        answer = self._session.run([OUTPUT], {INPUT: window[None].astype(np.float32)})[0][0].astype(np.float64)
        if not np.isfinite(answer).all():
            raise EngineError("the network gave a value that is not a number: its input lies outside of all training")
        return np.asarray(answer)
