"""Alerts in the database: told at once, written when it takes them, and open across a restart."""

from typing import Any

import pytest
from sqlalchemy import URL, Engine, select, text

from recorder.alert_desk import AlertDesk
from recorder.database import bring_up_to_date, make_engine
from recorder.errors import DatabaseDown
from recorder.tables import Alert

Told = list[tuple[str, str, str]]


class Desk(AlertDesk):
    """Keeps what it says: level, message and state."""

    def __init__(self, engine: Engine) -> None:
        self.told: Told = []
        super().__init__(engine, self._keep)

    def _keep(self, level: str, message: str, **details: Any) -> None:
        self.told.append((level, message, details["state"]))


def rows(engine: Engine) -> list[tuple[str, str, bool]]:
    """Kind, subject, and whether it is open."""
    with engine.connect() as connection:
        found = connection.execute(select(Alert.kind, Alert.subject, Alert.resolved_at).order_by(Alert.id))
        return [(row.kind, row.subject, row.resolved_at is None) for row in found]


def test_an_alert_is_a_row_until_it_is_over(engine: Engine) -> None:
    desk = Desk(engine)
    desk.write()
    desk.raise_alert("disk", "images", "error", "10 MB are free", free_mb=10)
    desk.raise_alert("disk", "images", "error", "9 MB are free", free_mb=9)
    desk.write()
    assert rows(engine) == [("disk", "images", True)]
    with engine.connect() as connection:
        row = connection.execute(select(Alert)).one()
    assert (row.level, row.message, row.details) == ("error", "10 MB are free", {"free_mb": 10})
    desk.resolve("disk", "images")
    desk.write()
    assert rows(engine) == [("disk", "images", False)]
    assert desk.told == [("error", "10 MB are free", "raised"), ("info", "back to normal: 10 MB are free", "resolved")]


def test_a_restart_neither_raises_twice_nor_forgets_to_resolve(engine: Engine) -> None:
    before = Desk(engine)
    before.raise_alert("node", "edge", "warning", "edge is offline")
    before.write()
    after = Desk(engine)
    after.raise_alert("node", "edge", "warning", "edge is offline")
    after.write()
    assert after.told == []
    after.resolve("node", "edge")
    after.write()
    assert after.told == [("info", "back to normal: edge is offline", "resolved")]
    assert rows(engine) == [("node", "edge", False)]


def test_what_was_over_before_the_rows_were_read_back_is_resolved(engine: Engine) -> None:
    before = Desk(engine)
    before.raise_alert("node", "edge", "warning", "edge is offline")
    before.write()
    after = Desk(engine)
    after.resolve("node", "edge")
    after.write()
    assert rows(engine) == [("node", "edge", False)]
    assert after.told == [("info", "back to normal: edge is offline", "resolved")]


def test_without_its_tables_it_tells_at_once_and_writes_later(url: URL) -> None:
    engine = make_engine(url)
    desk = Desk(engine)
    for _ in range(2):
        with pytest.raises(DatabaseDown):
            desk.write()
    desk.raise_alert("spool", "spool", "error", "the spool fills")
    desk.raise_alert("disk", "images", "error", "10 MB are free")
    desk.resolve("disk", "images")
    assert [state for _, _, state in desk.told] == ["raised", "raised", "resolved"]
    bring_up_to_date(url)
    desk.write()
    assert rows(engine) == [("spool", "spool", True), ("disk", "images", False)]
    assert len(desk.told) == 3
    engine.dispose()


def test_one_that_came_while_the_database_was_away_joins_the_row_of_before(engine: Engine) -> None:
    Desk(engine).raise_alert("node", "edge", "warning", "never written")
    before = Desk(engine)
    before.raise_alert("node", "edge", "warning", "edge is offline")
    before.write()
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE alerts RENAME TO away"))
    try:
        after = Desk(engine)
        with pytest.raises(DatabaseDown):
            after.write()
        after.raise_alert("node", "edge", "warning", "edge is offline")
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO alerts"))
    after.write()
    assert rows(engine) == [("node", "edge", True)]


def test_subjects_that_are_gone_have_no_alerts(engine: Engine) -> None:
    desk = Desk(engine)
    desk.raise_alert("disk", "images", "error", "10 MB are free")
    desk.raise_alert("disk", "images, spool", "error", "10 MB are free")
    desk.raise_alert("node", "images", "error", "of another kind")
    desk.resolve_others("disk", ["images, spool"])
    desk.write()
    assert rows(engine) == [("disk", "images", False), ("disk", "images, spool", True), ("node", "images", True)]


def test_a_value_that_no_column_takes_harms_no_other_alert(engine: Engine) -> None:
    desk = Desk(engine)
    desk.raise_alert("a", "1", "error", "fine")
    desk.raise_alert("b", "2", "error", "not JSON", score=float("nan"))
    desk.raise_alert("c", "3" * 500, "error", "fine too, though long")
    desk.write()
    assert rows(engine) == [("a", "1", True), ("c", "3" * 128, True)]
