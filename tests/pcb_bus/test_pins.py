from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from pcb_bus.errors import ConfigError
from pcb_bus.runtime.pins import FACTORY_VARIABLE, PinFault, pin_factory, pin_faults


@pytest.mark.parametrize("error", [PermissionError(13, "/dev/gpiochip0"), OSError("Permission denied: gpiomem")])
def test_who_may_not_use_the_pins_learns_the_way_out(error: OSError) -> None:
    with pytest.raises(PinFault, match="group gpio"), pin_faults():
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
