"""Alerts: told at once, written when the database takes them, true in their table, and no flood of them."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from recorder.alerts import Alerts
from records.database import database_url, make_engine
from records.tables import Alert

NODE = ("node_offline", "edge", "warning", "edge is offline")
AGAIN_S = 3600.0
DAY_S = 86_400


class Line:
    """The alerts of a line, its clock (s), and what it said: level, message and state."""

    def __init__(self, engine: Engine, line: str = "pcb") -> None:
        self.now = 1000.0
        self.told: list[tuple[str, str, str]] = []
        self.alerts = Alerts(engine, line, self._keep, AGAIN_S, lambda: self.now)

    def _keep(self, level: str, message: str, **details: Any) -> None:
        self.told.append((level, message, details["state"]))

    @property
    def states(self) -> list[str]:
        return [state for _, _, state in self.told]

    def raise_(self, *about: Any) -> None:
        self.alerts.raise_alert(*(about or NODE))

    def resolve(self) -> None:
        self.alerts.resolve(*NODE[:2])


@pytest.fixture
def line(engine: Engine) -> Line:
    line = Line(engine)
    line.alerts.sync()
    return line


def rows(engine: Engine) -> list[tuple[str, str, bool]]:
    """Kind, subject, and whether it is open."""
    with engine.connect() as connection:
        found = connection.execute(select(Alert.kind, Alert.subject, Alert.resolved_at).order_by(Alert.id))
        return [(row.kind, row.subject, row.resolved_at is None) for row in found]


def resolve_by_hand(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(update(Alert).values(resolved_at=Alert.raised_at))


def test_an_alert_is_a_row_until_it_is_over(engine: Engine, line: Line) -> None:
    line.alerts.raise_alert("disk", "images", "error", "10 MB are free", free_mb=10)
    line.alerts.raise_alert("disk", "images", "error", "9 MB are free", free_mb=9)
    line.alerts.sync()
    assert rows(engine) == [("disk", "images", True)]
    with engine.connect() as connection:
        row = connection.execute(select(Alert)).one()
    assert (row.line, row.level, row.message, row.details) == ("pcb", "error", "10 MB are free", {"free_mb": 10})
    line.alerts.resolve("disk", "images")
    line.alerts.sync()
    assert rows(engine) == [("disk", "images", False)]
    assert line.told == [("error", "10 MB are free", "raised"), ("info", "back to normal: 10 MB are free", "resolved")]


def test_a_restart_neither_raises_twice_nor_forgets_to_resolve(engine: Engine, line: Line) -> None:
    line.raise_()
    line.alerts.sync()
    after = Line(engine)
    after.raise_()
    after.alerts.sync()
    assert after.told == []
    after.resolve()
    after.alerts.sync()
    assert after.told == [("info", "back to normal: edge is offline", "resolved")]
    assert rows(engine) == [("node_offline", "edge", False)]


def test_what_was_over_before_the_table_was_read_is_resolved(engine: Engine, line: Line) -> None:
    line.raise_()
    line.alerts.sync()
    after = Line(engine)
    after.resolve()
    after.alerts.sync()
    after.alerts.sync()
    assert rows(engine) == [("node_offline", "edge", False)]
    assert after.told == [("info", "back to normal: edge is offline", "resolved")]


def test_while_the_database_is_away_it_tells_at_once_and_writes_later(engine: Engine) -> None:
    line = Line(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE alerts RENAME TO away"))
    try:
        line.raise_("spool", "spool", "error", "the spool fills")
        for _ in range(2):
            with pytest.raises(SQLAlchemyError):
                line.alerts.sync()
            assert line.states == ["raised"]
        line.raise_()
        line.resolve()
        assert line.states == ["raised", "raised", "resolved"]
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO alerts"))
    line.alerts.sync()
    assert rows(engine) == [("spool", "spool", True), ("node_offline", "edge", False)]
    assert len(line.told) == 3


def test_one_that_came_while_the_database_was_away_joins_the_row_of_before(engine: Engine, line: Line) -> None:
    line.raise_()
    line.alerts.sync()
    after = Line(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE alerts RENAME TO away"))
    try:
        with pytest.raises(SQLAlchemyError):
            after.alerts.sync()
        after.raise_()
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO alerts"))
    after.alerts.sync()
    assert rows(engine) == [("node_offline", "edge", True)]


def test_subjects_that_are_gone_have_no_alerts(engine: Engine, line: Line) -> None:
    line.raise_("disk", "images", "error", "10 MB are free")
    line.raise_("disk", "images, spool", "error", "10 MB are free")
    line.raise_("node", "images", "error", "of another kind")
    line.alerts.resolve_others("disk", ["images, spool"])
    line.alerts.sync()
    assert rows(engine) == [("disk", "images", False), ("disk", "images, spool", True), ("node", "images", True)]


def test_a_value_that_no_column_takes_harms_no_other_alert(engine: Engine, line: Line) -> None:
    line.raise_("a", "1", "error", "fine")
    line.alerts.raise_alert("b", "2", "error", "not JSON", score=object())
    line.raise_("c", "3" * 500, "error", "fine too, though long")
    line.raise_("d", "4", "error", "half of a pair: \ud800")
    line.alerts.sync()
    line.alerts.sync()
    assert rows(engine) == [("a", "1", True), ("c", "3" * 128, True)]


def test_what_a_person_resolved_is_raised_again_only_when_its_cause_comes_anew(engine: Engine, line: Line) -> None:
    line.raise_()
    line.alerts.sync()
    resolve_by_hand(engine)
    line.alerts.sync()
    assert line.alerts.open() == []
    line.raise_()
    line.alerts.sync()
    assert rows(engine) == [("node_offline", "edge", False)]
    line.resolve()
    line.raise_()
    line.alerts.sync()
    assert rows(engine) == [("node_offline", "edge", False), ("node_offline", "edge", True)]
    assert line.states == ["raised", "raised"]


def test_what_a_person_resolved_is_raised_again_when_its_cause_lasts(engine: Engine, line: Line) -> None:
    line.raise_()
    line.alerts.sync()
    resolve_by_hand(engine)
    line.alerts.sync()
    for seconds, states in ((AGAIN_S - 1, ["raised"]), (1, ["raised", "raised"])):
        line.now += seconds
        line.alerts.sync()
        line.raise_()
        assert line.states == states


def test_a_person_resolves_while_the_recorder_is_down(engine: Engine, line: Line) -> None:
    line.raise_()
    line.alerts.sync()
    resolve_by_hand(engine)
    after = Line(engine)
    after.alerts.sync()
    after.raise_()
    after.alerts.sync()
    assert rows(engine) == [("node_offline", "edge", False), ("node_offline", "edge", True)]


def test_lines_do_not_touch_each_others_alerts(engine: Engine, line: Line) -> None:
    other = Line(engine, "pcb/line2")
    for each in (line, other):
        each.raise_()
        each.alerts.sync()
    assert rows(engine) == [("node_offline", "edge", True)] * 2
    other.resolve()
    for each in (other, line, other):
        each.alerts.sync()
    assert rows(engine) == [("node_offline", "edge", True), ("node_offline", "edge", False)]
    assert (line.states, len(line.alerts.open()), other.alerts.open()) == (["raised"], 1, [])


def test_what_another_program_spoils_in_one_row_hides_no_other(engine: Engine, line: Line) -> None:
    line.raise_()
    line.raise_("disk", "images", "error", "10 MB are free")
    line.alerts.sync()
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            connection.execute(text("UPDATE alerts SET details = x'ff00' WHERE kind = 'disk'"))
    after = Line(engine)
    after.alerts.sync()
    assert {alert.kind for alert in after.alerts.open()} == {"node_offline", "disk"}


# Damping, without a database: nothing is read or written.


def calm() -> Line:
    return Line(make_engine(database_url("sqlite:///nowhere/none.db")))


def step(line: Line, seconds: float, *, is_on: bool) -> None:
    line.now += seconds
    line.raise_() if is_on else line.resolve()


def is_open(line: Line) -> bool:
    return bool(line.alerts.open())


def test_one_that_comes_back_is_resolved_later() -> None:
    line = calm()
    for is_on in (True, False):
        step(line, 1, is_on=is_on)
    assert not is_open(line)
    step(line, 1, is_on=True)
    step(line, 1, is_on=False)
    step(line, 9.9, is_on=False)
    assert is_open(line)
    step(line, 0.1, is_on=False)
    assert not is_open(line)


def test_one_that_comes_back_while_it_waits_stays_open() -> None:
    line = calm()
    for seconds, is_on in ((0, True), (1, False), (1, True), (1, False), (2, True), (500, True)):
        step(line, seconds, is_on=is_on)
    step(line, 1, is_on=False)
    assert is_open(line)


def test_one_that_stayed_away_for_long_is_resolved_at_once_again() -> None:
    line = calm()
    for seconds, is_on in ((0, True), (1, False), (1, True), (1, False), (10, False), (600, True), (1, False)):
        step(line, seconds, is_on=is_on)
    assert not is_open(line)


@given(st.lists(st.tuples(st.floats(0.01, 120), st.booleans()), max_size=60))
def test_the_last_word_holds_in_the_end(steps: list[tuple[float, bool]]) -> None:
    line = calm()
    for pause, is_on in steps:
        step(line, pause, is_on=is_on)
        assert is_on <= is_open(line)
    wanted = bool(steps) and steps[-1][1]
    step(line, 601, is_on=wanted)
    assert is_open(line) == wanted


@settings(deadline=None, max_examples=10)
@given(st.floats(1, 9))
def test_whatever_flaps_is_told_a_bounded_number_of_times_a_day(period: float) -> None:
    line = calm()
    changes: list[bool] = []
    while line.now < DAY_S / 10:
        for is_on in (True, False):
            step(line, period / 2, is_on=is_on)
            changes.append(is_open(line))
    assert sum(before != after for before, after in pairwise(changes)) <= 4
