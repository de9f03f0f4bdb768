from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin

from actuator.gates import FACTORY_VARIABLE, GateBank, pin_factory
from pcb_bus.errors import ConfigError


def states(pins: MockFactory, pin: int) -> list[bool]:
    mock: MockPin = pins.pin(pin)
    return [state.state for state in mock.states]


def test_gates_are_off_once_made_and_off_once_closed(pins: MockFactory) -> None:
    bank = GateBank([22, 27, 22], pins, active_low=False)
    assert list(bank.by_pin) == [22, 27]
    assert pins.pin(22).function == "output"
    bank.by_pin[22].on()
    bank.close()
    assert states(pins, 22) == [False, True, False]
    assert states(pins, 27) == [False]
    bank.off()
    bank.close()


def test_active_low_relay_rests_high(pins: MockFactory) -> None:
    bank = GateBank([22], pins, active_low=True)
    assert states(pins, 22) == [False, True]
    bank.by_pin[22].on()
    assert pins.pin(22).state is False
    bank.off()
    assert pins.pin(22).state is True
    bank.close()


def test_off_switches_the_others_when_one_fails(pins: MockFactory) -> None:
    bank = GateBank([22, 27], pins, active_low=False)
    bank.by_pin[22].on()
    bank.by_pin[27].on()
    pins.pin(27).function = "input"
    with pytest.raises(Exception, match="GPIO27"):
        bank.off()
    assert pins.pin(22).state is False
    pins.pin(27).function = "output"
    bank.close()


def test_pin_taken_by_another_device_is_a_wrong_configuration(pins: MockFactory) -> None:
    bank = GateBank([22], pins, active_low=False)
    with pytest.raises(ConfigError, match="pin 22"):
        GateBank([17, 22], pins, active_low=False)
    bank.close()


def test_nothing_is_simulated_silently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FACTORY_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="GPIOZERO_PIN_FACTORY: this is not a Raspberry Pi; set it to mock"):
        pin_factory(tmp_path / "model")
    (tmp_path / "model").write_bytes(b"Some other board\0")
    with pytest.raises(ConfigError, match="not a Raspberry Pi"):
        pin_factory(tmp_path / "model")


def test_unknown_factory_is_a_wrong_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setenv(FACTORY_VARIABLE, "moc")
    with pytest.raises(ConfigError, match="GPIOZERO_PIN_FACTORY: no access to the pins"):
        pin_factory()


def test_factory_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setenv(FACTORY_VARIABLE, "mock")
    assert isinstance(pin_factory(), MockFactory)
