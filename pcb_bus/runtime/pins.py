"""The pins of a Raspberry Pi, through gpiozero. The simulation is gpiozero's own mock pin factory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gpiozero import LED, Device
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


def is_lit(now: float, *, connected: bool, fault: str) -> bool:
    """Whether a status lamp is lit now (s): steady, all is well; slow blinks, a fault; fast ones, no broker."""
    half_period_s = 0.2 if not connected else 1.0 if fault else None
    return half_period_s is None or int(now / half_period_s) % 2 == 0


class Lamp:
    """A status lamp on a BCM pin; dark when made and when closed.

    Raises:
        ConfigError: the pin cannot be used.
    """

    def __init__(self, pin: int) -> None:
        try:
            with pin_faults():
                self._led = LED(pin, pin_factory=pin_factory())
        except PinFault as fault:
            way_out = "each node of a Pi needs a pin of its own, set PCB_LED_PIN for each"
            raise ConfigError(f"led_pin: pin {pin} cannot be used: {fault}; {way_out}") from None

    def show(self, *, lit: bool) -> None:
        """Raises PinFault when the pin does not obey."""
        with pin_faults():
            if lit != self._led.is_lit:
                self._led.value = lit

    def close(self) -> None:
        with suppress(PinFault), pin_faults():
            self._led.close()
