"""The experiments of the papers and our own, each run as `edge-msk experiment NAME`."""

from __future__ import annotations

from collections.abc import Mapping

EXPERIMENTS: Mapping[str, str] = {
    "knee": "train.experiments.knee:run",
    "elbow": "train.experiments.elbow:run",
    "gait": "train.experiments.gait:run",
    "people": "train.experiments.people:run",
    "causality": "train.experiments.causality:run",
    "data": "train.experiments.data:run",
    "tasks": "train.experiments.tasks:run",
}
"""Name -> module:function, loaded when it is called. The function takes `report.Settings` and returns a `report.Report`."""

ABOUT: Mapping[str, str] = {
    "knee": "Knee bending of seven people: backbones, loss ablation, weights, heads, and their electromyograms.",
    "elbow": "An elbow's movement that differs from all movements trained on.",
    "gait": "One person's walking: losses and architectures of the second paper, a speed left out, features.",
    "people": "Everybody's walking, folds by person, with zero-phase and with live inputs.",
    "causality": "Accuracy against look-ahead and the delay of the differentiator.",
    "data": "Accuracy against seconds of training and number of people.",
    "tasks": "Squats, sit-to-stand, running: transfer, and refusal of a task never trained on.",
}
"""Name -> one line of help."""
