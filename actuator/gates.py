"""The gates: an abstract device and its gpiozero form. The simulation is gpiozero's own mock pin factory."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

from gpiozero import Device, OutputDevice
from gpiozero.exc import BadPinFactory, GPIOZeroError
from gpiozero.pins import Factory

from pcb_bus.errors import ConfigError

FACTORY_VARIABLE = "GPIOZERO_PIN_FACTORY"
_MODEL = Path("/proc/device-tree/model")


class Gate(ABC):
    """One gate; off when made."""

    @abstractmethod
    def on(self) -> None: ...

    @abstractmethod
    def off(self) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Off, and give the pin back."""


class GpioGate(Gate):
    """A relay on a BCM pin; `active_low` for boards whose relay pulls when the pin is low."""

    def __init__(self, pin: int, factory: Factory, *, active_low: bool) -> None:
        self._device = OutputDevice(pin, active_high=not active_low, initial_value=False, pin_factory=factory)

    def on(self) -> None:
        self._device.on()

    def off(self) -> None:
        if not self._device.closed:  # closed is off: a command may still come while the service stops
            self._device.off()

    def close(self) -> None:
        self.off()
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
            except GPIOZeroError as error:
                self.close()
                raise ConfigError(f"actuator.gates: pin {pin} cannot be used: {error}") from None

    @property
    def by_pin(self) -> Mapping[int, Gate]:
        return MappingProxyType(self._gates)

    def off(self) -> None:
        """Every gate, even if one of them fails."""
        with ExitStack() as stack:
            for gate in self._gates.values():
                stack.callback(gate.off)

    def close(self) -> None:
        with ExitStack() as stack:
            for gate in self._gates.values():
                stack.callback(gate.close)


def pin_factory(model: Path = _MODEL) -> Factory:
    """The pins of this machine, or those that `GPIOZERO_PIN_FACTORY` names.

    Raises:
        ConfigError: not a Raspberry Pi and no factory is named (nothing is simulated silently), or it cannot be used.
    """
    if FACTORY_VARIABLE not in os.environ and not _is_raspberry_pi(model):
        raise ConfigError(f"{FACTORY_VARIABLE}: this is not a Raspberry Pi; set it to mock to simulate the pins")
    try:
        Device.ensure_pin_factory()
    except (BadPinFactory, ImportError, OSError) as error:
        raise ConfigError(f"{FACTORY_VARIABLE}: no access to the pins: {error}") from None
    return Device.pin_factory


def _is_raspberry_pi(model: Path) -> bool:
    return model.exists() and model.read_bytes().startswith(b"Raspberry Pi")
