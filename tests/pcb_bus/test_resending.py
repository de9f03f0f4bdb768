"""When what nobody has recorded goes out again, and when an outbox tells that it fills. Time is the test's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.durable.outbox import Kept, Outbox
from pcb_bus.durable.resending import Fullness, Pace, Resends

PACE = Pace(batch=3)


class Line:
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

    def _publish(self, kept: Kept, on_done: Callable[[bool], None]) -> bool:
        if not self.takes:
            return False
        self.sent.append(kept.payload.decode())
        if self.answers_at_once:
            on_done(True)
        else:
            self.open_answers.append(on_done)
        return True


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path / "outbox.db")
    yield line
    line.outbox.close()


def test_nothing_goes_out_again_before_2_s_and_then_every_2_s_until_it_is_named(line: Line) -> None:
    line.pass_ms(100)
    line.keep("a")
    assert line.pass_ms(2000) == []
    assert line.pass_ms(2000) == ["a"]
    assert line.pass_ms(6000) == ["a", "a", "a"]
    line.named("a")
    assert line.pass_ms(6000) == []


def test_an_id_that_is_named_in_time_never_goes_out_again(line: Line) -> None:
    for number in range(50):
        line.keep(f"v{number}")
        assert line.pass_ms(300) == []
        line.named(f"v{number}")


def test_a_hurry_of_the_recorder_makes_nothing_go_out_before_its_time(line: Line) -> None:
    line.pass_ms(2100)
    line.keep("a", "b")
    line.named("a")
    assert line.pass_ms(1900) == []


def test_after_a_restart_everything_goes_out_oldest_first(line: Line) -> None:
    line.keep("c", "a", "b", "d")
    line.outbox.close()
    line.restart()
    line.resends.heard(line.now)
    assert line.pass_ms(200) == ["c", "a", "b", "d"]


def test_a_new_connection_begins_with_the_oldest_at_once(line: Line) -> None:
    line.keep("a", "b", "c", "d")
    line.pass_ms(4000)
    line.resends.heard(line.now)
    line.resends.start_over()
    assert line.pass_ms(100) == ["a", "b", "c"]


def test_without_a_recorder_one_message_at_a_time_asks_for_it_each_in_its_turn(line: Line) -> None:
    line.keep("a", "b", "c")
    line.pass_ms(2000)
    assert line.pass_ms(8000) == ["a", "b", "c", "a"]
    line.named("a")
    assert line.pass_ms(100) == ["b", "c"]


def test_a_backlog_goes_out_in_batches(line: Line) -> None:
    line.keep(*"abcdefgh")
    line.pass_ms(4000)
    line.named()
    assert [line.pass_ms(100) for _ in range(3)] == [["a", "b", "c"], ["d", "e", "f"], ["g", "h"]]


def test_what_the_recorder_never_names_does_not_stop_the_others(line: Line) -> None:
    line.keep("poison", "bane", "venom", "sound")
    line.pass_ms(4000)
    line.named()
    assert "sound" in line.pass_ms(300)


def test_the_next_batch_waits_for_the_brokers_answers(line: Line) -> None:
    line.keep(*"abcdef")
    line.pass_ms(4000)
    line.answers_at_once = False
    line.named()
    assert line.pass_ms(900) == ["a", "b", "c"]
    for answer in line.open_answers:
        answer(True)
    assert line.pass_ms(100) == ["d", "e", "f"]


def test_answers_that_a_lost_connection_swallowed_hold_nothing_up(line: Line) -> None:
    line.keep("a")
    line.pass_ms(2000)
    line.answers_at_once = False
    assert line.pass_ms(6000) == ["a"]
    line.resends.start_over()
    assert line.pass_ms(100) == ["a"]


def test_a_refused_one_is_the_first_to_go_out_later(line: Line) -> None:
    line.keep("a", "b")
    line.takes = False
    assert line.pass_ms(5000) == []
    line.takes = True
    line.named()
    assert line.pass_ms(100) == ["a", "b"]


def test_rounds_are_2_s_apart_on_a_clock_that_runs_for_years(line: Line) -> None:
    line.now = 10**8 * NS_PER_S
    line.keep("a")
    line.pass_ms(2100)
    line.resends.heard(line.now)
    assert len(line.pass_ms(2000)) == 1


def levels(steps: list[tuple[float, str | None]]) -> list[str]:
    fullness = Fullness()
    alerts = [fullness.see(fill, fault) for fill, fault in steps]
    return [alert[0] for alert in alerts if alert is not None]


def test_a_person_hears_of_it_long_before_it_is_full_and_when_it_is_over() -> None:
    filling = [(percent / 100, None) for percent in range(101)]
    emptying = filling[::-1]
    assert levels([*filling, (1.0, "the outbox is full")]) == ["warning", "error", "critical"]
    assert levels([*filling, *emptying]) == ["warning", "error", "info"]


def test_a_fill_that_wavers_is_told_once() -> None:
    assert levels([(0.5, None), (0.45, None), (0.55, None), (0.41, None), (0.5, None)]) == ["warning"]


@pytest.mark.parametrize("fill", [0.0, 0.6, 0.95])
def test_a_failing_disk_is_critical_at_any_fill(fill: float) -> None:
    fullness = Fullness()
    alert = fullness.see(fill, "disk is full")
    assert alert is not None
    level, _, detail = alert
    assert (level, detail) == ("critical", "the outbox takes no more")
    assert fullness.see(fill, "disk is full") is None
