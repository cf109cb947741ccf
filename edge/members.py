"""The networks of a bundle and the windows that they are shown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.bundle import Bundle
from edge.inference.onnx_engine import OnnxEngine
from edge.manifest import member_part
from edge.msk.model import Model
from edge.signals.features import View
from edge.signals.intake import KinematicState

FloatArray = npt.NDArray[np.float64]
Window = npt.NDArray[np.float32]


class Rows:
    """The last rows of one view.

    Every row is written twice, `longest` apart, so that the last of them always lie in one piece.
    """

    def __init__(self, view: View, model: Model, longest: int) -> None:
        self._view, self._model, self._longest = view, model, longest
        features = view.width(len(model.joints))
        self._rows = np.zeros((2 * longest, features), dtype=np.float32)
        self._next = 0

    def push(self, state: KinematicState) -> None:
        """Take the next state."""
        row = self._rows[self._next]
        self._view.write(self._model, state, row)
        self._rows[self._next + self._longest] = row
        self._next = (self._next + 1) % self._longest

    def last(self, window: int) -> Window:
        """The newest `window` rows, oldest first; they change with the next push."""
        end = self._next + self._longest
        return self._rows[end - window : end]


class Members:
    """All members of a bundle, fed with the same states. Each view's rows are kept once, whoever is shown them.

    Raises EngineError for a network that is not what the manifest says.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.settings = bundle.manifest.networks
        longest: dict[View, int] = {}
        for own in self.settings:
            longest[own.view] = max(own.window, longest.get(own.view, 0))
        self._rows = {view: Rows(view, bundle.model, window) for view, window in longest.items()}
        self._shown = [(self._rows[own.view], own.window) for own in self.settings]
        self._engines = [
            OnnxEngine(
                network,
                window=own.window,
                features=own.features,
                outputs=own.outputs,
                where=bundle.where if i == 0 else f"{bundle.where}: {member_part(i + 1)}",
            )
            for i, (own, network) in enumerate(bundle.networks)
        ]

    def push(self, state: KinematicState) -> None:
        """Take the next state. After a gap as many states as the longest window has must come before an answer."""
        for rows in self._rows.values():
            rows.push(state)

    @property
    def first_window(self) -> Window:
        """What the first member is shown, (window, features); it changes with the next push."""
        rows, window = self._shown[0]
        return rows.last(window)

    def answers(self) -> list[FloatArray]:
        """Every member's answer (outputs,). Raises EngineError."""
        return [
            engine.infer(rows.last(window)) for engine, (rows, window) in zip(self._engines, self._shown, strict=True)
        ]
