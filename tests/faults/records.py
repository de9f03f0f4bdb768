"""Reads what is on record: the tables, through a door of its own, and what the relays saw."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.mariadb import MariaDb

from faults.books import Evidence, InspectionRow, Pulse, ReportRow
from faults.launch import read_pins
from pcb_bus.contract.times import from_datetime

_TRIGGERS = "SELECT verdict_id, COUNT(*) FROM {}.triggers GROUP BY verdict_id"
_INSPECTIONS = "SELECT verdict_id, board_id, status, category FROM {}.inspections"
_REPORTS = "SELECT verdict_id, outcome, pin, fired_at FROM {}.actuations"


class Records:
    """What the line has written.

    Args:
        database: name of its database.
        pins: what `faults.launch --pins` writes.
    """

    def __init__(self, mariadb: MariaDb, database: str, pins: Path) -> None:
        self._mariadb = mariadb
        self._database = database
        self._pins = pins

    def read(self) -> Evidence:
        """All of it, as of now, but for what only the bus has said.

        Raises:
            OSError, pymysql.err.Error: the database does not answer.
        """
        with closing(self._mariadb.connect()) as connection, connection.cursor() as cursor:

            def rows(query: str) -> Any:
                cursor.execute(query.format(self._database))
                return cursor.fetchall()

            return Evidence(
                triggers={str(key): int(count) for key, count in rows(_TRIGGERS)},
                inspections=tuple(InspectionRow(*map(str, row)) for row in rows(_INSPECTIONS)),
                reports=tuple(ReportRow(key, outcome, pin, _ns(at)) for key, outcome, pin, at in rows(_REPORTS)),
                pulses=tuple(Pulse(each.pin, each.at, each.own) for each in read_pins(self._pins) if each.high),
            )


def _ns(moment: datetime | None) -> int | None:
    return None if moment is None else from_datetime(moment.replace(tzinfo=UTC))
