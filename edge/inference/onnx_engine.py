"""The ONNX Runtime engine: one thread, static shapes, on the CPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from edge.errors import EngineError

INPUT = "window"
OUTPUT = "answer"
_FLOAT = "tensor(float)"


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
        options.log_severity_level = 4  # what goes wrong comes as an exception, and is said once
        self._where = where
        try:
            self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime has no exception type of its own to catch
            raise EngineError(
                f"{where}: ONNX Runtime cannot load the network ({_first_line(error)}): make the bundle anew"
            ) from None
        given = {i.name: (i.type, *i.shape) for i in self._session.get_inputs()}
        answers = {o.name: (o.type, *o.shape) for o in self._session.get_outputs()}
        if given != {INPUT: (_FLOAT, 1, window, features)} or answers != {OUTPUT: (_FLOAT, 1, outputs)}:
            raise EngineError(
                f"{where}: the network takes {_signature(given)} and gives {_signature(answers)}, the manifest says "
                f"{INPUT} (float, 1, {window}, {features}) and {OUTPUT} (float, 1, {outputs}): make the bundle anew"
            )
        self.infer(np.zeros((window, features), dtype=np.float32))

    def infer(self, window: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """The network's answer (outputs,) to a window (window, features). Raises EngineError when it is not finite."""
        feed = {INPUT: np.ascontiguousarray(window[None], dtype=np.float32)}
        try:
            answer = self._session.run([OUTPUT], feed)[0][0].astype(np.float64)
        except Exception as error:  # noqa: BLE001 - as above
            raise EngineError(
                f"{self._where}: ONNX Runtime cannot run the network ({_first_line(error)}): make the bundle anew"
            ) from None
        if not np.isfinite(answer).all():
            raise EngineError(
                f"{self._where}: the network gave a value that is not a number: its input lies outside of all training, "
                "or its weights are spoilt: make the bundle anew if it happens again"
            )
        return np.asarray(answer)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _signature(tensors: dict[str, tuple[object, ...]]) -> str:
    parts = [f"{name} ({', '.join(map(str, shape)).replace(_FLOAT, 'float')})" for name, shape in tensors.items()]
    return ", ".join(parts) or "nothing"
