"""Which channels a filter stands on, and how: what has to be the same before weights of one session serve another."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.signals.differentiator import REFERENCE_AGE_S
from edge.signals.taps import Taps

_MOST_CHANNELS = 128  # of a frame


class Layout(BaseModel):
    """The channels in their order, and what else decides what a filter's weights mean."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    channels: tuple[str, ...] = Field(min_length=1, max_length=_MOST_CHANNELS)
    gyroscopes: tuple[str, ...]
    """The channels whose rates are measured too."""
    rate_hz: float = Field(ge=1, le=10_000)
    age_s: float = Field(ge=0, le=REFERENCE_AGE_S)
    scale: tuple[float, ...]
    """Of each channel, see `Taps.scale`."""

    @model_validator(mode="after")
    def _fits_itself(self) -> Layout:
        if len(set(self.channels)) != len(self.channels):
            raise ValueError("a channel stands twice")
        if not set(self.gyroscopes) <= set(self.channels) or len(set(self.gyroscopes)) != len(self.gyroscopes):
            raise ValueError("gyroscopes are some of the channels, each once")
        if len(self.scale) != len(self.channels) or not all(scale > 0 for scale in self.scale):
            raise ValueError("every channel has a scale above zero")
        return self

    @property
    def taps(self) -> Taps:
        """What of the samples a filter looks at."""
        return Taps(
            len(self.channels),
            self.rate_hz,
            self.age_s,
            tuple(self.channels.index(name) for name in self.gyroscopes),
            np.array(self.scale),
        )

    def difference(self, other: Layout) -> tuple[str, object, object] | None:
        """The first field that is not the same, with both values."""
        for name in type(self).model_fields:
            own, others = getattr(self, name), getattr(other, name)
            if own != others:
                return name, own, others
        return None
