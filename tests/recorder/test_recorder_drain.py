"""The drain: what cannot be a row is quarantined, what passes is waited for, and nothing else stops the line.

With a real spool and a real database; the service has no broker.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.exc import OperationalError
from support.boards import LINE, ZONE, count
from support.ports import free_port

from pcb_bus.contract.codec import decode_json, encode_msgpack
from pcb_bus.contract.messages import Actuation, Evidence, Recorded, Verdict
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings, LineSettings
from recorder.drain import Drain, Steps
from recorder.rows import Record, read
from recorder.spool import Arrival, Spool
from recorder.store import Store
from records import tables
from records.database import probe
from records.errors import DatabaseDown

Arrive = Callable[..., Arrival]


class Line:
    """A drain without its thread, and what it says."""

    def __init__(self, engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[Recorded] = []
        self.rejected: list[str] = []
        self.between = self.woken = 0
        self.service = Service("recorder", "recorder", LineSettings(broker=BrokerSettings(port=free_port())))
        session = self.service.session
        monkeypatch.setattr(
            session, "publish", lambda _, payload, **__: self.said.append(decode_json(Recorded, payload))
        )
        monkeypatch.setattr(session, "reject", lambda kind, why: self.rejected.append(f"{kind} {why.reason}"))
        self.engine, self.spool = engine, Spool(folder / "spool.db", 1000, 16)
        self.store = Store(engine, LINE, ZONE)
        self.steps = Steps(
            prepare=lambda: None,
            read=partial(read, line=LINE, zone=ZONE, sides=("left", "right")),
            probe=partial(probe, engine, LINE),
            between=self._look,
            wake_pictures=self._wake,
        )
        self.drain = self.make()

    def make(self, **changes: Any) -> Drain:
        return Drain(self.service, self.spool, self.store, replace(self.steps, **changes), batch_size=50)

    def step(self, *arrivals: Arrival) -> None:
        if arrivals:
            self.spool.append(arrivals)
        self.drain.step()

    def _look(self) -> None:
        self.between += 1

    def _wake(self) -> None:
        self.woken += 1


@pytest.fixture
def line(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    line = Line(engine, tmp_path, monkeypatch)
    yield line
    line.spool.close()
    line.service.stop()


def rejections(engine: Engine) -> list[tuple[str, str, str | None]]:
    row = tables.RejectedMessage
    with engine.connect() as connection:
        found = connection.execute(select(row.kind, row.reason, row.verdict_id).order_by(row.id))
        return [tuple(each) for each in found]


def test_what_is_committed_leaves_the_spool_and_is_named(
    line: Line, arrive: Arrive, make_verdict: Callable[..., Verdict], make_actuation: Callable[..., Actuation]
) -> None:
    line.step(arrive("verdict", make_verdict()), arrive("actuation", make_actuation()), arrive("verdict", b"nonsense"))
    (said,) = line.said
    assert (said.verdicts, said.actuations) == (("verdict-1",), ("verdict-1",))
    assert (len(line.spool), count(line.engine, tables.Inspection)) == (0, 1)
    assert (rejections(line.engine), line.rejected) == ([("verdict", "not_json", None)], ["verdict not_json"])
    assert line.drain.caught_up


def test_a_picture_is_named_once_it_is_in_its_store_and_not_before(
    line: Line, arrive: Arrive, make_evidence: Callable[..., Evidence]
) -> None:
    evidence = arrive("evidence", encode_msgpack(make_evidence()))
    line.step(evidence)
    assert (line.said, line.woken, len(line.spool), len(line.spool.pictures(9))) == ([], 1, 0, 1)
    with line.engine.begin() as connection:
        connection.execute(tables.DefectImage.__table__.update().values(state="stored"))
    line.step(evidence)
    assert [said.evidence for said in line.said] == [("verdict-1/left",)]
    assert (len(line.spool.pictures(9)), line.woken) == (1, 1)


def test_a_picture_that_comes_again_before_it_is_stored_is_neither_kept_twice_nor_named(
    line: Line, arrive: Arrive, make_evidence: Callable[..., Evidence]
) -> None:
    evidence = arrive("evidence", encode_msgpack(make_evidence()))
    for _ in range(3):
        line.step(evidence, evidence)
        assert (len(line.spool.pictures(9)), len(line.spool), line.said) == (1, 0, [])


def test_a_picture_that_is_none_is_named_so_that_it_does_not_come_for_ever(
    line: Line, arrive: Arrive, make_evidence: Callable[..., Evidence]
) -> None:
    line.step(arrive("evidence", encode_msgpack(make_evidence().model_copy(update={"jpeg": b"GIF"}))))
    assert [said.evidence for said in line.said] == [("verdict-1/left",)]
    assert (line.spool.pictures(9), rejections(line.engine)) == ([], [("evidence", "not_jpeg", "verdict-1")])


def spoiled(record: Record, **values: Any) -> Record:
    return replace(record, rows=[{**row, **values} for row in record.rows])


@pytest.mark.parametrize(
    "values",
    [
        {"gpio_pin": 10**30},
        {"confidence": float("nan"), "boxes": [float("nan")]},
        {"boxes": object()},
        {"serial": "\ud800"},
        {"board_id": None},
    ],
    ids=["huge", "nan", "not json", "half a pair", "null"],
)
def test_a_row_that_the_database_refuses_for_whatever_reason_is_quarantined_and_the_rest_recorded(
    line: Line, arrive: Arrive, make_verdict: Callable[..., Verdict], values: dict[str, Any]
) -> None:
    def read_spoiled(arrival: Arrival) -> Record:
        record = line.steps.read(arrival)
        return spoiled(record, **values) if record.named == ("verdicts", "verdict-13") else record

    line.drain = line.make(read=read_spoiled)
    line.step(*(arrive("verdict", make_verdict(str(number))) for number in range(20)))
    assert count(line.engine, tables.Inspection) == 19
    assert rejections(line.engine) == [("verdict", "refused_by_database", "verdict-13")]
    assert {name for said in line.said for name in said.verdicts} == {f"verdict-{number}" for number in range(20)}
    assert (len(line.spool), line.rejected) == (0, ["verdict refused_by_database"])
    line.step(arrive("verdict", make_verdict("later")))
    assert count(line.engine, tables.Inspection) == 20


def test_what_cannot_even_be_written_down_as_rejected_is_let_go(
    line: Line, arrive: Arrive, make_verdict: Callable[..., Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recorder import drain, rows

    monkeypatch.setattr(drain, "rejected_record", lambda *each: spoiled(rows.rejected_record(*each), size_bytes=None))
    line.step(arrive("verdict", b"nonsense"), arrive("verdict", make_verdict()))
    assert (rejections(line.engine), count(line.engine, tables.Inspection), len(line.spool)) == ([], 1, 0)
    assert line.rejected == ["verdict refused_by_database"]


def test_a_message_that_nobody_thought_of_stops_nothing(
    line: Line, arrive: Arrive, make_verdict: Callable[..., Verdict]
) -> None:
    def fail_at_times(arrival: Arrival) -> Record:
        if b"verdict-1" in arrival.payload:
            raise RecursionError("too deep")
        return line.steps.read(arrival)

    line.drain = line.make(read=fail_at_times)
    line.step(arrive("verdict", make_verdict("1")), arrive("verdict", make_verdict("2")))
    assert rejections(line.engine) == [("verdict", "unreadable", "verdict-1")]
    assert count(line.engine, tables.Inspection) == 1


def test_with_a_database_that_takes_no_row_at_all_everything_waits(
    line: Line, arrive: Arrive, make_verdict: Callable[..., Verdict]
) -> None:
    def refuse(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE")):
            raise OperationalError(statement, {}, Exception("of a kind that nobody has listed"))

    event.listen(line.engine, "before_cursor_execute", refuse)
    line.spool.append([arrive("verdict", make_verdict(str(number))) for number in range(20)])
    with pytest.raises(DatabaseDown):
        line.drain.step()
    assert (len(line.spool), line.said, line.drain.caught_up) == (20, [], False)
    event.remove(line.engine, "before_cursor_execute", refuse)
    line.step()
    assert (len(line.spool), count(line.engine, tables.Inspection), rejections(line.engine)) == (0, 20, [])


@pytest.mark.parametrize(("table", "column"), [("inspections", "serial"), ("defects", "x1")])
def test_with_a_table_that_takes_no_row_everything_waits(
    line: Line, arrive: Arrive, make_verdict: Callable[..., Verdict], table: str, column: str
) -> None:
    def rename(before: str, after: str) -> None:
        with line.engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {table} RENAME COLUMN {before} TO {after}"))

    rename(column, "renamed")
    try:
        line.spool.append(
            [*(arrive("verdict", make_verdict(str(number))) for number in range(5)), arrive("event", b"x")]
        )
        with pytest.raises(DatabaseDown, match=f"tables or rights changed.*{column}"):
            line.drain.step()
    finally:
        rename("renamed", column)
    assert (len(line.spool), line.said, line.rejected) == (6, [], [])
    line.step()
    assert count(line.engine, tables.Inspection) == 5
    assert rejections(line.engine) == [("event", "not_json", None)]


def test_after_each_failure_the_tables_are_brought_up_to_date_again(
    line: Line, arrive: Arrive, make_verdict: Callable[..., Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [DatabaseDown("away")]
    prepared: list[int] = []
    write = line.store.write

    def write_at_last(records: Sequence[Record]) -> None:
        if failures:
            raise failures.pop()
        write(records)
        line.drain.stop()

    monkeypatch.setattr(line.store, "write", write_at_last)
    line.drain = line.make(prepare=lambda: prepared.append(len(line.spool)))
    line.spool.append([arrive("verdict", make_verdict())])
    line.drain.run()
    assert (prepared, len(line.spool)) == ([1, 1], 0)


def test_tables_that_cannot_be_brought_up_to_date_are_waited_for(
    line: Line, arrive: Arrive, make_verdict: Callable[..., Verdict]
) -> None:
    failures = [ConfigError("of another version"), DatabaseDown("away")]

    def prepare() -> None:
        if failures:
            raise failures.pop()

    line.drain = line.make(prepare=prepare)
    line.spool.append([arrive("verdict", make_verdict())])
    for _ in range(2):
        with pytest.raises(DatabaseDown):
            line.drain.step()
    line.step()
    assert count(line.engine, tables.Inspection) == 1


def test_lost_boards_are_looked_for_only_while_nothing_waits(
    line: Line, arrive: Arrive, make_verdict: Callable[..., Verdict]
) -> None:
    line.step(*(arrive("verdict", make_verdict(str(number))) for number in range(150)))
    assert (line.between, line.drain.caught_up) == (0, False)
    line.step()
    assert (line.between, line.drain.caught_up) == (0, False)
    line.step()
    assert (line.between, line.drain.caught_up) == (1, True)
    line.step()
    assert line.between == 1, "twice a second is enough"
