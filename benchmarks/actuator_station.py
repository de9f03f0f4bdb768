"""The actuator as it is, in a process of its own on mock pins, which keeps every time that it measured.

`python -m benchmarks.actuator_station TIMES [--config …]` writes them to the file TIMES once it is asked to stop.
"""

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin

from actuator import metrics
from actuator.__main__ import SWITCH_INTERVAL_S, build_for_good
from actuator.settings import NODE, ActuatorLineSettings
from pcb_bus.runtime.process import run_service


class Times:
    """Takes the place of a histogram: keeps each value, in seconds."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def observe(self, seconds: float) -> None:
        self.values.append(seconds)


class TimedPin(MockPin):  # type: ignore[misc]
    """Keeps the monotonic seconds at which it went high."""

    def __init__(self, factory: MockFactory, info: object) -> None:
        self.rose: list[float] = []
        super().__init__(factory, info)

    def _change_state(self, value: bool) -> bool:
        changed = bool(super()._change_state(value))
        if changed and value:
            self.rose.append(time.monotonic())
        return changed


def main(argv: list[str]) -> int:
    file, *arguments = argv
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    Device.pin_factory = pins = MockFactory(pin_class=TimedPin)
    times = {name: Times() for name in ("RECEIVED_TO_HIGH", "CAPTURED_TO_HIGH", "PULSE_LAG")}
    for name, each in times.items():
        setattr(metrics, name, each)
    code = run_service(ActuatorLineSettings, build_for_good, lambda _: NODE, arguments, program="actuator_station")
    measured: dict[str, object] = {name: each.values for name, each in times.items()}
    names = {info.name.removeprefix("GPIO"): pin for info, pin in pins.pins.items()}
    measured["HIGH"] = {name: _high(pin) for name, pin in names.items()}
    measured["ROSE"] = {name: pin.rose for name, pin in names.items()}
    Path(file).write_text(json.dumps(measured), encoding="utf-8")
    return code


def _high(pin: MockPin) -> list[float]:
    """How long the pin was high, each time: a state's time is that since the one before."""
    return [after.timestamp for before, after in pairwise(pin.states) if before.state]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
