"""The gates: an abstract device and its gpiozero form. The simulation is gpiozero's own mock pin factory."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from gpiozero import OutputDevice
from gpiozero.pins import Factory

from pcb_bus.errors import ConfigError
from pcb_bus.runtime.pins import PinFault, pin_faults

log = logging.getLogger(__name__)


class Gate(ABC):
    """One gate; off when made. Each method raises PinFault when the pin does not obey."""

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
        PinFault: the pin cannot be used.
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
        except PinFault as fault:
            close_all(gates)
            raise ConfigError(f"categories: the gate's pin {pin} cannot be used: {fault}") from None
    return gates


def all_off(gates: Mapping[int, Gate]) -> None:
    """Every gate, even if one of them fails.

    Raises:
        PinFault: one of them did.
    """
    with ExitStack() as stack:
        for gate in gates.values():
            stack.callback(gate.off)


def close_all(gates: Mapping[int, Gate]) -> None:
    """Every gate off and given back, as far as they obey."""
    for pin, gate in gates.items():
        try:
            gate.close()
        except PinFault as fault:
            log.critical("pin %d may still be high: %s", pin, fault)
