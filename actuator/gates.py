"""The gates: an abstract device and its gpiozero form. The simulation is gpiozero's own mock pin factory."""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gpiozero import Device, OutputDevice
from gpiozero.pins import Factory

from pcb_bus.errors import BoardlineError, ConfigError

log = logging.getLogger(__name__)

FACTORY_VARIABLE = "GPIOZERO_PIN_FACTORY"
_MODEL = Path("/proc/device-tree/model")


class GateFault(BoardlineError, OSError):
    """A pin does not do what it should."""


class Gate(ABC):
    """One gate; off when made. Each method raises GateFault when the pin does not obey."""

    @abstractmethod
    def on(self) -> None: ...

    @abstractmethod
    def off(self) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Off, and give the pin back."""


class GpioGate(Gate):
    """A relay on a BCM pin; `active_low` for boards whose relay pulls when the pin is low.

    Raises:
        GateFault: the pin cannot be used.
    """

    def __init__(self, pin: int, factory: Factory, *, active_low: bool) -> None:
        with pin_faults():
            self._device = OutputDevice(pin, active_high=not active_low, initial_value=False, pin_factory=factory)

    def on(self) -> None:
        with pin_faults():
            self._device.on()

    def off(self) -> None:
        with pin_faults():
            if not self._device.closed:  # closed is off: a command may still come while the service stops
                self._device.off()

    def close(self) -> None:
        try:
            self.off()
        finally:
            with pin_faults():
                self._device.close()


def open_gates(pins: Iterable[int], factory: Factory, *, active_low: bool) -> Mapping[int, Gate]:
    """The gates by BCM pin, all of them off.

    Raises:
        ConfigError: a pin cannot be used.
    """
    gates: dict[int, Gate] = {}
    for pin in sorted(set(pins)):
        try:
            gates[pin] = GpioGate(pin, factory, active_low=active_low)
        except GateFault as fault:
            close_all(gates)
            raise ConfigError(f"categories: the gate's pin {pin} cannot be used: {fault}") from None
    return gates


def all_off(gates: Mapping[int, Gate]) -> None:
    """Every gate, even if one of them fails.

    Raises:
        GateFault: one of them did.
    """
    with ExitStack() as stack:
        for gate in gates.values():
            stack.callback(gate.off)


def close_all(gates: Mapping[int, Gate]) -> None:
    """Every gate off and given back, as far as they obey."""
    for pin, gate in gates.items():
        try:
            gate.close()
        except GateFault as fault:
            log.critical("pin %d may still be high: %s", pin, fault)


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
    except GateFault as fault:
        raise ConfigError(f"{FACTORY_VARIABLE}: no access to the pins: {fault}") from None
    return Device.pin_factory


@contextmanager
def pin_faults() -> Iterator[None]:
    """Whatever the pins' driver raises is a GateFault: gpiozero passes errors of the libraries below it through."""
    try:
        yield
    except Exception as error:
        denied = "permission" in str(error).lower() or isinstance(error, PermissionError)
        hint = "; is this user in the group gpio? (sudo usermod -aG gpio $USER, then log in again)" if denied else ""
        raise GateFault(f"{str(error) or type(error).__name__}{hint}") from error
