"""`edge-msk`: the command line. Subcommands are named here as text and loaded when they are called.

So `--help` imports nothing heavy, the device needs no desktop package, and nothing in `edge` imports upward.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import edge
from edge.desktop import desktop
from edge.errors import EdgeMskError, MissingExtraError

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("edge.commands.run:run", "Estimate live from a sensor, command an output, record a log."),
    "replay": ("edge.commands.replay:replay", "Run a session log through the estimator again and compare."),
    "solve": ("edge.commands.solve:solve", "Inverse dynamics and static optimisation of a recording."),
    "train": ("train.cli:train_command", "Train a subject bundle from motion, without labels."),
    "evaluate": ("train.evaluate_cli:evaluate_command", "Compare a bundle with a reference on recordings."),
    "experiment": ("train.experiments.cli:experiment", "Reproduce the papers' experiments, and ours, on recordings."),
    "sweep": ("train.sweep.cli:sweep", "Find good settings of an experiment or of a subject's training."),
    "simulate": ("tools.simulate:simulate", "Play a recording as a sensor on a pseudo-terminal."),
    "import-model": ("tools.import_opensim:import_model", "Make a leg model from an OpenSim model."),
    "plot": ("tools.plot:plot", "Draw force curves, moment arms, or a solved trial beside a reference."),
    "synthesise": ("tools.synthesise:synthesise", "Make the demonstration's walking recording."),
}
"""Name -> (module:attribute, one line of help)."""

EXTRAS: dict[str, str] = {
    "torch": "train",
    "onnx": "train",
    "onnxscript": "train",
    "opensim": "opensim",
    "ezc3d": "c3d",
    "can": "can",
    "pylsl": "lsl",
    "vqf": "imu",
    "matplotlib": "plot",
    "sklearn": "experiment",
    "optuna": "sweep",
    "ray": "sweep",
    "tensorboard": "tensorboard",
    "quadprog": "dev",
}
"""Importable package -> the extra that brings it."""


def missing_extra(error: ImportError, purpose: str) -> MissingExtraError | None:
    """The error to show for an import that failed for want of an extra; None for any other failed import."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    return None if extra is None else MissingExtraError(package, extra, purpose)


class LazyGroup(click.Group):
    """A group whose commands are imported by name on use, and that turns our errors into one line and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for a name that does not exist."""
        if cmd_name not in COMMANDS:
            return None
        try:
            command: click.Command = desktop(COMMANDS[cmd_name][0])
        except ImportError as error:
            raise missing_extra(error, f"edge-msk {cmd_name}") or error from None
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors of ours, a missing extra and an interrupt end in one line each and exit code 1."""
        try:
            return super().invoke(ctx)
        except EdgeMskError as error:
            _fail(error)
        except ImportError as error:
            missing = missing_extra(error, f"edge-msk {ctx.invoked_subcommand}")
            if missing is None:
                raise
            _fail(missing)
        except KeyboardInterrupt as stop:
            _fail(str(stop) or "stopped by the user")


def _fail(error: Exception | str) -> NoReturn:
    # A configuration can be wrong in several places: each has its line, and each line says that it is an error.
    for line in str(error).splitlines() or [type(error).__name__]:
        click.echo(f"error: {line}", err=True)
    raise click.exceptions.Exit(1)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(edge.__version__, prog_name="edge-msk")
def cli() -> None:
    """Muscle activations, muscle forces and joint torques in real time, from joint angles alone.

    \b
    Try it without hardware:
      edge-msk run --bundle demo --sensor "replay:demo?loop=1" --duration 10
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point of the console script; exits with 0 (done), 1 (failed or refused) or 2 (wrong usage)."""
    # Before NumPy is loaded: the last bits of a matrix product, and with them a replay, depend on how many threads share it; and
    # threads that wait for each other stall a loop.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    cli.main(args=None if arguments is None else list(arguments), prog_name="edge-msk")
    sys.exit(0)


if __name__ == "__main__":
    main()
