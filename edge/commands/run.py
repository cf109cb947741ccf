"""`edge-msk run`: estimate live from a sensor, command an output, record a log.

edge-msk run --bundle demo --sensor replay:walk.mot?speed=1 --output null: --duration 10
edge-msk run --bundle subject.msk --sensor "serial:///dev/ttyUSB0?baud=921600" --output "serial:///dev/ttyUSB1"
edge-msk run --bundle subject.msk --sensor "serial:///dev/ttyUSB0?protocol=amt21&nodes=84,88,92" \
    --sensor "serial:///dev/ttyUSB1?protocol=witmotion"
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.commands.options import FiniteRange
from edge.errors import ConfigError, LogError

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.commands.wearer_filter import WearerFilter, WhatWasLearned
    from edge.config import Config
    from edge.control.assist import ProportionalAssist
    from edge.control.safety import Safety
    from edge.loop import Loop
    from edge.msk.model import Model
    from edge.pipeline import Pipeline
    from edge.record.recorder import Recorder
    from edge.sensors import Sensor
    from edge.signals.hookup import Source


@click.command(
    epilog="Example:\n\n  edge-msk run --bundle demo --sensor sim: --duration 10\n\n"
    "  edge-msk run --bundle subject.msk --sensor 'serial:///dev/ttyUSB0?protocol=amt21&nodes=0x54,0x58,0x5c' "
    "--sensor 'serial:///dev/ttyUSB1?protocol=xsens'\n\n"
    "  edge-msk run --bundle subject.msk --sensor 'serial:///dev/ttyUSB0?baud=921600' "
    "--output 'serial:///dev/ttyUSB1?baud=921600' --config session.toml --arm"
)
@click.option(
    "--bundle",
    "bundle_name",
    required=True,
    metavar="FILE|NAME",
    help="Subject bundle (.msk), or a packaged one: demo, population.",
)
@click.option(
    "--age-ms",
    type=FiniteRange(0.0, 1000.0),
    metavar="MS",
    help="Estimate the moment MS ago, if the bundle has networks for it.  [default: the bundle's own age]",
)
@click.option(
    "--mass-kg", type=FiniteRange(10.0, 300.0), metavar="KG", help="Of the wearer, for a bundle of many people."
)
@click.option("--height-m", type=FiniteRange(0.5, 2.5), metavar="M", help="The same.")
@click.option(
    "--leg-length-m", type=FiniteRange(0.2, 1.5), metavar="M", help="Hip to knee to ankle; instead of --height-m."
)
@click.option(
    "--sensor",
    "sensor_urls",
    multiple=True,
    metavar="URL",
    help="serial://PATH?baud=&protocol=, replay:FILE?speed=1, sim: ... Several are merged by time; "
    "the first one's clock is the session's. "
    " [default: those of --config]",
)
@click.option(
    "--output", "output_url", default="null:", show_default=True, metavar="URL", help="serial://PATH?baud=, null: ..."
)
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Limits, assistance and the rest (.toml)."
)
@click.option(
    "--duration", "duration_s", type=FiniteRange(0.0, 1e9, min_open=True), metavar="S", help="Stop after S seconds."
)
@click.option(
    "--log",
    "log_target",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="Folder of the session log, or its file (.mcap).  [default: logs]",
)
@click.option("--no-log", is_flag=True, help="Record nothing. Not with --arm.")
@click.option("--arm", is_flag=True, help="Allow torque. Without it every command is zero.")
@click.option("--view/--no-view", default=None, help="Live view on stderr.  [default: if it is a terminal]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def run(
    bundle_name: str,
    age_ms: float | None,
    mass_kg: float | None,
    height_m: float | None,
    leg_length_m: float | None,
    sensor_urls: tuple[str, ...],
    output_url: str,
    config_file: Path | None,
    duration_s: float | None,
    log_target: Path | None,
    no_log: bool,
    arm: bool,
    view: bool | None,
    as_json: bool,
) -> None:
    """Estimate muscle forces live, command an output, record a log.

    Stops after --duration, at the end of a recording, or on Ctrl-C or SIGTERM; the last command is always zero. A lost
    sensor or output ends the session with exit code 1.
    """
    if no_log and log_target is not None:
        raise click.UsageError("--log and --no-log exclude each other")
    if not sensor_urls and config_file is None:
        raise click.UsageError("give --sensor URL, or --config FILE with a [[sensor]]")
    from edge.bundle import Bundle
    from edge.commands.wearer_filter import WearerFilter
    from edge.config import load_config
    from edge.loop import Loop, stop_on_signals
    from edge.outputs import open_output
    from edge.pipeline import Pipeline
    from edge.view.feed import ViewFeed
    from edge.view.line import Header

    config = load_config(config_file)
    sources = config.sources(sensor_urls)
    bundle = Bundle.read(bundle_name).at(age_ms).alone
    bundle = _worn(bundle, bundle_name, mass_kg, height_m, leg_length_m)
    model = bundle.model
    rows = [model.row_names.index(name) for name in model.joint_names]
    assist, safety = _control(config, model, rows)
    wearer = WearerFilter(bundle, config, _warn)
    pipeline = Pipeline(bundle, sources, kept=wearer.kept, frozen=wearer.frozen, background=True)
    log_path = _log_path(config, log_target, no_log)
    if arm and log_path is None:
        raise ConfigError("an armed run must be recorded: leave out --no-log and `run.log = false`, or leave out --arm")

    with ExitStack() as stack:
        stack.callback(pipeline.close)
        feed = None
        if view is not False and sys.stderr.isatty():
            # First, so that it gets ready while the rest is opened, and is closed when all else is quiet.
            feed = stack.enter_context(
                ViewFeed(Header(bundle.manifest.subject, model.muscle_names, model.joint_names, rows), warn=_warn)
            )
        recorder = None
        if log_path is not None:
            recorder = stack.enter_context(
                _recording(
                    log_path,
                    bundle,
                    config,
                    sources,
                    output_url=output_url,
                    armed=arm,
                    attachments=wearer.attachments,
                )
            )
        with _no_log_of_nothing(recorder):
            output = open_output(output_url)
            stack.callback(output.close)
            sensors = [_opened(source.url, stack) for source in sources]
            if arm:
                safety.arm()
            loop = Loop(
                sensors=sensors,
                pipeline=pipeline,
                assist=assist,
                safety=safety,
                output=output,
                recorder=recorder,
                period_s=1.0 / bundle.manifest.rate_hz,
                duration_s=duration_s if duration_s is not None else config.run.duration_s,
                first_sample_timeout_s=config.run.first_sample_timeout_s,
                design_age_s=bundle.age_s if all(sensor.real_time for sensor in sensors) else None,
                warn=_warn if feed is None else feed.warn,
                show=None if feed is None else feed.show,
            )
        try:
            with stop_on_signals(loop), _quiet_garbage_collector():
                loop.run()
        finally:
            learned = _finished(wearer, pipeline, recorder)
    _report(loop, learned, recorder, as_json=as_json)
    _conclude(loop, f"{' + '.join(s.url for s in sources)}: no estimate: {pipeline.why_no_estimate()}")


def _control(config: Config, model: Model, rows: Sequence[int]) -> tuple[ProportionalAssist, Safety]:
    """What is wanted, and what is allowed."""
    from edge.control.assist import ProportionalAssist
    from edge.control.safety import Safety

    assist = ProportionalAssist(config.assist_gain(model.joint_names), rows)
    limits = config.safety_limits(model.joint_names, [joint.range_rad for joint in model.joints])
    return assist, Safety(limits, assist_enabled=assist.enabled)


def _opened(url: str, stack: ExitStack) -> Sensor:
    from edge.sensors import open_sensor

    sensor = open_sensor(url)
    stack.callback(sensor.close)
    return sensor


def _finished(wearer: WearerFilter, pipeline: Pipeline, recorder: Recorder | None) -> WhatWasLearned:
    """Keep what the filter learned, and record it with the errors that were measured last."""
    learned = wearer.finish(pipeline)
    if recorder is not None:
        recorder.note(time.monotonic_ns(), json.dumps(learned.figures))
        if learned.line:
            recorder.note(time.monotonic_ns(), learned.line)
    return learned


def _report(loop: Loop, learned: WhatWasLearned, recorder: Recorder | None, *, as_json: bool) -> None:
    """Print what the session was."""
    from edge.commands.summary import print_summary

    problem = recorder.check() if recorder is not None else None
    if problem is not None:
        _warn(problem)
    if learned.line:
        click.echo(learned.line, err=True)
    figures = {**loop.summary(), **learned.figures, "log": None if recorder is None else str(recorder.path)}
    print_summary(figures, as_json=as_json)


def _conclude(loop: Loop, no_estimate: str) -> None:
    """Raise what ended the session before its time, or say what did not come to be in it."""
    if loop.failure is not None:
        raise loop.failure
    if loop.age_ms.count == 0 and not loop.stopped:
        _warn(no_estimate)
    if loop.explanation:
        _warn(f"the session went to FAULT and commands to zero, until it is started again: {loop.explanation}")


def _log_path(config: Config, target: Path | None, no_log: bool) -> Path | None:
    from edge.record.recorder import new_log_path

    if no_log or (target is None and not config.run.log):
        return None
    place = target if target is not None else config.run.log_folder
    return place if place.suffix == ".mcap" else new_log_path(place)


@contextmanager
def _quiet_garbage_collector() -> Iterator[None]:
    """Within, the collector leaves alone what was made at the start: walking through it would stall the loop by 20 ms."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _recording(
    path: Path,
    bundle: Bundle,
    config: Config,
    sources: Sequence[Source],
    *,
    output_url: str,
    armed: bool,
    attachments: Mapping[str, bytes],
) -> Iterator[Recorder]:
    """The session log, open; an armed run whose log cannot be written is refused as what it is, a wrong configuration."""
    from edge.record.recorder import Recorder, session_header

    content = bundle.to_bytes()
    header = session_header(
        bundle=content,
        sensors=[source.to_dict() for source in sources],
        output_url=output_url,
        config=config.model_dump(mode="json"),
        joint_names=bundle.model.joint_names,
        muscle_names=bundle.model.muscle_names,
        row_names=bundle.model.row_names,
        extra={"armed": armed},
    )
    recorder = Recorder(path, header, bundle=content, attachments=attachments)
    try:
        recorder.open()
    except LogError as error:
        if armed:
            raise ConfigError(f"an armed run must be recorded, and it cannot be: {error}") from error
        raise
    try:
        yield recorder
    finally:
        recorder.close()


@contextmanager
def _no_log_of_nothing(recorder: Recorder | None) -> Iterator[None]:
    """If a device cannot be opened, or the user stops it, nothing was recorded: leave no file behind."""
    try:
        yield
    except BaseException:
        if recorder is not None:
            recorder.close()
            recorder.path.unlink(missing_ok=True)
        raise


def _worn(
    bundle: Bundle, name: str, mass_kg: float | None, height_m: float | None, leg_length_m: float | None
) -> Bundle:
    """The bundle in the wearer's size; where nobody says that and it has nobody's, that is said."""
    if mass_kg is not None or height_m is not None or leg_length_m is not None:
        return bundle.worn_by(mass_kg=mass_kg, height_m=height_m, leg_length_m=leg_length_m)
    if bundle.of_many:
        _warn(
            f"{name} is of many people: torques are those of a body of {bundle.model.mass_kg:.4g} kg with a leg of "
            f"{bundle.model.leg_length_m:.3g} m: give --mass-kg and --height-m or --leg-length-m"
        )
    return bundle


def _warn(line: str) -> None:
    # A terminal that is gone must not end a session.
    with suppress(OSError):
        click.echo(f"warning: {line}", err=True)
