from __future__ import annotations

import math
import os
import signal
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import SETTINGS, WINDOWS, TwoTerms, network_of, target_of, trained, windows
from torch import Tensor

from edge.errors import ConfigError, EngineError, FileError
from train import trainer
from train.networks import Network
from train.trainer import History, TrainerSettings, fit


def weights_of(network: Network) -> Tensor:
    return torch.cat([value.flatten().float() for value in network.state_dict().values()])


def same(one: tuple[Network, History], other: tuple[Network, History]) -> bool:
    """Bit for bit, but for the time it took."""
    histories = [replace(history, seconds=0.0) for _, history in (one, other)]
    return torch.equal(weights_of(one[0]), weights_of(other[0])) and histories[0] == histories[1]


def test_it_learns_tells_how_and_is_the_same_again() -> None:
    told: list[tuple[int, dict[str, float]]] = []
    how: dict[str, Any] = {"steps": 60, "input_noise": 0.0, "learning_rate": 0.03}
    network, history = trained(**how, progress=lambda step, terms: told.append((step, terms)))
    assert not network.training
    assert history.steps == [step for step, _ in told] == list(range(4, 61, 4))
    assert set(told[0][1]) == {"motion", "size"}
    assert set(told[-1][1]) == {"motion", "size", "validation"}
    assert [terms["size"] for _, terms in told] == history.terms["size"]
    assert history.validated == list(range(5, 61, 5))
    assert history.validation[-1] < 0.5 * history.validation[0]
    assert history.seconds > 0.0
    assert same((network, history), trained(**how))
    assert not torch.equal(weights_of(network), weights_of(trained(**how, seed=1)[0]))


def test_the_best_network_is_kept_and_validation_is_the_weighted_loss_without_noise() -> None:
    inputs, wanted = windows()
    judge = torch.arange(40, WINDOWS)
    opposed = wanted.clone()
    opposed[judge] *= -1.0  # the more is learned, the worse
    target = target_of(opposed)
    network, history = trained(steps=40, target=target, judge=judge, learning_rate=0.003)
    assert history.best_step < 40
    assert not history.stopped_early
    with torch.no_grad():
        terms = target.loss(network(inputs[judge]), judge)
    assert min(history.validation) == pytest.approx(float(terms["motion"] + 0.1 * terms["size"]), rel=1e-5)
    stopped, early = trained(steps=40, target=target, judge=judge, learning_rate=0.003, patience=2)
    assert early.stopped_early
    assert early.best_step == history.best_step
    assert early.validated[-1] == early.steps[-1] == early.best_step + 2 * SETTINGS.validate_every
    assert torch.equal(weights_of(stopped), weights_of(network))


def test_without_validation_the_last_network_counts() -> None:
    _, history = trained(judge=None, patience=1)
    assert (history.best_step, history.validated, history.stopped_early) == (20, [], False)


@pytest.mark.parametrize("how", [{}, {"balance": "uncertainty"}, {"balance": "gradient", "optimiser": "adam"}])
@pytest.mark.parametrize("after", [4, 12])
def test_interrupted_and_resumed_is_as_never_interrupted(tmp_path: Path, how: dict[str, Any], after: int) -> None:
    def interrupt(step: int, terms: dict[str, float]) -> None:
        if step == after:
            os.kill(os.getpid(), signal.SIGINT)

    checkpoint = tmp_path / "training.checkpoint"
    with pytest.raises(KeyboardInterrupt, match=f"after step {after} of 20.*training.checkpoint goes on from there"):
        trained(checkpoint, progress=interrupt, **how)
    told: list[int] = []
    resumed = trained(checkpoint, progress=lambda step, _: told.append(step), **how)
    assert told == [step for step in range(4, 21, 4) if step > after]
    assert same(resumed, trained(**how))
    assert same(trained(checkpoint, progress=lambda step, _: told.clear(), **how), resumed)
    assert told  # a training that has ended is not trained again
    assert [path.name for path in tmp_path.iterdir()] == ["training.checkpoint"]


def test_an_early_end_and_the_patience_so_far_are_kept(tmp_path: Path) -> None:
    wanted = windows()[1]
    target = target_of(torch.cat([wanted[:40], -wanted[40:]]))
    how = {"steps": 40, "target": target, "patience": 3, "learning_rate": 0.003}
    whole = trained(**how)
    assert whole[1].stopped_early
    last = whole[1].steps[-1]

    def interrupt(step: int, terms: dict[str, float]) -> None:
        if step == last - last % 4 - 4:  # within the patience
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "c", progress=interrupt, **how)
    assert same(trained(tmp_path / "c", **how), whole)
    assert same(trained(tmp_path / "c", **how), whole)


