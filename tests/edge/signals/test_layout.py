from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edge.signals.layout import Layout

GOOD: dict[str, Any] = {
    "channels": ("hip", "knee", "tilt"),
    "gyroscopes": ("tilt",),
    "rate_hz": 100.0,
    "age_s": 0.05,
    "scale": (1.0, 1.0, 10.0),
}


def test_it_says_what_a_filter_looks_at() -> None:
    taps = Layout(**GOOD).taps
    assert (taps.n_joints, taps.rate_hz, taps.age_s, taps.gyroscopes) == (3, 100.0, 0.05, (2,))
    np.testing.assert_array_equal(taps.scale, [1.0, 1.0, 10.0])


def test_json_gives_the_same_back() -> None:
    layout = Layout(**{**GOOD, "age_s": 0.1 + 0.2 - 0.2})
    assert Layout.model_validate_json(layout.model_dump_json()) == layout


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", ("knee", "hip", "tilt")),
        ("gyroscopes", ()),
        ("rate_hz", 200.0),
        ("age_s", 0.04),
        ("scale", (1.0, 1.0, 1.0)),
    ],
)
def test_the_first_difference_is_named(field: str, value: object) -> None:
    one, other = Layout(**GOOD), Layout(**{**GOOD, field: value})
    assert one.difference(Layout(**GOOD)) is None
    assert one.difference(other) == (field, GOOD[field], value)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": ("hip", "hip", "tilt")},
        {"channels": ()},
        {"gyroscopes": ("foot",)},
        {"gyroscopes": ("tilt", "tilt")},
        {"scale": (1.0, 1.0)},
        {"scale": (1.0, 1.0, 0.0)},
        {"rate_hz": float("nan")},
        {"age_s": 0.5},
        {"colour": "red"},
    ],
)
def test_what_does_not_fit_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Layout(**{**GOOD, **change})
