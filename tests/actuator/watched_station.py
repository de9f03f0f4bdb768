"""The actuator as a process on mock pins: when it ends, it prints the states that each pin went through.

`python watched_station.py [DIE_AT] --config …`: with DIE_AT it kills itself, as kill -9 would, at that moment:
`pin-high`, before that is written down; or `begun`, between the ledger and the pin.
"""

import json
import os
import signal
import sys
from typing import Any

from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from actuator.__main__ import main
from actuator.pulses import Pulses
from actuator.verdicts import Verdicts

MOMENTS = {"pin-high": (Verdicts, "pulsed"), "begun": (Pulses, "add")}


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] in MOMENTS:
        setattr(*MOMENTS[arguments[0]], die)
    Device.pin_factory = pins = MockFactory()
    code = main(arguments[arguments.index("--config") :])
    print(
        json.dumps({info.name.removeprefix("GPIO"): [s.state for s in pin.states] for info, pin in pins.pins.items()})
    )
    sys.exit(code)
