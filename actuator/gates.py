"""The gates: an abstract device and its gpiozero form. The simulation is gpiozero's own mock pin factory."""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

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


class GateBank:
    """Every gate of the station, by BCM pin. All are off once it is made.

    Raises:
        ConfigError: a pin cannot be used.
    """

    def __init__(self, pins: Iterable[int], factory: Factory, *, active_low: bool) -> None:
        self._gates: dict[int, Gate] = {}
        for pin in sorted(set(pins)):
            try:
                self._gates[pin] = GpioGate(pin, factory, active_low=active_low)
            except GateFault as fault:
                self.close()
                raise ConfigError(f"actuator.gates: pin {pin} cannot be used: {fault}") from None

    @property
    def by_pin(self) -> Mapping[int, Gate]:
        return MappingProxyType(self._gates)

    def off(self) -> None:
        """Every gate, even if one of them fails.

        Raises:
            GateFault: one of them did.
        """
        with ExitStack() as stack:
            for gate in self._gates.values():
                stack.callback(gate.off)

    def close(self) -> None:
        """Every gate off and given back, as far as they obey."""
        for pin, gate in self._gates.items():
            try:
                gate.close()
            except GateFault as fault:
                log.critical("pin %d may still be high: %s", pin, fault)


def pin_factory(model: Path = _MODEL) -> Factory:
    """The pins of this machine, or those that `GPIOZERO_PIN_FACTORY` names.

    Raises:
        ConfigError: not a Raspberry Pi and no factory is named (nothing is simulated silently), or it cannot be used.
    """
    if FACTORY_VARIABLE not in os.environ and not _is_raspberry_pi(model):
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
        raise GateFault(str(error) or type(error).__name__) from error


def _is_raspberry_pi(model: Path) -> bool:
    return model.exists() and model.read_bytes().startswith(b"Raspberry Pi")
