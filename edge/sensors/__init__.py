"""Sensors by URL: `serial://PATH?baud=921600&protocol=emsk`, `replay:TRIAL.mot?speed=1&side=r&model=leg9&loop=0`."""

from __future__ import annotations

from edge import drivers
from edge.errors import ConfigError
from edge.sensors.base import EndOfRecording, Sensor, SensorLostError

__all__ = ["EndOfRecording", "Sensor", "SensorLostError", "make_sensor", "open_sensor"]

GROUP = "edge_msk.sensors"
BUILTIN = {
    "serial": "edge.sensors.serial_port:serial_sensor",
    "replay": "edge.sensors.replay:ReplaySensor",
    "sim": "edge.sensors.sim:SimSensor",
}


def make_sensor(url: str) -> Sensor:
    """Make the sensor that a URL names, unopened: no device is needed. Raises ConfigError for a URL that names none."""
    parsed, sensor = drivers.create(url, group=GROUP, builtin=BUILTIN)
    if not isinstance(sensor, Sensor):
        raise ConfigError(f"{url}: the driver '{parsed.scheme}:' made a {type(sensor).__name__}, not a Sensor")
    return sensor


def open_sensor(url: str) -> Sensor:
    """Make and open the sensor that a URL names. Close it after use.

    Raises ConfigError for a malformed URL or an unknown scheme, SensorError when the device cannot be taken.
    """
    sensor = make_sensor(url)
    sensor.open()
    return sensor
