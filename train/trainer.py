"""The training loop: Adam with a cosine schedule, clipped gradients, the best state on held-out windows, and no work lost.

What a training does is decided by its arguments alone: the same ones give the same network on the same machine, bit for bit on a
processor, interrupted and resumed or not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge.errors import ConfigError, EngineError
from train.balance import create
from train.checkpoint import Checkpoint, State, digest, network_identity
from train.interrupts import interrupts
from train.losses import Target, Terms
from train.trainer_settings import TrainerSettings
from train.training_log import training_log

__all__ = ["History", "Progress", "TrainerSettings", "fit"]

Progress = Callable[[int, dict[str, float]], None]

_ADAM: dict[str, type[torch.optim.Adam]] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
_JUDGED = 2048  # at most; of more, every so-manieth: neighbouring windows tell nearly the same
_AT_ONCE = 512  # judged in one go: what fits into a processor's cache
_NOT_IDENTITY = ("report_every", "checkpoint_every", "checkpoint_every_s", "device")  # they do not change the network


@dataclass
class History:
    """How a training went. The loss's terms are unweighted, and those of the last batch before the report."""

    steps: list[int] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=dict)  # at `steps`
    validated: list[int] = field(default_factory=list)  # steps
    validation: list[float] = field(default_factory=list)  # weighted loss at `validated`
    best_step: int = 0  # whose network it is; the last one without validation
    seconds: float = 0.0  # of all sittings
    stopped_early: bool = False


def fit(
    network: nn.Module,
    inputs: Tensor,
    target: Target,
    settings: TrainerSettings,
    *,
    train: Tensor | None = None,
    judge: Tensor | None = None,
    balance: str = "fixed",
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    log_dir: Path | None = None,
) -> History:
    """Train a network in place on windows `inputs` (n, window, features); it is left in evaluation mode, where it was.

    train, judge: which windows (indices) are trained on (default: all) and validated on. Validation is the loss with the
    target's own weights, without dropout and noise; with `judge` the network ends as the best one validated. Of more than
    2048 windows a regular part is judged.
    balance: of `train.balance.BALANCES`. progress: is told step and terms, and `validation` once there is one.
    checkpoint: a file to go on from when it is there, and to keep the state in: at the end, when interrupted, and now and then.
    log_dir: for curves in TensorBoard.

    Raises EngineError when the training diverges, ConfigError for settings that do not fit, FileError for a checkpoint that
    cannot be written or is of another training, MissingExtraError for a log without its package. KeyboardInterrupt
    says how to resume.
    """
    training = _Training(network, inputs, target, settings, train, judge, balance)
    store = None if checkpoint is None else Checkpoint(checkpoint, training.identity())
    if store is not None:
        training.begin(store)
    home = next(network.parameters()).device
    try:
        with _one_thread(), interrupts() as interrupted, training_log(log_dir, after=training.step) as log:
            training.to(_device(settings.device))
            try:
                for step, values in training.run(store, interrupted):
                    log.write(step, values)
                    if progress is not None:
                        progress(step, values)
            except KeyboardInterrupt:
                if store is None or not training.between_steps:
                    raise
                store.write(training.state())
                raise KeyboardInterrupt(
                    f"stopped by the user after step {training.step} of {settings.steps}: the same training with the "
                    f"checkpoint {store.path} goes on from there"
                ) from None
            training.finish()
    finally:
        training.to(home)
    return training.history


