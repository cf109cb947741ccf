"""A session's use of the wearer's filter: where its file is, what the session begins with, what is kept at its end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import ConfigError, FileError
from edge.signals.filter_file import SUFFIX, KeptFilter

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.config import Config
    from edge.pipeline import Pipeline

LEAST_S = 5.0
"""Of movement: what a shorter session taught is not kept."""


@dataclass(frozen=True)
class WhatWasLearned:
    """At a session's end: see `figures`, and all of it in one line, empty where nothing learns."""

    figures: dict[str, Any]
    line: str


class WearerFilter:
    """The filter of one bundle in one session. Of a bundle whose differentiator does not learn there is none.

    `kept`: what the session begins with, or None. `frozen`: nothing is learned. Raises FileError for a file that cannot be read,
    ConfigError for a file that is named and cannot be used.
    """

    def __init__(self, bundle: Bundle, config: Config, warn: Callable[[str], None]) -> None:
        settings = config.filter
        self.kept: KeptFilter | None = None
        self.frozen = not settings.learn
        self._save = settings.save
        self._path = settings.file or default_path(bundle)
        if bundle.manifest.differentiator.method != "adaptive":
            if settings.file is not None:
                warn(
                    f"{config.source}: `filter.file` is not used: the bundle's differentiator is "
                    f"'{bundle.manifest.differentiator.method}', which learns nothing"
                )
        elif self._path.exists():
            self.kept = KeptFilter.read(self._path)
        elif self.frozen and settings.file is not None:
            raise ConfigError(
                f"{config.source}: key `filter.file`: {self._path} does not exist, and with `filter.learn = false` nothing else "
                "is known of the wearer: name a filter that was learned, or learn"
            )

        if bundle.manifest.differentiator.method == "adaptive" and self._save and not self.frozen:
            problem = _cannot_be_written(self._path)
            if problem and settings.file is not None:
                raise ConfigError(f"{config.source}: key `filter.file`: {problem}")
            if problem:
                warn(f"what is learned will not be kept: {problem}")

    @property
    def attachments(self) -> dict[str, bytes]:
        """What the session log must hold of it, so that a replay begins with the same."""
        from edge.record.format import FILTER_NAME

        return {} if self.kept is None else {FILTER_NAME: self.kept.to_bytes()}

    def finish(self, pipeline: Pipeline) -> WhatWasLearned:
        """Keep what was learned, where it is enough. A file that cannot be written fails no session: the line says so."""
        if pipeline.adaptive is None:
            return WhatWasLearned(figures(pipeline, None), "")
        path, line = self._keep(pipeline)
        found = figures(pipeline, path)
        adaptive = pipeline.adaptive
        own = {**found["filter"], "waits": adaptive.waits, "failed_refits": adaptive.failed_refits}
        return WhatWasLearned({**found, "filter": own}, line)

    def _keep(self, pipeline: Pipeline) -> tuple[Path | None, str]:
        before = "nothing" if self.kept is None else f"{self.kept.learned.movement_s:.0f} s of movement in {self._path}"
        if self.frozen:
            return None, f"filter: frozen, with {before}"
        learned_s = pipeline.learned_s
        said = f"filter: began with {before}, learned from {learned_s:.0f} s more"
        if not self._save:
            return None, f"{said}; not kept, as `filter.save` is false"
        if learned_s < LEAST_S:
            return None, f"{said}; not kept, as less than {LEAST_S:.0f} s teach too little"
        result = pipeline.keep(self._path)
        assert result is not None
        try:
            result.write()
        except FileError as error:
            return None, f"{said}; not kept: {error}"
        return self._path, f"{said}; kept in {self._path}"


def figures(pipeline: Pipeline, path: Path | None) -> dict[str, Any]:
    """What the summary of a session says of its filter: the newest measured errors in degrees by joint, the seconds of movement
    that it had learned from before and that came in this session, and the file that was written. None for what is not known."""
    joint_names = pipeline.joint_names
    rmse = np.full((3, len(joint_names)), np.nan) if pipeline.rmse is None else np.degrees(pipeline.rmse)
    found: dict[str, Any] = {
        f"rmse_{unit}": {n: None if np.isnan(v) else v for n, v in zip(joint_names, row, strict=True)}
        for unit, row in zip(("q_deg", "qd_deg_s", "qdd_deg_s2"), rmse.tolist(), strict=True)
    }
    own = None
    if pipeline.adaptive is not None:
        new_s = pipeline.learned_s
        own = {"before_s": round(pipeline.adaptive.learned.movement_s - new_s, 2), "learned_s": round(new_s, 2)}
    return {**found, "filter": own, "filter_file": None if path is None else str(path)}


def default_path(bundle: Bundle) -> Path:
    """Beside the bundle; of one that came with the program, in the user's state folder ($XDG_STATE_HOME).

    What is learned for one age is of no use for another: a variant has a file of its own.
    """
    path = bundle.path.with_name(f"{bundle.path.stem}{f'-{bundle.variant}' if bundle.variant else ''}{SUFFIX}")
    if not bundle.packaged:
        return path
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "edge-msk" / path.name


def _cannot_be_written(path: Path) -> str:
    """Why a filter cannot be kept there, found out before anything was learned; empty where it can."""
    folder = next(place for place in (path.parent, *path.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return (
            f"{path.parent} cannot be written ({error.strerror}): name another file (`filter.file`), or set "
            "`filter.save = false`"
        )
