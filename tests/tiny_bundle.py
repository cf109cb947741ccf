"""A bundle whose network is one small matrix, and a leg that swings: enough for every part of a session to be real."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import Bundle, DifferentiatorSettings, Head, Manifest, NetworkSettings, content_hashes
from edge.bundle_fit import answer_width
from edge.inference.onnx_engine import INPUT, OUTPUT
from edge.msk.hill import MuscleMode
from edge.msk.model import Model, load_model
from edge.novelty import About, Novelty
from edge.signals.features import Signals, View

RATE_HZ = 100.0
WINDOW, LOOK_AHEAD = 5, 1


def tiny_network(
    features: int,
    outputs: int,
    *,
    window: int = WINDOW,
    scale: float = 1e-3,
    bias: float | np.ndarray = 0.0,
    weight: np.ndarray | None = None,
) -> bytes:
    """answer = flattened window @ weight + bias; the weight is random unless given, (window * features, outputs)."""
    if weight is None:
        weight = np.random.default_rng(3).normal(0.0, scale, (window * features, outputs))
    offset = np.broadcast_to(np.asarray(bias, dtype=np.float32), outputs)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", [INPUT], ["flat"], axis=1),
            helper.make_node("Gemm", ["flat", "weight", "offset"], [OUTPUT]),
        ],
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, window, features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, outputs])],
        [numpy_helper.from_array(weight.astype(np.float32), "weight"), numpy_helper.from_array(offset, "offset")],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(network)
    data: bytes = network.SerializeToString()
    return data


def tiny_settings(model: Model, **settings: Any) -> NetworkSettings:
    """Of a network for a model; what is not given is `NetworkSettings`' default, or the bundle's."""
    given = {"head": "residual", "window": WINDOW, "look_ahead": LOOK_AHEAD, **settings}
    view = View(given.get("signals", "derivatives"), given.get("pelvis", True))
    return NetworkSettings(
        architecture="tiny",
        features=view.width(len(model.joints)),
        outputs=answer_width(given["head"], model),
        **given,
    )


def tiny_network_for(settings: NetworkSettings, *, bias: float = 0.0) -> bytes:
    return tiny_network(settings.features, settings.outputs, window=settings.window, bias=bias)


def with_tiny_member(bundle: Bundle, *, network: bytes | None = None, **settings: Any) -> Bundle:
    """The same with one more member."""
    own = tiny_settings(bundle.model, **settings)
    return bundle.with_member(own, tiny_network_for(own) if network is None else network)


def tiny_novelty(window: int, features: int, *, radius: float, hold_s: float = 1.0) -> Novelty:
    """The score of a window is its length (the root of its sum of squares) over the radius; each is held for itself."""
    width = window * features
    return Novelty(
        About(
            window=window,
            features=features,
            components=1,
            prototypes=1,
            groups=2,
            flagged=0.0,
            settle_s=0.0,
            hold_s=hold_s,
        ),
        centre=np.zeros((window, features)),
        scale=np.ones((window, features)),
        components=np.eye(1, width),
        metric=np.eye(2),
        prototypes=np.zeros((1, 2)),
        radius=np.array([radius]),
    )


def tiny_bundle(
    path: Path,
    *,
    network: bytes | None = None,
    bias: float = 0.0,
    head: Head = "residual",
    inputs: Literal["causal", "zero-phase"] = "causal",
    method: str = "savgol",
    age_s: float = 0.03,
    window: int = WINDOW,
    look_ahead: int = LOOK_AHEAD,
    model_name: str = "leg9",
    signals: Signals = "derivatives",
    pelvis: bool = True,
    weight: float = 1.0,
) -> Bundle:
    """In memory only."""
    model = load_model(model_name)
    settings = tiny_settings(
        model,
        head=head,
        window=window,
        look_ahead=look_ahead,
        signals=signals,
        pelvis=pelvis,
        weight=weight,
    )
    network = tiny_network_for(settings, bias=bias) if network is None else network
    model_hash, network_hash = content_hashes(model, network)
    manifest = Manifest(
        program="tests",
        subject="tiny",
        model_sha256=model_hash,
        network_sha256=network_hash,
        rate_hz=RATE_HZ,
        inputs=inputs,
        muscle_mode=MuscleMode.CORRECT,
        differentiator=DifferentiatorSettings(method=method, age_s=age_s),
        network=settings,
        training={},
        validation={},
    )
    return Bundle(path, manifest, model, network)


def write_tiny_bundle(path: Path, *, bias: float = 0.0) -> Bundle:
    bundle = tiny_bundle(path, bias=bias)
    bundle.write()
    return bundle


def write_swinging_leg(path: Path, *, seconds: float = 1.0) -> Path:
    """An OpenSim motion file at 100 Hz: the leg swings slowly about a resting pelvis."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    swing = np.sin(2.0 * np.pi * time)
    columns = {
        "time": time,
        "pelvis_tilt": np.zeros_like(time),
        "pelvis_tx": np.zeros_like(time),
        "pelvis_ty": np.full_like(time, 0.95),
        "hip_flexion_r": 0.1 + 0.2 * swing,
        "knee_angle_r": -0.5 + 0.2 * swing,
        "ankle_angle_r": 0.05 * swing,
    }
    rows = "\n".join("\t".join(f"{value:.9f}" for value in row) for row in zip(*columns.values(), strict=True))
    path.write_text(
        f"swing\nversion=1\nnRows={len(time)}\nnColumns={len(columns)}\ninDegrees=no\nendheader\n"
        + "\t".join(columns)
        + f"\n{rows}\n"
    )
    return path
