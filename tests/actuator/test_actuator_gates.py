import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from actuator.gates import all_off, close_all, open_gates
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.pins import PinFault


def states(pins: MockFactory, pin: int) -> list[bool]:
    mock: MockPin = pins.pin(pin)
    return [state.state for state in mock.states]


def test_gates_are_off_once_made_and_off_once_closed(pins: MockFactory) -> None:
    gates = open_gates([22, 27, 22], pins, active_low=False)
    assert list(gates) == [22, 27]
    assert pins.pin(22).function == "output"
    gates[22].on()
    close_all(gates)
    assert states(pins, 22) == [False, True, False]
    assert states(pins, 27) == [False]
    all_off(gates)
    close_all(gates)


def test_an_active_low_relay_rests_high(pins: MockFactory) -> None:
    gates = open_gates([22], pins, active_low=True)
    assert states(pins, 22) == [False, True]
    gates[22].on()
    assert pins.pin(22).state is False
    all_off(gates)
    assert pins.pin(22).state is True
    close_all(gates)


def test_off_switches_the_others_when_one_fails(pins: MockFactory) -> None:
    gates = open_gates([22, 27], pins, active_low=False)
    for gate in gates.values():
        gate.on()
    pins.pin(27).function = "input"
    with pytest.raises(PinFault, match="GPIO27"):
        all_off(gates)
    assert pins.pin(22).state is False
    pins.pin(27).function = "output"
    close_all(gates)


def test_close_switches_the_others_when_one_fails(pins: MockFactory, caplog: pytest.LogCaptureFixture) -> None:
    gates = open_gates([17, 22], pins, active_low=False)
    gates[22].on()
    pins.pin(17).function = "input"
    close_all(gates)
    assert pins.pin(22).state is False
    assert "pin 17 may still be high" in caplog.text


def test_a_pin_taken_by_another_device_is_a_wrong_configuration(pins: MockFactory) -> None:
    gates = open_gates([22], pins, active_low=False)
    with pytest.raises(ConfigError, match="pin 22"):
        open_gates([17, 22], pins, active_low=False)
    close_all(gates)
