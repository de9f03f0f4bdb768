"""Serials find their boards whichever comes first, once only, and what contradicts a board raises an alert."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from support.boards import AT, LINE, MINUTE, ZONE, count, empty, serial_record, trigger_record, verdict_record

from pcb_bus.contract.times import NS_PER_MS
from recorder.alerts import Alerts
from recorder.checks import look_at_serials
from recorder.commands import COMMANDS
from recorder.rows import Record
from recorder.store import Store
from records.database import database_url, for_reading, make_engine
from records.migrate import bring_up_to_date
from records.tables import Alert, Inspection, Serial

NOW = round(datetime.now(UTC).timestamp()) * 10**9


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine, LINE, ZONE)


@pytest.fixture
def alerts(engine: Engine) -> Alerts:
    return Alerts(engine, LINE, lambda *_, **__: None)


def serials(engine: Engine) -> list[tuple[str, str, str | None]]:
    """Side, serial, and what contradicts it."""
    with for_reading(engine).connect() as connection:
        found = connection.execute(select(Serial).order_by(Serial.camera_id, Serial.serial))
        return [(row.camera_id, row.serial, row.conflict) for row in found]


def of_boards(engine: Engine) -> list[str | None]:
    with for_reading(engine).connect() as connection:
        return list(connection.scalars(select(Inspection.serial).order_by(Inspection.board_id)))


def write(store: Store, records: tuple[Record, ...], *, together: bool) -> None:
    for batch in [records] if together else [(each,) for each in records]:
        store.write(batch)


@pytest.mark.parametrize("together", [True, False])
def test_whichever_comes_first_a_board_has_its_serial(store: Store, engine: Engine, together: bool) -> None:
    for records in permutations([trigger_record(1), verdict_record(1), serial_record(1, "A-7"), verdict_record(2)]):
        write(store, records, together=together)
        assert of_boards(engine) == ["A-7", None]
        assert serials(engine) == [("left", "A-7", None)]
        empty(engine)


def test_what_comes_again_is_one_row(store: Store, engine: Engine) -> None:
    store.write([verdict_record(1), serial_record(1, "A-7"), serial_record(1, "A-7")])
    store.write([serial_record(1, "A-7", at=AT + MINUTE), verdict_record(1)])
    assert serials(engine) == [("left", "A-7", None)]


def test_a_verdict_that_comes_after_all_keeps_the_serial(store: Store, engine: Engine) -> None:
    store.write([trigger_record(1), serial_record(1, "A-7")])
    assert store.close_overdue(AT + 2 * MINUTE, MINUTE)
    store.write([serial_record(1, "B-1", "right")])
    assert of_boards(engine) == ["A-7"]
    store.write([verdict_record(1)])
    assert of_boards(engine) == ["A-7"]


def test_what_was_told_under_a_second_name_of_the_pass_is_of_its_board(store: Store, engine: Engine) -> None:
    """Two edges announced it as their lead changed; another board went by 170 ms before."""
    announced = [(0, -170, "edge-left"), (1, 130, "edge-left"), (2, 0, "edge-right")]
    triggers = [trigger_record(board, AT + ms * NS_PER_MS, source=source) for board, ms, source in announced]
    told = [serial_record(2, "B-1", "right"), serial_record(2, "A-7"), serial_record(1, "A-7"), serial_record(2, "A-8")]
    store.write([*triggers, verdict_record(0), verdict_record(1), *told])
    assert of_boards(engine) == [None, "A-7"]
    assert store.close_overdue(AT + 2 * MINUTE, MINUTE) == []
    assert of_boards(engine) == [None, "A-7"]
    assert serials(engine) == [("left", "A-7", "serial"), ("left", "A-8", "serial"), ("right", "B-1", None)]
    with for_reading(engine).connect() as connection:
        assert set(connection.execute(select(Serial.board_id, Serial.verdict_id))) == {("board-1", "verdict-1")}


def test_a_board_whose_serial_was_told_under_its_second_name_alone_has_it(store: Store, engine: Engine) -> None:
    twice = [trigger_record(board, AT, source=f"edge-{side}") for board, side in ((1, "left"), (2, "right"))]
    store.write([*twice, verdict_record(1), serial_record(2, "B-1", "right")])
    assert of_boards(engine) == [None]
    store.close_overdue(AT + 2 * MINUTE, MINUTE)
    assert of_boards(engine) == ["B-1"]


def test_what_the_camera_said_is_the_boards_serial(store: Store, engine: Engine) -> None:
    store.write([verdict_record(1, serial="C-1"), serial_record(1, "A-7")])
    assert (of_boards(engine), serials(engine)) == (["C-1"], [("left", "A-7", None)])


def test_the_pass_of_another_line_is_another_pass(store: Store, engine: Engine) -> None:
    store.write([verdict_record(1)])
    Store(engine, "pcb/line2", ZONE).write([serial_record(1, "A-7", line="pcb/line2")])
    assert of_boards(engine) == [None]


def test_two_sides_may_have_two_serials(store: Store, engine: Engine) -> None:
    store.write([serial_record(1, "B-1", "right"), verdict_record(1), serial_record(1, "A-7")])
    assert of_boards(engine) == ["B-1"]
    assert serials(engine) == [("left", "A-7", None), ("right", "B-1", None)]


@pytest.mark.parametrize("together", [True, False])
def test_two_on_one_side_contradict_each_other(store: Store, engine: Engine, alerts: Alerts, together: bool) -> None:
    records = (serial_record(1, "A-7", at=NOW), serial_record(1, "A-8", at=NOW), serial_record(2, "A-8", at=NOW))
    write(store, records, together=together)
    assert serials(engine) == [("left", "A-7", "serial"), ("left", "A-8", "serial"), ("left", "A-8", None)]
    look_at_serials(alerts, engine, LINE)
    (alert,) = alerts.open()
    assert (alert.kind, alert.subject, alert.level) == ("two_serials_on_a_side", "left", "warning")
    assert alert.message.startswith("left read 2 serials on board board-1, A-7, A-8: ")


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("said", "product", "conflict"),
    [("display", "controller", "product"), ("controller", "controller", None), (None, "controller", None)],
)
def test_a_serial_may_be_of_another_product(
    store: Store,
    engine: Engine,
    alerts: Alerts,
    said: str | None,
    product: str | None,
    conflict: str | None,
    together: bool,
) -> None:
    for records in permutations([serial_record(1, "D-7", product=said, at=NOW), verdict_record(1, product=product)]):
        empty(engine)
        write(store, records, together=together)
        assert serials(engine) == [("left", "D-7", conflict)]
    look_at_serials(alerts, engine, LINE)
    told = [(alert.kind, alert.subject, alert.message.partition(": ")[0]) for alert in alerts.open()]
    message = "board board-1 is display by its serial D-7, but controller is running"
    assert told == ([("serial_of_other_product", "display", message)] if conflict else [])


def test_a_board_without_a_verdict_has_the_product_of_its_trigger(store: Store, engine: Engine) -> None:
    store.write([trigger_record(1, product="controller"), serial_record(1, "D-7", product="display")])
    assert serials(engine) == [("left", "D-7", None)]
    store.close_overdue(AT + 2 * MINUTE, MINUTE)
    assert serials(engine) == [("left", "D-7", "product")]
    assert of_boards(engine) == ["D-7"]


class TestAlert:
    @pytest.fixture(autouse=True)
    def _three_boards(self, store: Store, engine: Engine, alerts: Alerts) -> None:
        self.store, self.engine, self.alerts = store, engine, alerts
        for number in range(3):
            self.board(number, NOW)

    def board(self, number: int, at: int) -> None:
        """One of another product."""
        serial = serial_record(number, f"D-{number}", product="display", at=at)
        self.store.write([serial, verdict_record(number, product="controller")])

    def look(self) -> int:
        """How many alerts there are, open or not, after a look."""
        self.alerts.sync()
        look_at_serials(self.alerts, self.engine, LINE)
        self.alerts.sync()
        return count(self.engine, Alert)

    def change(self, table: Any, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(table).values(values))

    def test_many_boards_are_one_alert_also_for_the_next_process(self) -> None:
        assert self.look() == 1
        self.alerts = Alerts(self.engine, LINE, lambda *_, **__: None)
        assert self.look() == 1

    def test_one_that_a_person_resolved_comes_again_with_the_next_board(self) -> None:
        self.look()
        self.change(Alert, resolved_at=datetime.now(UTC))
        self.alerts = Alerts(self.engine, LINE, lambda *_, **__: None)
        assert self.look() == 1
        self.board(3, NOW + 60 * MINUTE)
        assert self.look() == 2

    def test_it_ends_a_day_after_the_last_board(self) -> None:
        self.look()
        self.change(Serial, received_at=datetime.now(UTC) - timedelta(hours=25))
        self.look()
        assert self.alerts.open() == []


def test_the_history_of_a_serial_is_shown_in_a_shell(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    address = f"sqlite:///{tmp_path / 'records.db'}"
    asked = ["--database_url", address]
    assert COMMANDS["history"](["A-7", *asked], "recorder history") == 2
    url = database_url(address)
    bring_up_to_date(url, LINE, ZONE)
    engine = make_engine(url)
    records = [verdict_record(1, product="controller"), verdict_record(2, "normal", at=AT + MINUTE)]
    Store(engine, LINE, ZONE).write([*records, serial_record(1, "A-7"), serial_record(2, "A-7", "right")])
    engine.dispose()
    capsys.readouterr()
    assert COMMANDS["history"](["A-7", *asked], "recorder history") == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-21 17:01:00.123  pcb  board-2  -  normal  납땜불량",
        "2026-11-21 17:00:00.123  pcb  board-1  controller  solder  납땜불량",
    ]
    assert COMMANDS["history"](["A-7", "--last", "1", *asked], "recorder history") == 0
    assert "board-1" not in capsys.readouterr().out
    assert COMMANDS["history"](["A-8", *asked], "recorder history") == 1
    assert capsys.readouterr().err == "no board has the serial 'A-8'\n"
