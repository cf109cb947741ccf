from __future__ import annotations

from dataclasses import fields

import pytest

from edge.config import SafetyConfig, load_config
from edge.control.explain import explain
from edge.control.safety import Fault, SafetyLimits

LIMITS = load_config(None).safety_limits(("knee",), [(-1.0, 1.0)])


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_one_line_with_what_happened_and_what_to_do(fault: Fault) -> None:
    words = explain(fault, LIMITS)
    assert "\n" not in words
    assert ": " in words
    assert len(words) <= 200  # three lines of the view


def test_the_limits_that_can_be_set_are_named_as_the_configuration_names_them() -> None:
    named = {word.strip("()").removeprefix("safety.") for fault in Fault for word in explain(fault, LIMITS).split(" ")}
    named = {word.rstrip(":").rstrip(")") for word in named}
    assert {"sensor_age_limit_ms", "max_sequence_gap", "max_consecutive_overruns"} <= named
    assert {"angle_fault_margin_rad", "angle_rate_limit_rad_s"} <= named
    assert {"sensor_age_limit_ms", "max_sequence_gap"} <= set(SafetyConfig.model_fields)
    assert {"sensor_age_limit_ms", "max_sequence_gap"} <= {field.name for field in fields(SafetyLimits)}


def test_the_numbers_are_those_of_this_session() -> None:
    assert "35 ms" in explain(Fault.STALE, LIMITS)
