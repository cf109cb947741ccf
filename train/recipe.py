"""Everything that decides what network is trained, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.errors import ConfigError
from edge.manifest import Head
from edge.msk.hill import MuscleMode
from edge.signals.bank import Bank
from edge.signals.features import Signals, View
from train.dataset import InputSettings
from train.sensor_quality import USUAL
from train.trainer_settings import TrainerSettings

Noise = Literal["none", "usual"]


@dataclass(frozen=True)
class Recipe:
    """How one network is made.

    architecture: of `train.networks.ARCHITECTURES`, sizes: what of its sizes differs from the papers'.
    head, loss, weights: what the network answers and what it is asked for, see `train.targets`; weights: of the loss's terms,
    where they differ from the loss's own.
    signals, pelvis: what it is shown, see `edge.signals.features`.
    causal: inputs from the device's differentiator (`method`), `age_s` after the moment described; otherwise zero-phase.
    noise: `usual` puts the errors of usual sensors into the inputs.
    effort_weight: of the loss `normalised` of the head `activation`. even_people: people with few windows are seen more often.
    """

    architecture: str = "bigru"
    head: Head = "residual"
    loss: str = "normalised"
    weights: Mapping[str, float] = field(default_factory=dict)
    balance: str = "fixed"
    signals: Signals = "derivatives"
    pelvis: bool = True
    sizes: Mapping[str, float] = field(default_factory=dict)
    causal: bool = True
    rate_hz: float = 100.0
    window: int = 20
    look_ahead: int = 0
    method: str = "kalman"
    age_s: float = 0.05
    noise: Noise = "none"
    noise_seed: int = 0
    mode: MuscleMode = MuscleMode.CORRECT
    effort_weight: float = 1.0
    even_people: bool = False
    trainer: TrainerSettings = field(default_factory=TrainerSettings)

    def __post_init__(self) -> None:
        if not 0 <= self.look_ahead < self.window:
            raise ConfigError(f"look-ahead {self.look_ahead} must be smaller than the window of {self.window} frames")
        if self.noise == "usual" and not self.causal:
            raise ConfigError("noise of sensors belongs to causal inputs: zero-phase ones are a laboratory's")

    @property
    def view(self) -> View:
        return View(self.signals, self.pelvis)

    def inputs(self, bank: Bank | None = None) -> InputSettings:
        """How the kinematics come about. bank: what other people's movement tells the differentiator."""
        return InputSettings(
            self.rate_hz,
            self.causal,
            self.method,
            self.age_s if self.causal else 0.0,
            pelvis=self.pelvis,
            sensors=USUAL if self.noise == "usual" else None,
            seed=self.noise_seed,
            bank=bank,
        )


PERSON = Recipe()
"""One person's own network: the bidirectional GRU of Ma et al. 2025 with the `residual` head."""

PEOPLE = Recipe(
    architecture="tcn",
    head="contact",
    signals="segments",
    even_people=True,
    trainer=TrainerSettings(steps=2500, batch=128, learning_rate=3e-3, weight_decay=1e-3, input_noise=0.1),
)
"""A network for people whom nobody has measured. Contact is what people have in common, and the motion of their segments is what
it shows in; a small convolutional network learns it from few people better than a recurrent one (docs/results.md)."""

PRESETS: Mapping[str, Recipe] = {"person": PERSON, "people": PEOPLE}
