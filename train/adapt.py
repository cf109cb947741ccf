"""Adaptation of trained networks to a new wearer: what `edge.adaptation` does on the device, prepared and tried on recordings.

The correction is linear in the activations of all dense layers, with a constant. It is added to the answers that are torques: all
of the heads `residual` and `torque`, and what `contact` answers beside the wrench.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge.adaptation.adaptable import Adaptable
from edge.adaptation.calibration import Calibration, calibrate
from edge.adaptation.readout import Prior
from edge.errors import ConfigError, EngineError
from edge.manifest import Head
from train.answers import answer_to_torque
from train.export import to_onnx
from train.learning import Learned, network_answer
from train.material import Material
from train.networks import Network
from train.splits import split_by_time

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

BOUND = 3.0
"""A correction changes a torque by at most so many of its row's deviations over all people, whatever the window."""
_MOST_WINDOWS = 6000  # that stand for everybody else; of more, every so-manieth
_JUDGED = 0.2  # of each recording with measured torques
_SAME_S = 1e-4  # moments of different recordings of the same trial


class _Like(Network):
    """Another way to read a network: the same layers and numbers."""

    def __init__(self, network: Network) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(copy.deepcopy(network).__dict__)

    def read(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Taps (batch, taps), what each dense layer gets and a one, and answers (batch, outputs)."""
        layer = self.hidden(window)
        seen = [layer]
        for module in self.head:
            layer = module(layer)
            if isinstance(module, nn.ReLU):
                seen.append(layer)
        raw: Tensor = self.last(layer)
        return torch.cat([*seen, torch.ones_like(layer[:, :1])], dim=1), raw * self.answer_deviation + self.answer_mean

    def first(self, outputs: int) -> Network:
        if outputs != self.outputs:
            raise EngineError("an adaptable network gives all its answers to the device: please report this")
        return copy.deepcopy(self)


class Corrected(_Like):
    """A network whose last answers, one a row, have a correction (taps, rows) of at most `bound` (rows,), in plain units."""

    correction: Tensor
    bound: Tensor

    def __init__(self, network: Network, correction: Tensor, bound: Tensor) -> None:
        super().__init__(network)
        self.register_buffer("correction", correction)
        self.register_buffer("bound", bound)

    def forward(self, window: Tensor) -> Tensor:
        taps, answer = self.read(window)
        more = torch.minimum(torch.maximum(taps @ self.correction, -self.bound), self.bound)
        before = answer.shape[1] - len(self.bound)
        return torch.cat([answer[:, :before], answer[:, before:] + more], dim=1) if before else answer + more


class _Tapped(_Like):
    """Taps and the last `rows` answers (batch, taps + rows)."""

    def __init__(self, network: Network, rows: int) -> None:
        super().__init__(network)
        self.rows = rows

    def forward(self, window: Tensor) -> Tensor:
        taps, answer = self.read(window)
        return torch.cat([taps, answer[:, -self.rows :]], dim=1)


def adaptable(learned: Learned, material: Material, *, train: BoolArray | None = None) -> Adaptable:
    """What the device needs to adapt a network. material: the windows `train` (default all) stand for everybody else.

    Raises ConfigError for a head that answers no torque.
    """
    recipe = learned.recipe
    _require_torque(recipe.head)
    network = copy.deepcopy(learned.network).cpu().eval()
    rows = len(material.model.row_names)
    which = np.flatnonzero(np.ones(len(material), dtype=bool) if train is None else train)
    others = material.take(which[:: -(-len(which) // _MOST_WINDOWS)])
    tapped = _Tapped(network, rows)
    taps = network_answer(tapped, others)[:, :-rows]
    torque = others.gather("torque") - (0.0 if recipe.head == "torque" else others.gather("contact_free"))
    deviation = _known_deviation(torque / others.scale_nm)
    window, features = others.windows.feature.shape[1:]
    moving = replace(recipe.view, pelvis=False).width(len(material.model.joints))
    exported, place = _export(network, deviation, taps.shape[1], window=window, features=features)
    return Adaptable(
        network=exported,
        taps_network=to_onnx(tapped, window=window, features=features),
        place=place,
        window=window,
        features=features,
        prior=Prior(taps.T @ taps / len(taps), deviation),
        moving_deviation=others.windows.feature[:, -1, :moving].std(axis=0),
        rate_hz=recipe.rate_hz,
    )


def corrected(learned: Learned, known: Adaptable, correction: FloatArray | None) -> Learned:
    """The network with a correction, as the device would run it; None: as it was trained."""
    if correction is None:
        return learned
    return replace(learned, network=_corrected(learned.network, correction, known.prior.row_deviation).eval())


def calibrate_to(known: Adaptable, learned: Learned, material: Material) -> Calibration:
    """Learn the measured torques of a wearer: trials with ground reaction, through the network's own recipe.

    The last fifth of each recording judges, see `edge.adaptation.calibration.calibrate`. Raises TrialError for too little.
    """
    learn, judge = split_by_time(material, _JUDGED)
    wanted = torque_left(learned, material.gather("torque"), material)
    return calibrate(known, material.windows.feature, wanted, judge=judge, learn=learn)


def torque_left(learned: Learned, torque_nm: FloatArray, material: Material) -> FloatArray:
    """(windows, rows): what a torque (windows, rows) in Nm leaves to a network's last answers, in mass x gravity x leg length.

    The rest is the contact-free torque of its own kinematics and the torque of the wrench that it answers, as its head has them.
    Raises ConfigError for a head that answers no torque.
    """
    head = learned.recipe.head
    _require_torque(head)
    rest = learned.answer(material)
    rest[:, -torque_nm.shape[1] :] = 0.0
    known_nm = answer_to_torque(head, rest, material.stretches, material.windows)
    return np.asarray((torque_nm - known_nm) / material.scale_nm)


def shared_moments(materials: Sequence[Material]) -> list[IntArray]:
    """For each material the windows of the moments that all describe, in the same order.

    The materials are of the same trials, with inputs of different ages: a student and its teachers.
    """
    names = {name: i for i, name in enumerate(sorted({s.trial.name for m in materials for s in m.stretches}))}
    keys = []
    for material in materials:
        number = np.array([names[s.trial.name] for s in material.stretches])[material.windows.stretch]
        keys.append(np.column_stack([number, np.round(material.windows.time_s / _SAME_S).astype(np.int64)]))
    codes = [k[:, 0] * (1 << 40) + k[:, 1] for k in keys]
    common = codes[0]
    for code in codes[1:]:
        common = np.intersect1d(common, code)
    found = []
    for code in codes:
        first, place = np.unique(code, return_index=True)
        found.append(np.asarray(place[np.isin(first, common)], dtype=np.intp))
    return found


def _require_torque(head: Head) -> None:
    if head not in ("residual", "contact", "torque"):
        raise ConfigError(f"a network with the head '{head}' cannot be adapted: take residual, contact or torque")


def _corrected(network: Network, correction: FloatArray, deviation: FloatArray) -> Corrected:
    return Corrected(network, *(torch.from_numpy(a.astype(np.float32)) for a in (correction, BOUND * deviation)))


def _export(network: Network, deviation: FloatArray, taps: int, *, window: int, features: int) -> tuple[bytes, int]:
    """The ONNX file with a correction of zeros, and the byte at which it begins."""
    mark = np.random.default_rng(0).standard_normal((taps, len(deviation))).astype("<f4")
    content = to_onnx(_corrected(network, mark.astype(np.float64), deviation), window=window, features=features)
    if content.count(mark.tobytes()) != 1:
        raise EngineError(
            "the exported network does not hold its correction in one piece: install the pinned versions of constraints.txt"
        )
    place = content.index(mark.tobytes())
    return content[:place] + bytes(mark.nbytes) + content[place + mark.nbytes :], place


def _known_deviation(values: FloatArray) -> FloatArray:
    """Of each row, over what is known of it; one for a row that says nothing."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / count)
    return np.where(deviation > 1e-6, deviation, 1.0)
