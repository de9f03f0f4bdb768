"""Writes rows: a batch in one transaction, and what is there already stays as it is."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, bindparam, case, delete, insert, or_, select, update
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from pcb_bus.contract.identity import SAME_BOARD_NS
from pcb_bus.contract.messages import evidence_id
from pcb_bus.contract.times import from_datetime, to_datetime
from recorder.pictures import link_images
from recorder.rows import MISSING, NO_VERDICT, Record, Row, conflict_of, missing_row
from recorder.statistics import touch
from records.database import for_reading, meaning, reason
from records.errors import DatabaseDown, RowRefused
from records.tables import Defect, DefectImage, Inspection, InspectionSide, Serial, Trigger
from records.times import hour_of

_TRIES = 3
_CLOSED_AT_ONCE = 500
_EDGE = "edge-"  # sources of triggers that lead in turn
_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
_MOMENTS: Row = {"Date": _MOMENT.date(), "DateTime": _MOMENT, "UtcTime": _MOMENT}
_PLAIN = _MOMENTS | {"Integer": 1, "Double": 1.0, "Boolean": True, "LargeBinary": b"", "JSON": {}}

T = TypeVar("T")


class Overdue(NamedTuple):
    """A pass whose verdict did not come in time; `triggered_at` in ns since the epoch."""

    verdict_id: str
    board_id: str
    triggered_at: int


class Store:
    """The rows of one line.

    Args:
        zone: what the clocks on its walls show.
        unjudged: what the taxonomy calls a board that could not be inspected.
        image_url: what stands before a picture's name in `inspections.image_path`.
    """

    def __init__(
        self, engine: Engine, line: str, zone: ZoneInfo, unjudged: str = "unjudged", image_url: str = "/images"
    ) -> None:
        self._engine, self._line, self._zone = engine, line, zone
        self._unjudged, self._image_url = unjudged, image_url

    def write(self, records: Sequence[Record]) -> None:
        """Commit all of them, or nothing. Of two verdicts on one pass the first stands; a missing one is completed.

        Raises:
            RowRefused: a row among them can never be written.
            DatabaseDown: the database does not take it now.
        """
        self._transact(partial(self._write, records))

    def check_table(self, record: Record) -> None:
        """Write a made-up record with the columns of this one, and take it back.

        Raises:
            DatabaseDown: not even that can be written: the fault is the table's, not a row's.
        """
        values = _PLAIN | dict.fromkeys(("String", "Text"), uuid.uuid4().hex[:16])

        def plain(table: Any, rows: Sequence[Row]) -> list[Row]:
            kinds = {column.name: type(column.type).__name__ for column in table.__table__.columns}
            return [{name: values[kinds[name]] for name in row} | {"line": self._line} for row in rows[:1]]

        sides, defects = plain(InspectionSide, record.sides), plain(Defect, record.defects)
        made_up = Record(record.table, plain(record.table, record.rows), sides, defects)
        try:
            with self._engine.connect() as connection:  # closed without a commit
                self._write([made_up], connection)
        except SQLAlchemyError as error:
            why = f"it takes no row of {record.table.__tablename__}; were its tables or rights changed? {reason(error)}"
            raise DatabaseDown(why) from error

    def pending(self, verdict_ids: Collection[str]) -> set[str]:
        """The evidence of these whose pictures are not in the store yet, as `pcb/recorded` names it.

        Raises:
            DatabaseDown: the database does not answer now.
        """
        if not verdict_ids:
            return set()
        about = DefectImage.line == self._line, DefectImage.verdict_id.in_(verdict_ids)
        waiting = select(DefectImage.verdict_id, DefectImage.camera_id).where(*about, DefectImage.state == "pending")
        found = self._transact(lambda connection: connection.execute(waiting).all(), for_reading(self._engine))
        return {evidence_id(row.verdict_id, row.camera_id) for row in found}

    def close_overdue(self, now: int, deadline: int) -> list[Overdue]:
        """Give the passes that were announced before `now` less `deadline` (ns), and have no inspection, a missing one.

        So get those that came while the clock was ahead, by more than the deadline.
        At most 500 a call: call again until it returns none.

        Raises:
            DatabaseDown: the database does not take it now.
        """
        return self._transact(partial(self._close_overdue, now, deadline))

    def _transact(self, action: Callable[[Connection], T], engine: Engine | None = None) -> T:
        """What `action` returns, committed; done anew where another writer came between."""
        for attempt in range(_TRIES):
            try:
                with (engine or self._engine).begin() as connection:
                    return action(connection)
            except Exception as error:  # whatever it is, it must not stop what comes after
                what = meaning(error)
                if what == "race" and attempt < _TRIES - 1:
                    continue
                # A race that stays says nothing about a row, but for a key that is taken.
                if what == "row" or (what == "race" and isinstance(error, IntegrityError)):
                    raise RowRefused(reason(error)) from error
                raise DatabaseDown(reason(error)) from error
        raise AssertionError("the last attempt returns or raises")

    def _write(self, records: Sequence[Record], connection: Connection) -> None:
        verdicts: dict[str, Record] = {}
        others: dict[Any, list[Row]] = defaultdict(list)
        for record in records:
            if record.table is Inspection:
                verdicts.setdefault(record.rows[0]["verdict_id"], record)
            else:
                others[record.table] += record.rows
        before = self._present(connection, {*verdicts, *(row["verdict_id"] for row in others[Trigger])})
        fresh = self._write_verdicts(connection, verdicts, before)
        inspected = before.keys() | verdicts.keys()
        others[Trigger] = [row | {"open": row["verdict_id"] not in inspected} for row in others[Trigger]]
        for table, rows in others.items():
            _insert_new(connection, table, rows)
        self._settle(connection, fresh, [row["verdict_id"] for row in others[Serial]])

    def _present(self, connection: Connection, verdict_ids: Collection[str]) -> dict[str, Any]:
        columns = (Inspection.verdict_id, Inspection.id, Inspection.status, Inspection.inspection_time)
        query = select(*columns).where(Inspection.line == self._line, Inspection.verdict_id.in_(verdict_ids))
        return {row.verdict_id: row for row in connection.execute(query)} if verdict_ids else {}

    def _write_verdicts(
        self, connection: Connection, verdicts: dict[str, Record], before: dict[str, Any]
    ) -> dict[str, datetime]:
        """The passes that have a verdict from now on, and when they were inspected."""
        new = [record.rows[0] for verdict_id, record in verdicts.items() if verdict_id not in before]
        if new:
            connection.execute(insert(Inspection), new)
        late = [each for each in verdicts if each in before and before[each].status == MISSING]
        completed = [each for each in late if self._complete(connection, verdicts[each].rows[0])]
        fresh = [*(row["verdict_id"] for row in new), *completed]
        ids = {verdict_id: row.id for verdict_id, row in self._present(connection, fresh).items()}
        for table, part in ((InspectionSide, "sides"), (Defect, "defects")):
            rows = [{"inspection_id": ids[each], **row} for each in fresh for row in getattr(verdicts[each], part)]
            if rows:
                connection.execute(insert(table), rows)
        touch(connection, self._line, {hour_of(before[each].inspection_time) for each in completed})
        return {each: verdicts[each].rows[0]["inspection_time"] for each in fresh}

    def _complete(self, connection: Connection, row: Row) -> bool:
        """False if another writer completed it meanwhile. What a person noted stays."""
        pass_ = Inspection.line == self._line, Inspection.verdict_id == row["verdict_id"]
        notes = case((Inspection.notes == NO_VERDICT, None), else_=Inspection.notes)
        missing = update(Inspection).where(*pass_, Inspection.status == MISSING)
        return connection.execute(missing.values({**row, "notes": notes})).rowcount == 1

    def _settle(self, connection: Connection, fresh: dict[str, datetime], read: Iterable[str] = ()) -> None:
        """What follows from inspections that were written, and from serials of the passes `read`."""
        self._pair(connection, {*fresh, *read})
        if not fresh:
            return
        # Read, then closed by key: an update that finds nothing would lock the gaps in which triggers are inserted.
        still_open = select(Trigger.id).where(Trigger.line == self._line, Trigger.verdict_id.in_(fresh), Trigger.open)
        self._close(connection, connection.scalars(still_open).all())
        link_images(connection, self._line, fresh, self._image_url)
        # Last, for these few rows are those that other writers wait for.
        touch(connection, self._line, map(hour_of, fresh.values()))

    def _pair(self, connection: Connection, verdict_ids: Collection[str]) -> None:
        """Boards and their serials, whichever came first: a board has the first of its pass; conflicts are found."""
        if not verdict_ids:
            return
        mine = Serial.line == self._line, Serial.verdict_id.in_(verdict_ids)
        passes: dict[str, list[Any]] = defaultdict(list)
        for serial in connection.execute(select(Serial.__table__).where(*mine).order_by(Serial.id)):
            passes[serial.verdict_id].append(serial)
        if not passes:
            return
        columns = (Inspection.id, Inspection.verdict_id, Inspection.serial, Inspection.product)
        judged = select(*columns).where(Inspection.line == self._line, Inspection.verdict_id.in_(passes))
        boards = {board.verdict_id: board for board in connection.execute(judged)}
        nameless = [
            {"of": board.id, "now": passes[each][0].serial} for each, board in boards.items() if not board.serial
        ]
        conflicts = []
        for each, serials in passes.items():
            product = boards[each].product if each in boards else None
            found = [(serial, conflict_of(serial, serials, product)) for serial in serials]
            conflicts += [{"of": serial.id, "now": now} for serial, now in found if now != serial.conflict]
        for column, changed in ((Inspection.serial, nameless), (Serial.conflict, conflicts)):
            if changed:
                row = column.class_
                connection.execute(
                    update(row).where(row.id == bindparam("of")).values({column: bindparam("now")}), changed
                )

    def _close(self, connection: Connection, trigger_ids: Collection[int]) -> None:
        if trigger_ids:
            connection.execute(update(Trigger).where(Trigger.id.in_(trigger_ids)).values(open=False))

    def _close_overdue(self, now: int, deadline: int, connection: Connection) -> list[Overdue]:
        names = ("id", "line", "verdict_id", "board_id", "source", "product", "triggered_at")
        columns = [getattr(Trigger, name) for name in names]
        earliest, latest = to_datetime(now - deadline), to_datetime(now + deadline)
        not_now = or_(Trigger.received_at < earliest, Trigger.received_at > latest)
        query = select(*columns).where(Trigger.line == self._line, Trigger.open, not_now)
        query = query.order_by(Trigger.received_at).limit(_CLOSED_AT_ONCE)
        late = [row._asdict() for row in connection.execute(query)]
        before = self._present(connection, [trigger["verdict_id"] for trigger in late])
        without = [trigger for trigger in late if trigger["verdict_id"] not in before]
        again = {each["id"]: first for each in without if (first := self._announced_before(each, connection))}
        for trigger in without:
            if first := again.get(trigger["id"]):
                self._rename_serials(connection, trigger["verdict_id"], first)
        connection.execute(delete(Trigger).where(Trigger.id.in_(again)))
        without = [trigger for trigger in without if trigger["id"] not in again]
        rows = [missing_row(trigger, self._zone, self._unjudged, to_datetime(now)) for trigger in without]
        if rows:
            connection.execute(insert(Inspection), rows)
        self._close(connection, [trigger["id"] for trigger in late])
        renamed = [first.verdict_id for first in again.values()]
        self._settle(connection, {row["verdict_id"]: row["inspection_time"] for row in rows}, renamed)
        return [Overdue(row["verdict_id"], row["board_id"], from_datetime(row["triggered_at"])) for row in without]

    def _announced_before(self, trigger: Row, connection: Connection) -> Any:
        """As the lead of the edges changes, two of them may announce a board: it has one verdict, and no second row.

        The pass of that verdict, if there is one.
        """
        if not trigger["source"].startswith(_EDGE):
            return None
        at, apart = trigger["triggered_at"], timedelta(microseconds=SAME_BOARD_NS // 1000)
        judged = (Inspection.line == Trigger.line) & (Inspection.verdict_id == Trigger.verdict_id)
        of_another = (Trigger.source.startswith(_EDGE), Trigger.source != trigger["source"])
        near = Trigger.triggered_at.between(at - apart, at + apart)
        query = select(Trigger.verdict_id, Trigger.board_id, Trigger.triggered_at).join(Inspection, judged)
        found = connection.execute(query.where(Trigger.line == self._line, near, *of_another))
        return min(found, key=lambda each: abs(each.triggered_at - at), default=None)

    def _rename_serials(self, connection: Connection, second: str, first: Any) -> None:
        """What was read under the second name of a pass is of the first, but for what is known there already."""
        of_both = Serial.line == self._line, Serial.verdict_id.in_((first.verdict_id, second))
        found = connection.execute(select(Serial.__table__).where(*of_both)).all()
        known = {(each.camera_id, each.serial) for each in found if each.verdict_id != second}
        for each in found:
            if each.verdict_id == second:
                named = update(Serial).values(verdict_id=first.verdict_id, board_id=first.board_id)
                change = delete(Serial) if (each.camera_id, each.serial) in known else named
                connection.execute(change.where(Serial.id == each.id))


def _insert_new(connection: Connection, table: Any, rows: Iterable[Row]) -> None:
    """A row whose key is taken changes nothing."""
    listed = list(rows)
    if not listed:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), listed)
    else:
        # INSERT IGNORE would also swallow values that do not fit.
        connection.execute(mysql.insert(table).on_duplicate_key_update(id=table.id), listed)
