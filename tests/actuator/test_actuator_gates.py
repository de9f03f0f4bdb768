from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin

from actuator.gates import FACTORY_VARIABLE, GateFault, all_off, close_all, open_gates, pin_factory, pin_faults
from pcb_bus.errors import ConfigError


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
    with pytest.raises(GateFault, match="GPIO27"):
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


@pytest.mark.parametrize("error", [PermissionError(13, "/dev/gpiochip0"), OSError("Permission denied: gpiomem")])
def test_who_may_not_use_the_pins_learns_the_way_out(error: OSError) -> None:
    with pytest.raises(GateFault, match="group gpio"), pin_faults():
        raise error


def test_nothing_is_simulated_silently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FACTORY_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="GPIOZERO_PIN_FACTORY: this is not a Raspberry Pi; set it to mock"):
        pin_factory(tmp_path / "model")
    (tmp_path / "model").write_bytes(b"Some other board\0")
    with pytest.raises(ConfigError, match="not a Raspberry Pi"):
        pin_factory(tmp_path / "model")


def test_an_unknown_factory_is_a_wrong_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setenv(FACTORY_VARIABLE, "moc")
    with pytest.raises(ConfigError, match="GPIOZERO_PIN_FACTORY: no access to the pins"):
        pin_factory()


def test_a_factory_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setenv(FACTORY_VARIABLE, "mock")
    assert isinstance(pin_factory(), MockFactory)
