"""Verdicts without a report of the gates are named to the actuator, at growing intervals and not for ever."""

import pytest
from sqlalchemy import Engine
from support.boards import AT, LINE, MINUTE, ZONE, trigger_record, verdict_record

from pcb_bus.contract.messages import Actuation, Outcome, Unreported
from pcb_bus.contract.times import NS_PER_S, to_datetime
from recorder.gates import Gates
from recorder.rows import actuation_record
from recorder.store import Store

WALL = to_datetime(AT + MINUTE)


class Loop:
    """The gates of a line, and which verdicts they named, and when (s)."""

    def __init__(self, engine: Engine, first_wait_s: float = 10) -> None:
        self.gates = Gates(engine, LINE, ZONE, self._keep, first_wait_s)
        self.named: list[tuple[int, str]] = []
        self._second = 0

    def _keep(self, unreported: Unreported) -> None:
        self.named += [(self._second, each.verdict_id) for each in unreported.verdicts]

    def look(self, *seconds: int) -> None:
        for second in seconds:
            self._second = second
            self.gates.look(WALL, second * NS_PER_S)


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine, LINE, ZONE)


def report(number: int, outcome: Outcome = "fired", line: str = LINE) -> Actuation:
    names = {"verdict_id": f"verdict-{number}", "board_id": f"board-{number}", "category": "solder"}
    return Actuation(**names, outcome=outcome, pin=None, fired_at=None, duration_ms=None, latency_ms=None)


def test_at_growing_intervals_and_not_for_ever(engine: Engine, store: Store) -> None:
    store.write([verdict_record(1)])
    loop = Loop(engine)
    loop.look(*range(0, 10_000, 10))
    assert [second for second, _ in loop.named] == [10, 20, 40, 80, 160, 320, 640]


def test_what_has_its_report_is_not_named(engine: Engine, store: Store) -> None:
    store.write([verdict_record(number) for number in (1, 2, 3)])
    store.write([actuation_record(report(1), LINE, AT), actuation_record(report(2, "duplicate"), LINE, AT)])
    store.write([actuation_record(report(3), "pcb/line2", AT)])
    loop = Loop(engine, first_wait_s=0)
    loop.look(0)
    assert sorted(loop.named) == [(0, "verdict-2"), (0, "verdict-3")]
    store.write([actuation_record(report(number), LINE, AT) for number in (2, 3)])
    loop.look(1000)
    assert len(loop.named) == 2


def test_the_verdicts_of_another_line_are_its_own(engine: Engine) -> None:
    Store(engine, "pcb/line2", ZONE).write([verdict_record(1, line="pcb/line2")])
    loop = Loop(engine, first_wait_s=0)
    loop.look(0)
    assert loop.named == []


def test_a_pass_without_a_verdict_is_not_named_until_it_has_one(engine: Engine, store: Store) -> None:
    store.write([trigger_record(1)])
    store.close_overdue(AT + MINUTE, 0)
    loop = Loop(engine, first_wait_s=0)
    loop.look(0)
    assert loop.named == []
    store.write([verdict_record(1)])
    loop.look(10)
    assert loop.named == [(10, "verdict-1")]


def test_what_was_recorded_hours_ago_is_named_too_and_what_is_of_the_day_before_is_not(
    engine: Engine, store: Store
) -> None:
    store.write([verdict_record(1, at=AT - 20 * 60 * MINUTE), verdict_record(2, at=AT - 25 * 60 * MINUTE)])
    loop = Loop(engine)
    loop.look(*range(0, 1300, 10))
    assert {name for _, name in loop.named} == {"verdict-1"}


def test_a_row_of_another_program_that_is_no_verdict_to_the_contract_hides_no_other(
    engine: Engine, store: Store
) -> None:
    for number in (1, 2):
        record = verdict_record(number)
        record.rows[0]["verdict_id"] = ("a\1b", "fine")[number - 1]
        store.write([record])
    loop = Loop(engine, first_wait_s=0)
    loop.look(0)
    assert loop.named == [(0, "fine")]


def test_so_many_at_once_and_the_others_next_time(engine: Engine, store: Store) -> None:
    store.write([verdict_record(number) for number in range(150)])
    loop = Loop(engine)
    loop.look(0, 10, 11)
    assert [second for second, _ in loop.named].count(10) == 100
    assert len({name for _, name in loop.named}) == 150