def test_killed_loses_no_more_than_the_steps_since_the_checkpoint(tmp_path: Path) -> None:
    def kill(step: int, terms: dict[str, float]) -> None:
        if step == 16:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint = tmp_path / "training.checkpoint"
    child = os.fork()
    if child == 0:
        trained(checkpoint, checkpoint_every=5, progress=kill)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    told: list[int] = []
    resumed = trained(checkpoint, progress=lambda step, _: told.append(step), report_every=1)
    assert told[0] == 16
    assert torch.equal(weights_of(resumed[0]), weights_of(trained()[0]))


def test_checkpoints_come_by_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    clock = [0.0]

    def write(store: trainer.Checkpoint, state: dict[str, Any]) -> None:
        steps.append(state["step"])

    def three_seconds(step: int, terms: dict[str, float]) -> None:
        clock[0] += 3.0

    monkeypatch.setattr(trainer.Checkpoint, "write", write)
    monkeypatch.setattr(trainer.time, "monotonic", lambda: clock[0])
    _, history = trained(tmp_path / "c", report_every=1, progress=three_seconds, checkpoint_every_s=10.0)
    assert steps == [0, 4, 8, 12, 16, 20]
    assert history.seconds == 60.0


def test_ctrl_c_waits_for_the_end_of_a_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Interrupting(TwoTerms):
        calls = 0

        def loss(self, answer: Tensor, which: Tensor) -> dict[str, Tensor]:
            Interrupting.calls += 1
            if Interrupting.calls == 7:
                os.kill(os.getpid(), signal.SIGINT)
            return super().loss(answer, which)

    before = signal.getsignal(signal.SIGINT)
    target = target_of(kind=Interrupting)
    with pytest.raises(KeyboardInterrupt, match="after step 7 "):
        trained(tmp_path / "c", judge=None, target=target)
    assert signal.getsignal(signal.SIGINT) is before
    assert same(trained(tmp_path / "c", judge=None, target=target), trained(judge=None, target=target))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 30}, r"trainer\.steps is 20 there and 30 here"),
        ({"learning_rate": 0.02}, r"trainer\.learning_rate is 0\.01 there"),
        ({"seed": 3}, r"trainer\.seed is 0 there"),
        ({"balance": "gradient"}, "balance is fixed there and gradient here"),
        ({"network_seed": 5}, "training: the network's first weights differ: give"),
        ({"data_seed": 5}, "the inputs differ; the targets differ"),
        ({"train": torch.arange(39)}, "the windows to train on differ"),
        ({"judge": None}, "the windows to judge on differ"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    checkpoint = tmp_path / "training.checkpoint"
    trained(checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(FileError, match=said):
        trained(checkpoint, **change)
    assert checkpoint.read_bytes() == before
    # What does not change the network may change.
    trained(checkpoint, report_every=3, checkpoint_every=7)


def test_a_checkpoint_that_cannot_be_written_is_said_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be"):
        trained(tmp_path / "file" / "c", progress=lambda *_: pytest.fail("trained all the same"))


@pytest.mark.parametrize("judge", [None, torch.arange(45, WINDOWS)])
def test_divergence_is_said_and_not_kept(tmp_path: Path, judge: Tensor | None) -> None:
    broken = replace(target_of(), deviation=torch.zeros(2))
    with pytest.raises(EngineError, match="diverged within 4 steps" if judge is None else "diverged within [45] steps"):
        trained(tmp_path / "c", target=broken, judge=judge)
    kept = trainer.Checkpoint(tmp_path / "c", {})
    with pytest.raises(FileError, match="another training"):
        kept.read()  # there is one, of the beginning
    network, _ = trained()
    assert torch.isfinite(weights_of(network)).all()


def test_every_window_of_the_training_part_is_seen_before_one_is_seen_again() -> None:
    seen: list[Tensor] = []

    class Recording(TwoTerms):
        def loss(self, answer: Tensor, which: Tensor) -> dict[str, Tensor]:
            seen.append(which)
            return super().loss(answer, which)

    part = torch.arange(10, 37)
    trained(target=target_of(kind=Recording), judge=None, train=part, batch=9, steps=6)
    order = torch.cat(seen)
    assert torch.equal(order[:27].sort().values, part)
    assert torch.equal(order[27:].sort().values, part)
    assert not torch.equal(order[:27], order[27:])
    seen.clear()
    trained(target=target_of(kind=Recording), judge=None, train=part, batch=64, steps=1)
    assert len(seen[0]) == 64
    assert len(seen[0].unique()) == 27


def test_of_many_windows_a_regular_part_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    class Recording(TwoTerms):
        def loss(self, answer: Tensor, which: Tensor) -> dict[str, Tensor]:
            if torch.is_inference_mode_enabled():
                seen.append(which)
            return super().loss(answer, which)

    monkeypatch.setattr(trainer, "_JUDGED", 8)
    monkeypatch.setattr(trainer, "_AT_ONCE", 3)
    trained(target=target_of(kind=Recording), steps=1)
    assert torch.cat(seen).tolist() == list(range(45, 60, 2))
    assert max(len(part) for part in seen) == 3


def test_gradients_are_clipped_and_the_rate_falls_to_nothing() -> None:
    inputs, wanted = windows()
    start = weights_of(network_of(inputs, wanted))
    still, _ = trained(clip=1e-13, weight_decay=0.0, steps=1, judge=None)
    assert float((weights_of(still) - start).abs().max()) < 1e-6  # Adam's epsilon is far above such a gradient
    moved: list[Tensor] = []
    network = network_of(inputs, wanted)
    fit(
        network,
        inputs,
        target_of(wanted),
        replace(SETTINGS, report_every=1),
        progress=lambda *_: moved.append(weights_of(network)),
    )
    distance = [float((b - a).abs().max()) for a, b in pairwise(moved)]
    assert distance[-1] < 0.05 * max(distance)


def test_weights_of_the_balance_are_learned_but_do_not_decay() -> None:
    how: dict[str, Any] = {"balance": "uncertainty", "judge": None}
    assert not same(trained(**how), trained(judge=None))
    # Decay would pull what has no gradient, too: nothing but the weights may differ by it.
    fast, slow = (trained(weight_decay=decay, **how)[1].terms["motion"][-1] for decay in (0.0, 1e-4))
    assert fast == pytest.approx(slow, rel=0.05)


def test_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        trained(steps=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"patience": 0},
        {"learning_rate": math.nan},
        {"clip": 0.0},
        {"input_noise": -1.0},
        {"optimiser": "sgd"},
        {"device": "tpu"},
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        TrainerSettings(**change)


def test_nothing_to_train_or_judge_on_is_refused() -> None:
    for name in ("train", "judge"):
        with pytest.raises(ConfigError, match=f"no windows to {name} on"):
            trained(**{name: torch.empty(0, dtype=torch.long)})


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_missing_cuda_device_is_said() -> None:
    with pytest.raises(ConfigError, match="no CUDA device here"):
        trained(device="cuda")
    assert trained(device="auto")[1].best_step > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("balance", ["fixed", "uncertainty", "gradient"])
def test_a_gpu_trains_as_a_processor_does(tmp_path: Path, balance: str) -> None:
    quiet: dict[str, Any] = {"input_noise": 0.0, "steps": 60, "balance": balance}
    network, history = trained(device="cuda", **quiet)
    on_processor = trained(**quiet)[1]
    assert next(network.parameters()).device.type == "cpu"
    assert not network.training
    assert history.validation[0] == pytest.approx(on_processor.validation[0], rel=0.2)  # the dropout differs
    assert history.validation[-1] == pytest.approx(on_processor.validation[-1], rel=0.3)

    def interrupt(step: int, terms: dict[str, float]) -> None:
        if step == 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="after step 32"):
        trained(tmp_path / "c", device="cuda", progress=interrupt, **quiet)
    with pytest.raises(FileError, match="device is cuda there and cpu here"):
        trained(tmp_path / "c", **quiet)
    resumed = trained(tmp_path / "c", device="cuda", **quiet)
    torch.testing.assert_close(weights_of(resumed[0]), weights_of(network), rtol=1e-3, atol=1e-4)
    assert asdict(resumed[1]).keys() == asdict(history).keys()
    assert resumed[1].validation == pytest.approx(history.validation, rel=1e-2)
