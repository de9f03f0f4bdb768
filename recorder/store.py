"""Writes batches: one transaction each, and what is there already stays as it is."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.contract.times import from_datetime, to_datetime
from recorder.batch import Batch
from recorder.bulk import insert_rows
from recorder.database import lost_a_race, write_error
from recorder.inspections import Written, link_images, missing_row, present, write_verdicts
from recorder.periods import Calendar
from recorder.recount import rebuild
from recorder.rows import Row
from recorder.statistics import add, tally
from recorder.tables import Actuation, DefectImage, Inspection, RejectedMessage, SystemLog
from recorder.triggers import close, close_inspected, insert_triggers, overdue

_TRIES = 5
_CLOSED_AT_ONCE = 500

T = TypeVar("T")


class Overdue(NamedTuple):
    """A pass whose verdict did not come in time; `triggered_at` in ns since the epoch."""

    verdict_id: str
    board_id: str
    triggered_at: int


class Store:
    """The rows of one database. Days of the statistics are those of `calendar`.

    `unjudged` is what the taxonomy calls a board that could not be inspected.
    """

    def __init__(self, engine: Engine, calendar: Calendar | None = None, unjudged: str = "unjudged") -> None:
        self._engine = engine
        self._calendar = calendar or Calendar()
        self._unjudged = unjudged

    def write(self, batch: Batch) -> None:
        """Commit all of `batch`, or nothing of it.

        Raises:
            RowRefused: a row among them can never be written.
            DatabaseDown: the database does not take it now.
        """
        self._transact(partial(self._write, batch))

    def close_overdue(self, now: int, deadline: int) -> list[Overdue]:
        """Give the passes that were announced before `now` less `deadline` (ns), and have no inspection, a missing one.

        At most 500 a call: call again until it returns none.

        Raises:
            DatabaseDown: the database does not take it now.
        """
        return self._transact(partial(self._close_overdue, now, deadline))

    def rebuild_statistics(self, begin: int, end: int) -> None:
        """Count the rows from the day of `begin` to that before `end` (ns) anew, as after a change of the time zone.

        Raises:
            DatabaseDown: the database does not take it now.
        """
        days = to_datetime(begin), to_datetime(end)
        self._transact(lambda connection, _: rebuild(connection, self._calendar, *days))

    def _transact(self, action: Callable[[Connection, bool], T]) -> T:
        """What `action` returns, committed. Where another writer came between, it is done anew and locks what it reads.

        Not the first time, for that would lock the gaps in which other writers insert.
        """
        for attempt in range(_TRIES):
            try:
                with self._engine.begin() as connection:
                    return action(connection, attempt > 0)
            except (SQLAlchemyError, OverflowError, ValueError) as error:
                if attempt == _TRIES - 1 or not lost_a_race(error):
                    raise write_error(error) from error
        raise AssertionError("the last attempt returns or raises")

    def _write(self, batch: Batch, connection: Connection, lock: bool) -> None:
        before = present(connection, {*batch.verdicts, *batch.triggers}, lock=lock)
        written = write_verdicts(connection, batch.verdicts, before)
        insert_triggers(connection, batch.triggers.values(), before.keys() | batch.verdicts.keys())
        insert_rows(connection, Actuation, batch.actuations.values(), keep_present=True)
        insert_rows(connection, DefectImage, batch.images.values(), keep_present=True)
        insert_rows(connection, SystemLog, batch.logs.values(), keep_present=True)
        insert_rows(connection, RejectedMessage, batch.rejected.values(), keep_present=True)
        self._account(connection, written, {row["verdict_id"] for row in batch.images.values()})

    def _close_overdue(self, now: int, deadline: int, connection: Connection, lock: bool) -> list[Overdue]:
        late = overdue(connection, to_datetime(now - deadline), _CLOSED_AT_ONCE)
        before = present(connection, [trigger["verdict_id"] for trigger in late], lock=lock)
        without = [trigger for trigger in late if trigger["verdict_id"] not in before]
        rows = {row["verdict_id"]: row for row in self._missing(without, now)}
        insert_rows(connection, Inspection, rows.values())
        close(connection, [trigger["id"] for trigger in late])
        self._account(connection, Written(rows, []), ())
        return [Overdue(row["verdict_id"], row["board_id"], from_datetime(row["triggered_at"])) for row in without]

    def _missing(self, triggers: Iterable[Row], now: int) -> Iterable[Row]:
        return (missing_row(trigger, self._unjudged, to_datetime(now)) for trigger in triggers)

    def _account(self, connection: Connection, written: Written, pictured: Iterable[str]) -> None:
        close_inspected(connection, written.fresh)
        link_images(connection, written.fresh, set(pictured))
        # Last, for these few rows are those that other writers wait for.
        add(connection, tally(self._calendar, written.fresh.values(), written.replaced))