class _Training:
    """A training and its state between two steps."""

    def __init__(
        self,
        network: nn.Module,
        inputs: Tensor,
        target: Target,
        settings: TrainerSettings,
        train: Tensor | None,
        judge: Tensor | None,
        balance: str,
    ) -> None:
        self.settings = settings
        self.network, self.inputs, self.target = network, inputs, target
        self.train = torch.arange(len(inputs)) if train is None else train
        self.judge = None if judge is None else judge[:: math.ceil(len(judge) / _JUDGED) or 1]
        self.balance_name = balance
        self.balance = create(balance, tuple(target.weights))
        for name, which in (("train on", self.train), ("judge on", self.judge)):
            if which is not None and len(which) == 0:
                raise ConfigError(f"there are no windows to {name}: give longer trials, or another split")
        self.optimiser = self._optimiser()
        self.history = History()
        self.best: dict[str, Tensor] | None = None
        self.worse = 0  # validations since the best
        self.step = 0
        self.left = torch.empty(0, dtype=torch.long)  # windows, in order, that are still to be seen
        self.between_steps = True
        self._deviation = torch.empty(0)
        self._seconds, self._since = 0.0, time.monotonic()
        torch.manual_seed(settings.seed)

    def _optimiser(self) -> torch.optim.Optimizer:
        of_balance = list(self.balance.parameters())
        groups: list[dict[str, Any]] = [{"params": list(self.network.parameters())}]
        if of_balance:
            groups.append({"params": of_balance, "weight_decay": 0.0})
        return _ADAM[self.settings.optimiser](
            groups, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay, fused=True
        )

    @property
    def done(self) -> bool:
        return self.step >= self.settings.steps or self.history.stopped_early

    def identity(self) -> dict[str, Any]:
        """All that decides what network comes out."""
        settings = {k: v for k, v in asdict(self.settings).items() if k not in _NOT_IDENTITY}
        return {
            **{f"trainer.{name}": value for name, value in settings.items()},
            "balance": self.balance_name,
            "device": _device(self.settings.device).type,
            "torch": str(torch.__version__),
            **network_identity(self.network),
            "inputs' shape": list(self.inputs.shape),
            "the inputs": digest(self.inputs),
            "the targets": digest(self.target),
            "the windows to train on": digest(self.train),
            "the windows to judge on": digest(self.judge),
        }

    def to(self, device: torch.device) -> None:
        self.network.to(device)
        self.balance.to(device)
        self.inputs, self.target = self.inputs.to(device), self.target.to(device)
        for values in self.optimiser.state.values():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    values[name] = value.to(device)
        self._deviation = getattr(self.network, "deviation", torch.ones(1, device=device)) * self.settings.input_noise

    def state(self) -> State:
        self.history.seconds = self._seconds + time.monotonic() - self._since
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "balance": self.balance.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "left": self.left.clone(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state() if self.inputs.is_cuda else None,
            "best": self.best,
            "worse": self.worse,
            "history": asdict(self.history),
        }

    def restore(self, state: State) -> None:
        self.step, self.left = state["step"], state["left"]
        self.network.load_state_dict(state["network"])
        self.balance.load_state_dict(state["balance"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best, self.worse = state["best"], state["worse"]
        self.history = History(**state["history"])
        self._seconds, self._since = self.history.seconds, time.monotonic()
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"])

    def begin(self, store: Checkpoint) -> None:
        """Go on from what is kept, or see that something can be kept."""
        kept = store.read()
        if kept is None:
            store.write(self.state())
        else:
            self.restore(kept)

    def run(self, store: Checkpoint | None, interrupted: Callable[[], bool]) -> Iterator[tuple[int, dict[str, float]]]:
        """Train to the end, yielding steps and their reports. Raises KeyboardInterrupt between two steps."""
        saved_step, saved_s = self.step, time.monotonic()
        while not self.done:
            terms = self._take_step()
            if self.step == self.settings.steps or self.step % self.settings.validate_every == 0:
                self._validate()
            if self.done or self.step % self.settings.report_every == 0:
                yield self.step, self._report(terms)
            late = time.monotonic() - saved_s >= self.settings.checkpoint_every_s
            due = self.done or late or self.step - saved_step >= self.settings.checkpoint_every
            if store is not None and due:
                self._require_finite(terms)
                store.write(self.state())
                saved_step, saved_s = self.step, time.monotonic()
            if interrupted():
                self._require_finite(terms)
                raise KeyboardInterrupt

    def _take_step(self) -> Terms:
        """One batch; the loss's terms."""
        self.between_steps = False
        self.network.train()
        rate = 0.5 * self.settings.learning_rate * (1.0 + math.cos(math.pi * self.step / self.settings.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        which = self._batch()
        window = self.inputs.index_select(0, which)
        if self.settings.input_noise > 0.0:
            window = torch.randn_like(window).mul_(self._deviation).add_(window)
        terms = self.target.loss(self.network(window), which)
        total = self.balance.total(terms, self.target.weights, self.network)
        self.optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimiser.step()
        self.step += 1
        self.between_steps = True
        return terms

    def _batch(self) -> Tensor:
        """Windows of the next step (batch,): all in random order, again and again."""
        while len(self.left) < self.settings.batch:
            self.left = torch.cat([self.left, self.train[torch.randperm(len(self.train))]])
        which, self.left = self.left[: self.settings.batch], self.left[self.settings.batch :]
        return which.to(self.inputs.device)

    def _validate(self) -> None:
        """Judge the network, where there is something to judge it on, and keep the best."""
        if self.judge is None:
            self.history.best_step = self.step
            return
        self.between_steps = False
        value = self._judged(self.judge.to(self.inputs.device))
        history = self.history
        if not math.isfinite(value):
            raise self._diverged()
        better = value < min(history.validation, default=math.inf)
        history.validated.append(self.step)
        history.validation.append(value)
        if better:
            history.best_step, self.worse = self.step, 0
            self.best = {name: part.detach().clone() for name, part in self.network.state_dict().items()}
        else:
            self.worse += 1
            history.stopped_early = self.settings.patience is not None and self.worse >= self.settings.patience
        self.between_steps = True

    def _judged(self, judge: Tensor) -> float:
        self.network.eval()
        total = torch.zeros((), device=judge.device)
        with torch.inference_mode():
            for which in torch.split(judge, _AT_ONCE):
                terms = self.target.loss(self.network(self.inputs[which]), which)
                weights = self.target.weights
                total += len(which) * sum(weights[name] * terms[name] for name in terms if weights[name] > 0.0)
        return float(total) / len(judge)

    def _report(self, terms: Terms) -> dict[str, float]:
        """The terms as numbers, into the history; with the last validation."""
        self._require_finite(terms)
        values = {name: float(term.detach()) for name, term in terms.items()}
        self.history.steps.append(self.step)
        for name, value in values.items():
            self.history.terms.setdefault(name, []).append(value)
        return {**values, **({"validation": self.history.validation[-1]} if self.history.validation else {})}

    def _require_finite(self, terms: Terms) -> None:
        if not all(math.isfinite(float(term.detach())) for term in terms.values()):
            raise self._diverged()

    def _diverged(self) -> EngineError:
        return EngineError(
            f"training diverged within {self.step} steps: the loss is no number any more: look for outliers in the trials' "
            "angles and forces, or try another --seed"
        )

    def finish(self) -> None:
        """The best network, in evaluation mode."""
        if self.best is not None:
            self.network.load_state_dict(self.best)
        self.network.eval()
        self.optimiser.zero_grad()
        self.history.seconds = self._seconds + time.monotonic() - self._since


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device = 'cuda' of the training: PyTorch finds no CUDA device here: take 'cpu' or 'auto'")
    return torch.device(name)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads, and the last bits depend on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
