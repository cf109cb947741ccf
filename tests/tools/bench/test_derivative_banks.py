from __future__ import annotations

import numpy as np
import pytest

from edge.signals.bank import fit_bank, person_sums
from edge.signals.differentiate import METHODS
from edge.signals.taps import Taps
from tools.bench.derivative_banks import BANKED, OtherPeople, with_bank
from tools.bench.derivative_tables import by_person
from tools.bench.movements import RATE_HZ, Movement, Part, disturbed

AGE_S = 0.05


def walk(person: str, seed: int, seconds: float = 4.0) -> Movement:
    """Two legs of one joint each, half a stride apart."""
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2.0 * np.pi * (1.0 + 0.05 * draw.normal()) * time
    leg = [sum(np.sin(k * (phase + shift)) * 0.4 / k**1.5 for k in range(1, 5)) for shift in (0.0, np.pi)]
    q = np.stack(leg, axis=1)
    return Movement(person, person, "walking", time, q, ("r", "l"), (Part("walking", 0.0, float(time[-1])),))


PEOPLE = [walk(name, seed) for seed, name in enumerate("abcd")]


def test_nobody_is_in_their_own_bank() -> None:
    others = OtherPeople(PEOPLE)
    without = OtherPeople(PEOPLE[1:])
    # Who is not there changes the seeds of the noise: the same people with the same noise.
    without._seed += 1
    np.testing.assert_array_equal(others.bank("a", AGE_S).features, without.bank("nobody", AGE_S).features)
    assert not np.array_equal(others.bank("a", AGE_S).features, others.bank("b", AGE_S).features)
    assert others.bank("a", AGE_S) is others.bank("a", AGE_S)


def test_each_walk_serves_as_it_is_and_mirrored() -> None:
    taps = Taps(2, RATE_HZ, AGE_S)
    times, samples = disturbed(PEOPLE[0], 1000)
    sums = person_sums([(times, samples), (times, samples[:, ::-1])], taps)
    assert sums is not None
    np.testing.assert_array_equal(
        OtherPeople(PEOPLE[:1]).bank("nobody", AGE_S).features, fit_bank([sums], taps).features
    )


@pytest.mark.parametrize("method", BANKED)
def test_a_bank_helps_somebody_new(method: str) -> None:
    assert method in METHODS
    others = OtherPeople(PEOPLE)
    rows = by_person(PEOPLE[:1], [method, with_bank(method)], [AGE_S], make={with_bank(method): others.build})
    errors = {row["method"]: row["qd_deg_s"] for row in rows}
    assert errors[with_bank(method)] < errors[method]
