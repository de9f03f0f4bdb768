"""When what nobody has recorded goes out again: time passes as the test says."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.resends import Pace, Resends

PACE = Pace(batch=3)


class Desk:
    """An outbox, a broker that answers when told to, and a clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0
        self.takes = True
        self.answers_at_once = True
        self.sent: list[str] = []
        self.open_answers: list[Callable[[bool], None]] = []
        self.restart()

    def restart(self) -> None:
        self.outbox = Outbox(self.path)
        self.resends = Resends(self.outbox, self._publish, PACE)

    def keep(self, *names: str) -> None:
        for name in names:
            self.outbox.keep(name, name.encode())

    def named(self, *names: str) -> None:
        self.outbox.clear(names)
        self.resends.heard(self.now)

    def pass_ms(self, ms: int) -> list[str]:
        """Let time pass with a tick each 100 ms; what went out again meanwhile."""
        self.sent.clear()
        end = self.now + ms * NS_PER_MS
        while self.now < end:
            self.now += 100 * NS_PER_MS
            self.resends.tick(self.now)
        return [*self.sent]

    def _publish(self, payload: bytes, on_done: Callable[[bool], None]) -> bool:
        if not self.takes:
            return False
        self.sent.append(payload.decode())
        if self.answers_at_once:
            on_done(True)
        else:
            self.open_answers.append(on_done)
        return True


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "outbox.db")
    yield desk
    desk.outbox.close()


def test_nothing_goes_out_again_before_2_s_and_then_every_2_s_until_it_is_named(desk: Desk) -> None:
    desk.pass_ms(100)
    desk.keep("a")
    assert desk.pass_ms(2000) == []
    assert desk.pass_ms(2000) == ["a"]
    assert desk.pass_ms(6000) == ["a", "a", "a"]
    desk.named("a")
    assert desk.pass_ms(6000) == []


def test_an_id_that_is_named_in_time_never_goes_out_again(desk: Desk) -> None:
    for number in range(50):
        desk.keep(f"v{number}")
        assert desk.pass_ms(300) == []
        desk.named(f"v{number}")


def test_a_hurry_of_the_recorder_makes_nothing_go_out_before_its_time(desk: Desk) -> None:
    desk.pass_ms(2100)
    desk.keep("a", "b")
    desk.named("a")
    assert desk.pass_ms(1900) == []


def test_after_a_restart_everything_goes_out_oldest_first(desk: Desk) -> None:
    desk.keep("c", "a", "b", "d")
    desk.outbox.close()
    desk.restart()
    desk.resends.heard(desk.now)
    assert desk.pass_ms(200) == ["c", "a", "b", "d"]


def test_a_new_connection_begins_with_the_oldest_at_once(desk: Desk) -> None:
    desk.keep("a", "b", "c", "d")
    desk.pass_ms(4000)
    desk.resends.heard(desk.now)
    desk.resends.start_over()
    assert desk.pass_ms(100) == ["a", "b", "c"]


def test_without_a_recorder_one_message_at_a_time_asks_for_it_each_in_its_turn(desk: Desk) -> None:
    desk.keep("a", "b", "c")
    desk.pass_ms(2000)
    assert desk.pass_ms(8000) == ["a", "b", "c", "a"]
    desk.named("a")
    assert desk.pass_ms(100) == ["b", "c"]


def test_a_backlog_goes_out_in_batches(desk: Desk) -> None:
    desk.keep(*"abcdefgh")
    desk.pass_ms(4000)
    desk.named()
    assert [desk.pass_ms(100) for _ in range(3)] == [["a", "b", "c"], ["d", "e", "f"], ["g", "h"]]


def test_what_the_recorder_never_names_does_not_stop_the_others(desk: Desk) -> None:
    desk.keep("poison", "bane", "venom", "sound")
    desk.pass_ms(4000)
    desk.named()
    assert "sound" in desk.pass_ms(300)


def test_the_next_batch_waits_for_the_brokers_answers(desk: Desk) -> None:
    desk.keep(*"abcdef")
    desk.pass_ms(4000)
    desk.answers_at_once = False
    desk.named()
    assert desk.pass_ms(900) == ["a", "b", "c"]
    for answer in desk.open_answers:
        answer(True)
    assert desk.pass_ms(100) == ["d", "e", "f"]


def test_answers_that_a_lost_connection_swallowed_hold_nothing_up(desk: Desk) -> None:
    desk.keep("a")
    desk.pass_ms(2000)
    desk.answers_at_once = False
    assert desk.pass_ms(6000) == ["a"]
    desk.resends.start_over()
    assert desk.pass_ms(100) == ["a"]


def test_a_refused_one_is_the_first_to_go_out_later(desk: Desk) -> None:
    desk.keep("a", "b")
    desk.takes = False
    assert desk.pass_ms(5000) == []
    desk.takes = True
    desk.named()
    assert desk.pass_ms(100) == ["a", "b"]


def test_rounds_are_2_s_apart_on_a_clock_that_runs_for_years(desk: Desk) -> None:
    desk.now = 10**8 * NS_PER_S
    desk.keep("a")
    desk.pass_ms(2100)
    desk.resends.heard(desk.now)
    assert len(desk.pass_ms(2000)) == 1
