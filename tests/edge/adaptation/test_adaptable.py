"""A network with a correction in its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_adaptable import FEATURES, ROWS, TAPS, WINDOW, answers_of, taps_of, tiny_adaptable, walking

from edge.adaptation.adaptable import Adaptable
from edge.archive import pack, unpack
from edge.errors import BundleError, EngineError
from edge.inference.onnx_engine import OnnxEngine

HERE = Path("some.msk")


def infer(network: bytes, windows: np.ndarray) -> np.ndarray:
    engine = OnnxEngine(network, window=WINDOW, features=FEATURES, outputs=ROWS, where="test")
    return np.array([engine.infer(window) for window in windows])


def test_taps_and_answers_are_read() -> None:
    known = tiny_adaptable()
    windows = walking(0.2)[1]
    taps, answers = known.read(known.taps_engine(), windows)
    np.testing.assert_allclose(taps, taps_of(windows), atol=1e-6)
    np.testing.assert_allclose(answers, answers_of(windows), atol=1e-6)


def test_the_file_answers_with_its_correction_and_without_as_it_was_trained() -> None:
    known = tiny_adaptable()
    windows = walking(0.2)[1]
    correction = np.random.default_rng(0).normal(size=(TAPS, ROWS))
    np.testing.assert_allclose(infer(known.corrected(None), windows), answers_of(windows), atol=1e-6)
    wanted = answers_of(windows) + taps_of(windows) @ correction
    np.testing.assert_allclose(infer(known.corrected(correction), windows), wanted, atol=1e-5)
    assert len(known.corrected(correction)) == len(known.network)


@pytest.mark.parametrize("wrong", [np.zeros((TAPS, ROWS + 1)), np.full((TAPS, ROWS), np.nan)])
def test_what_cannot_be_a_correction_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(EngineError, match="cannot be put"):
        tiny_adaptable().corrected(wrong)


def test_a_file_gives_back_what_was_written() -> None:
    known = tiny_adaptable()
    again = Adaptable.from_bytes(known.to_bytes(), HERE)
    assert again.to_bytes() == known.to_bytes()
    assert again.corrected(None) == known.network
    np.testing.assert_array_equal(again.prior.gram, known.prior.gram)


def test_damage_is_named() -> None:
    known = tiny_adaptable()
    content = known.to_bytes()
    names = ("adaptation.json", "network.onnx", "taps.onnx", "gram.npy", "row_deviation.npy")
    names += ("moving_deviation.npy",)
    parts = unpack(content, HERE, kind="test", error=BundleError, required=names)
    for name, spoilt, message in (
        ("adaptation.json", parts["adaptation.json"].replace(b'"taps": 9', b'"taps": 8'), "not what"),
        ("adaptation.json", parts["adaptation.json"].replace(b'"taps": 9', b'"taps": "x"'), "`taps`"),
        ("adaptation.json", parts["adaptation.json"].replace(b'"moving": 2', b'"moving": 3'), "not what"),
        ("network.onnx", parts["network.onnx"][: known.place], "behind the end"),
        ("gram.npy", parts["gram.npy"][:-8], "cut off"),
    ):
        assert spoilt != parts[name]
        with pytest.raises(BundleError, match=message):
            Adaptable.from_bytes(pack({**parts, name: spoilt}), HERE)
    with pytest.raises(BundleError, match="truncated"):
        Adaptable.from_bytes(content[:100], HERE)


def test_more_moving_columns_than_features_or_no_deviation_is_refused() -> None:
    known = tiny_adaptable()
    many = replace(known, moving_deviation=np.ones(FEATURES + 1))
    with pytest.raises(BundleError, match="`moving`"):
        Adaptable.from_bytes(many.to_bytes(), HERE)
    still = replace(known, prior=replace(known.prior, row_deviation=np.zeros(ROWS)))
    with pytest.raises(BundleError, match="positive"):
        Adaptable.from_bytes(still.to_bytes(), HERE)
