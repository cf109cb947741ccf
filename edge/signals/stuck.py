"""Joint angles that stand still while the limb moves: a broken encoder."""

from __future__ import annotations

from dataclasses import dataclass

from edge.signals.problems import Problems

_STUCK_ANGLE_S = 1.0
_OTHERS_RAD = 0.35
_BODY_RAD = 0.05
_BODY_MPS2 = 2.0


class StuckCheck:
    """Whether a joint's angle is exactly the same again and again while the body moves.

    An encoder at rest repeats itself too, as does one joint of a person who sits and moves another. So an angle is stuck
    when for a second it has not changed by a digit, another joint (or the base) has turned by 20 degrees and the base itself
    has moved: nobody walks, squats or stands up like that.
    """

    def __init__(self, names: tuple[str, ...], problems: Problems) -> None:
        self._names, self._problems = names, problems
        self._runs: list[_Run | None] = [None] * len(names)  # of each angle, while it repeats itself
        self._last: tuple[float, ...] = ()
        self._last_s = 0.0

    @property
    def stuck(self) -> bool:
        """Whether any of them is."""
        return any(run is not None and run.stuck for run in self._runs)

    def restart(self) -> None:
        """What comes is after a gap: nothing is known of the time between, and what was stuck has yet to move."""
        self._last = ()
        self._runs = [run if run is not None and run.stuck else None for run in self._runs]

    def add(self, t_s: float, values: tuple[float, ...]) -> None:
        """Take the limb at one moment: joint angles and tilt (rad), base acceleration (m/s2)."""
        n = len(self._names)
        last, self._last = self._last, values
        if last:
            for i in range(n):
                run = self._follow(i, t_s, values[i] == last[i])
                if run is not None and not run.stuck and t_s - run.since_s >= _STUCK_ANGLE_S and self._moved(i, run):
                    run.stuck = True
                    self._problems.add(
                        f"stuck:{self._names[i]}",
                        f"the angle of the {self._names[i]} has been exactly {values[i]:.4g} rad for {t_s - run.since_s:.2g} s "
                        "while the limb moved: check its encoder and its cable",
                    )
        self._last_s = t_s

    def _follow(self, i: int, t_s: float, repeats: bool) -> _Run | None:
        """The run of a channel that repeats itself, with the moment taken in; None for one that does not."""
        run = self._runs[i] if repeats else None
        if repeats:
            run = run or _Run(self._last_s, list(self._last), list(self._last))
            run.low = [min(pair) for pair in zip(run.low, self._last, strict=True)]
            run.high = [max(pair) for pair in zip(run.high, self._last, strict=True)]
        self._runs[i] = run
        return run

    def _moved(self, i: int, run: _Run) -> bool:
        """Whether the others have, while angle `i` repeated itself."""
        n = len(self._names)
        span = [high - low for low, high in zip(run.low, run.high, strict=True)]
        body = span[n] >= _BODY_RAD or max(span[n + 1], span[n + 2]) >= _BODY_MPS2
        return body and max(span[k] for k in range(n + 1) if k != i) >= _OTHERS_RAD


@dataclass(slots=True)
class _Run:
    """Since when a channel has been the same, and between what all of them have been since then."""

    since_s: float
    low: list[float]
    high: list[float]
    stuck: bool = False
