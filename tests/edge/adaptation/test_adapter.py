"""Adaptation beside a session: the same verdicts from a process, and a loop that never waits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tiny_adaptable import FEATURES, ROWS, TAPS, WINDOW, answers_of, taps_of, tiny_adaptable, walking

from edge.adaptation.adapter import Adapter, Piece, Study
from edge.inference.onnx_engine import OnnxEngine

CORRECTION = np.random.default_rng(7).normal(0.0, 0.5, (TAPS, ROWS))


def pieces(seconds: float, start_s: float = 0.0) -> Iterator[Piece]:
    time, windows = walking(seconds, start_s=start_s)
    wanted = answers_of(windows) + taps_of(windows) @ CORRECTION
    for i in range(0, len(time), 50):
        part = slice(i, i + 50)
        yield Piece(time[part], windows[part].astype(np.float32), np.stack([wanted[part]] * 2))


def test_a_network_is_offered_that_is_nearer_to_its_teachers() -> None:
    known = tiny_adaptable()
    study = Study(known)
    offers = [offer for piece in pieces(4.0) if (offer := study.take(piece)) is not None]
    assert offers[0].outcome == "adapted"
    assert offers[0].network is not None
    assert offers[0].failure is None
    windows = walking(1.0)[1]
    engine = OnnxEngine(offers[0].network, window=WINDOW, features=FEATURES, outputs=ROWS, where="test")
    answer = np.array([engine.infer(window) for window in windows])
    wanted = answers_of(windows) + taps_of(windows) @ CORRECTION
    assert ((answer - wanted) ** 2).mean() < 0.6 * ((answers_of(windows) - wanted) ** 2).mean()


def test_when_time_runs_backwards_the_trained_network_comes_back() -> None:
    known = tiny_adaptable()
    study = Study(known)
    for piece in pieces(4.0):
        study.take(piece)
    offer = study.take(next(pieces(1.0)))
    assert offer is not None
    assert (offer.outcome, offer.network) == ("taken back", known.network)


def test_a_roll_back_offers_nothing() -> None:
    study = Study(tiny_adaptable())
    for piece in pieces(4.0):
        study.take(piece)
    assert study.take(None) is None
    assert study.take(next(pieces(1.0, start_s=4.0))) is None


def test_a_process_says_the_same() -> None:
    known = tiny_adaptable()
    study = Study(known)
    wanted = [offer for piece in pieces(4.5) if (offer := study.take(piece)) is not None]
    adapter = Adapter(known.to_bytes())
    try:
        assert adapter.newest() is None
        assert all(adapter.take(piece) for piece in pieces(4.5))
        got = [adapter.newest(timeout_s=60.0) for _ in wanted]
    finally:
        adapter.close()
    assert got == wanted


def test_what_ends_the_process_is_said_and_pieces_are_lost_without_waiting() -> None:
    adapter = Adapter(b"no zip")
    try:
        offer = adapter.newest(timeout_s=60.0)
        assert offer is not None
        assert offer.failure is not None
        assert "adaptable network" in offer.failure
        piece = next(pieces(1.0))
        taken = [adapter.take(piece) for _ in range(70)]
        assert taken[0]
        assert not taken[-1]
        assert adapter.lost > 0
    finally:
        adapter.close()
