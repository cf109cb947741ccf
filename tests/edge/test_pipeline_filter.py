"""What a pipeline knows of the wearer and of other people, and how wrong it says that it is."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from test_pipeline import bits, frames, line
from tiny_bundle import tiny_bundle

from edge.bundle import Bundle
from edge.errors import FileError
from edge.pipeline import Pipeline
from edge.signals.bank import Bank, PersonSums
from edge.signals.filter_file import KeptFilter
from edge.signals.movement_prior import CALM, normal_equations

PATH = Path("subject.msk")
FILTER = Path("subject.filter")
SECONDS = line(frames(0, 350))


@cache
def adaptive() -> Bundle:
    return tiny_bundle(PATH, method="adaptive", age_s=0.05)


@cache
def learned() -> tuple[KeptFilter, tuple[object, ...]]:
    """What a first session leaves, and its estimates."""
    with closing(Pipeline(adaptive())) as pipeline:
        estimates = bits(pipeline.feed(SECONDS, 0))
        found = pipeline.keep(FILTER)
    assert found is not None
    return found, tuple(estimates)


def test_in_the_background_it_computes_the_same_bits() -> None:
    with closing(Pipeline(adaptive(), background=True)) as pipeline:
        estimates = bits(pipeline.feed(SECONDS, 0))
        found = pipeline.keep(FILTER)
    assert found is not None
    assert tuple(estimates) == learned()[1]
    assert found.to_bytes() == learned()[0].to_bytes()


def test_what_was_kept_is_where_the_next_session_begins() -> None:
    kept = KeptFilter.from_bytes(learned()[0].to_bytes(), FILTER)
    assert kept.learned.movement_s > 2.0
    with closing(Pipeline(adaptive(), kept=kept)) as pipeline:
        assert pipeline.learned_s == 0.0
        estimates = tuple(bits(pipeline.feed(SECONDS, 0)))
        assert pipeline.learned_s == pytest.approx(kept.learned.movement_s)
    assert estimates != learned()[1]
    with closing(Pipeline(adaptive(), kept=learned()[0])) as pipeline:  # as if it had never been a file
        assert tuple(bits(pipeline.feed(SECONDS, 0))) == estimates


def test_a_frozen_filter_is_kept_as_it_was() -> None:
    kept = learned()[0]
    with closing(Pipeline(adaptive(), kept=kept, frozen=True)) as pipeline:
        pipeline.feed(SECONDS, 0)
        assert pipeline.learned_s == 0.0
        again = pipeline.keep(FILTER)
    assert again is not None
    assert again.to_bytes() == kept.to_bytes()


def test_another_wearers_filter_is_refused() -> None:
    with pytest.raises(FileError, match=r"subject.filter: `subject` is ada, this session's is tiny"):
        Pipeline(adaptive(), kept=replace(learned()[0], subject="ada"))


def test_what_does_not_learn_has_nothing_to_keep() -> None:
    pipeline = Pipeline(tiny_bundle(PATH))
    pipeline.feed(SECONDS, 0)
    assert (pipeline.adaptive, pipeline.keep(FILTER), pipeline.learned_s) == (None, None, 0.0)


@pytest.mark.parametrize("method", ["kalman", "savgol", "fir", "adaptive"])
def test_every_differentiator_says_how_wrong_it_is(method: str) -> None:
    with closing(Pipeline(tiny_bundle(PATH, method=method, age_s=0.05))) as pipeline:
        assert pipeline.rmse is None
        pipeline.feed(line(frames(0, 30)), 0)
        assert pipeline.rmse is not None
        assert np.isnan(pipeline.rmse).all()
        pipeline.feed(line(frames(30, 350)), 0)
        assert pipeline.rmse.shape == (3, 3)
        assert (pipeline.rmse > 0.0).all()
        assert (np.degrees(pipeline.rmse[0]) < 0.5).all()


@pytest.mark.parametrize("method", ["fir", "adaptive"])
def test_the_bundles_bank_is_used(method: str) -> None:
    own = tiny_bundle(PATH, method=method, age_s=0.05)
    pipeline = Pipeline(own)
    plain = bits(pipeline.feed(SECONDS, 0))
    layout = pipeline.layout
    person = PersonSums(normal_equations(layout.taps, CALM), 1000.0)
    with_bank = replace(own, bank_part=Bank.fit([person], layout).to_bytes())
    assert bits(Pipeline(with_bank).feed(SECONDS, 0)) != plain
