"""The pins of a Raspberry Pi, through gpiozero. The simulation is gpiozero's own mock pin factory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpiozero import Device
from gpiozero.pins import Factory

from pcb_bus.errors import BoardlineError, ConfigError

FACTORY_VARIABLE = "GPIOZERO_PIN_FACTORY"
_MODEL = Path("/proc/device-tree/model")


class PinFault(BoardlineError, OSError):
    """A pin does not do what it should."""


def pin_factory(model: Path = _MODEL) -> Factory:
    """The pins of this machine, or those that `GPIOZERO_PIN_FACTORY` names.

    Raises:
        ConfigError: not a Raspberry Pi and no factory is named (nothing is simulated silently), or it cannot be used.
    """
    is_raspberry_pi = model.exists() and model.read_bytes().startswith(b"Raspberry Pi")
    if FACTORY_VARIABLE not in os.environ and not is_raspberry_pi:
        raise ConfigError(f"{FACTORY_VARIABLE}: this is not a Raspberry Pi; set it to mock to simulate the pins")
    try:
        with pin_faults():
            Device.ensure_pin_factory()
    except PinFault as fault:
        raise ConfigError(f"{FACTORY_VARIABLE}: no access to the pins: {fault}") from None
    return Device.pin_factory


@contextmanager
def pin_faults() -> Iterator[None]:
    """Whatever the pins' driver raises is a PinFault: gpiozero passes errors of the libraries below it through."""
    try:
        yield
    except Exception as error:
        denied = "permission" in str(error).lower() or isinstance(error, PermissionError)
        hint = "; is this user in the group gpio? (sudo usermod -aG gpio $USER, then log in again)" if denied else ""
        raise PinFault(f"{str(error) or type(error).__name__}{hint}") from error
