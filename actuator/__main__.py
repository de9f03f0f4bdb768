"""`python -m actuator` drives the gates; `python -m actuator off` switches every gate off and ends.

The second is for systemd's ExecStopPost: it also runs after a kill -9, which leaves a real pin as it was.
`python -m actuator doctor [--json]` looks for what is wrong, and says what to do.
"""

import gc
import sys
from collections.abc import Iterator

from actuator.gates import all_off, close_all
from actuator.service import ActuatorService, build, open_all_gates, rules_of
from actuator.settings import NODE, ActuatorLineSettings
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.pins import PinFault
from pcb_bus.runtime.process import EXIT_CONFIG, EXIT_FAULT, EXIT_OK, run_service
from pcb_bus.runtime.redaction import redact
from pcb_bus.runtime.settings import load_settings

_PROGRAM = "actuator"
SWITCH_INTERVAL_S = 0.0005


def main(argv: list[str]) -> int:
    if argv[:1] == ["off"]:
        return switch_off(argv[1:])
    if argv[:1] == ["doctor"]:
        return doctor(argv[1:])
    # A busy thread gives way to the one that times the pins after this, not after Python's 5 ms.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return run_service(ActuatorLineSettings, build_for_good, lambda _: NODE, argv, program=_PROGRAM)


def build_for_good(settings: ActuatorLineSettings) -> ActuatorService:
    """The service, whose parts the garbage collector need not look at again: that would hold a pulse up."""
    service = build(settings)
    gc.collect()
    gc.freeze()
    return service


def doctor(argv: list[str]) -> int:
    """Look at everything that the gates depend on, but the relays: `test_pulse` is for those."""
    from pcb_bus.runtime.doctor import Finding, check_broker, check_clock, check_disk, check_pins, check_power, examine

    def checks(settings: ActuatorLineSettings) -> Iterator[Finding]:
        own = settings.actuator
        yield check_pins(f"the gates on {', '.join(str(plan.pin) for plan in rules_of(settings).gates.values())}")
        yield check_clock()
        yield from check_broker(settings, NODE)
        yield check_disk(own.ledger, own.outbox, settings.log.directory)
        yield check_power()

    return examine(ActuatorLineSettings, checks, argv, program=_PROGRAM)


def switch_off(argv: list[str]) -> int:
    """Every configured gate off; returns the exit code."""
    try:
        gates = open_all_gates(load_settings(ActuatorLineSettings, argv, program=f"{_PROGRAM} off"))
        all_off(gates)
    except ConfigError as error:
        print(f"{_PROGRAM} off: {redact(str(error))}", file=sys.stderr)
        return EXIT_CONFIG
    except PinFault as fault:
        print(f"{_PROGRAM} off: {fault}", file=sys.stderr)
        return EXIT_FAULT
    print(f"off: pins {', '.join(map(str, gates))}")
    close_all(gates)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
