"""What the people of a training teach a differentiator: a bank for the device, and for each of them one of all the others.

A network whose own person was in the bank learns from inputs that are better than a wearer's will be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.signals.bank import Bank, PersonSums, Recording, person_sums
from edge.signals.layout import Layout
from edge.trial import Trial
from train.dataset import InputSettings, sensor_recordings

BANKED = ("fir", "adaptive")
"""Methods that use a bank."""


@dataclass(frozen=True)
class Banks:
    """everyone: of all people, for the bundle; None where fewer than two are known. others: by subject, of all but this one."""

    everyone: Bank | None
    others: dict[str, Bank | None]

    @classmethod
    def given(cls, bank: Bank, trials: Sequence[Trial]) -> Banks:
        """One bank of other people for all of these."""
        return cls(bank, {trial.subject: bank for trial in trials})


def fit_banks(trials: Sequence[Trial], settings: InputSettings) -> Banks:
    """The banks of the people whose trials these are, told apart by `subject`; trials that name none are one person's."""
    subjects = sorted({trial.subject for trial in trials})
    nothing = Banks(None, dict.fromkeys(subjects))
    if not settings.causal or settings.method not in BANKED or len(subjects) < 2:
        return nothing
    recordings: dict[str, list[Recording]] = {subject: [] for subject in subjects}
    layout: Layout | None = None
    for trial in trials:
        layout, found = sensor_recordings(trial, settings)
        recordings[trial.subject] += found
    assert layout is not None
    # What a laboratory recorded has no sensor's noise.
    known = {subject: person_sums(found, layout.taps, noisy=False) for subject, found in recordings.items()}
    people = {subject: sums for subject, sums in known.items() if sums is not None}
    if len(people) < 2:
        return nothing

    def fitted(who: Sequence[PersonSums]) -> Bank:
        return Bank.fit(who, layout)

    return Banks(
        fitted(list(people.values())),
        {subject: fitted([sums for other, sums in people.items() if other != subject]) for subject in subjects},
    )
