import queue

import pytest
from gpiozero.pins.mock import MockFactory

from actuator.gates import GateBank
from actuator.interlock import Contact, Interlock, InterlockInput
from pcb_bus.errors import ConfigError

PIN = 5


def looks(contact: Contact, *closed_at: tuple[bool, int]) -> list[bool]:
    """Whether it is open after each look."""
    found = []
    for closed, now in closed_at:
        contact.see(closed=closed, now=now)
        found.append(contact.is_open)
    return found


def test_opens_at_once_and_closes_after_a_while_without_a_break() -> None:
    contact = Contact(50, is_open=False)
    assert looks(contact, (True, 0), (False, 1), (True, 2), (True, 51), (True, 52)) == [False, True, True, True, False]


def test_contact_that_bounces_stays_open() -> None:
    contact = Contact(50)
    assert looks(contact, *[(now % 40 != 0, now) for now in range(0, 400, 10)]) == [True] * 40


def test_change_is_told_once() -> None:
    contact = Contact(10, is_open=False)
    assert [contact.see(closed=False, now=now) for now in (0, 1, 2)] == [True, False, False]
    assert [contact.see(closed=True, now=now) for now in (3, 13, 23)] == [False, True, False]


def test_edge_is_heard_on_the_spot(pins: MockFactory) -> None:
    contact_input = InterlockInput(PIN, "up", "low", pins)
    pins.pin(PIN).drive_low()
    interlock = Interlock(contact_input, debounce_ms=0)
    heard: queue.Queue[bool] = queue.Queue()
    assert not interlock.is_open
    interlock.start(heard.put)
    pins.pin(PIN).drive_high()
    assert heard.get_nowait()
    pins.pin(PIN).drive_low()
    assert not heard.get(timeout=5)
    interlock.stop()


@pytest.mark.parametrize(("pull", "closed", "level"), [("down", "high", True), ("none", "high", True)])
def test_other_wirings(pull: str, closed: str, level: bool, pins: MockFactory) -> None:
    contact_input = InterlockInput(PIN, pull, closed, pins)  # type: ignore[arg-type]
    assert not contact_input.closed
    pins.pin(PIN).drive_high()
    assert contact_input.closed is level
    contact_input.close()


def test_pin_that_cannot_be_read_is_open(pins: MockFactory) -> None:
    contact_input = InterlockInput(PIN, "up", "low", pins)
    pins.pin(PIN).drive_low()
    contact_input.close()
    assert not contact_input.closed


def test_pin_of_a_gate_is_a_wrong_configuration(pins: MockFactory) -> None:
    bank = GateBank([PIN], pins, active_low=False)
    with pytest.raises(ConfigError, match=r"actuator\.interlock: pin 5"):
        InterlockInput(PIN, "up", "low", pins)
    bank.close()
