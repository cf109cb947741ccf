"""A bundle whose network is one small matrix, and a leg that swings: enough for every part of a session to be real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import Bundle, DifferentiatorSettings, Manifest, NetworkSettings, content_hashes
from edge.inference.onnx_engine import INPUT, OUTPUT
from edge.msk.hill import MuscleMode
from edge.msk.model import load_model

RATE_HZ = 100.0
WINDOW, LOOK_AHEAD = 5, 1


def tiny_network(features: int, outputs: int, *, scale: float = 1e-3, bias: float = 0.0) -> bytes:
    weight = np.random.default_rng(3).normal(0.0, scale, (WINDOW * features, outputs)).astype(np.float32)
    offset = np.full(outputs, bias, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", [INPUT], ["flat"], axis=1),
            helper.make_node("Gemm", ["flat", "weight", "offset"], [OUTPUT]),
        ],
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, WINDOW, features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, outputs])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(offset, "offset")],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(network)
    data: bytes = network.SerializeToString()
    return data


def write_tiny_bundle(path: Path, *, bias: float = 0.0) -> Bundle:
    model = load_model("leg9")
    features, outputs = 3 * len(model.joints) + 4, len(model.row_names)
    network = tiny_network(features, outputs, bias=bias)
    model_hash, network_hash = content_hashes(model, network)
    manifest = Manifest(
        program="tests",
        subject="tiny",
        model_sha256=model_hash,
        network_sha256=network_hash,
        rate_hz=RATE_HZ,
        inputs="causal",
        muscle_mode=MuscleMode.CORRECT,
        differentiator=DifferentiatorSettings(method="savgol", age_s=0.03),
        network=NetworkSettings(
            head="residual",
            architecture="tiny",
            window=WINDOW,
            look_ahead=LOOK_AHEAD,
            features=features,
            outputs=outputs,
        ),
        training={},
        validation={},
    )
    bundle = Bundle(path, manifest, model, network)
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
