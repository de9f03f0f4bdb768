"""Reads what is on record: the tables, through a door of its own, the pictures, and what the relays saw."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pymysql.cursors import DictCursor
from support.mariadb import MariaDb

from faults.books import Evidence, InspectionRow, Pulse, ReportRow
from faults.contents import Contents, Picture
from faults.launch import read_pins
from pcb_bus.contract.times import from_datetime

_TRIGGERS = "SELECT verdict_id, COUNT(*) FROM {}.triggers WHERE line = %s GROUP BY verdict_id"
_INSPECTIONS = "SELECT verdict_id, board_id, status, category FROM {}.inspections WHERE line = %s"
_REPORTS = "SELECT verdict_id, outcome, pin, fired_at FROM {}.actuations WHERE line = %s"
_CONTENTS = {
    "inspections": "inspections",
    "sides": "inspection_sides",
    "defects": "defects",
    "board_statistics": "board_statistics",
    "defect_statistics": "defect_statistics",
}
_PICTURES = "SELECT verdict_id, camera_id, kind, state, path, sha256 FROM {}.defect_images WHERE line = %s"


class Records:
    """What the line has written.

    Args:
        database: name of its database.
        line: as its rows name it.
        pins: what `faults.launch --pins` writes.
        pictures: the folder of the pictures.
    """

    def __init__(self, mariadb: MariaDb, database: str, line: str, pins: Path, pictures: Path) -> None:
        self._mariadb = mariadb
        self._database = database
        self._line = line
        self._pins = pins
        self._pictures = pictures

    def read(self) -> Evidence:
        """All of it, as of now, but for what only the bus has said.

        Raises:
            OSError, pymysql.err.Error: the database does not answer.
        """
        with closing(self._mariadb.connect()) as connection, connection.cursor() as cursor:

            def rows(query: str) -> Any:
                cursor.execute(query.format(self._database), (self._line,))
                return cursor.fetchall()

            return Evidence(
                triggers={str(key): int(count) for key, count in rows(_TRIGGERS)},
                inspections=tuple(InspectionRow(*map(str, row)) for row in rows(_INSPECTIONS)),
                reports=tuple(ReportRow(key, outcome, pin, _ns(at)) for key, outcome, pin, at in rows(_REPORTS)),
                pulses=tuple(Pulse(each.pin, each.at, each.own) for each in read_pins(self._pins) if each.high),
            )

    def contents(self, zone: ZoneInfo) -> Contents:
        """Every row, as of one moment.

        Raises:
            OSError, pymysql.err.Error: the database does not answer.
        """
        with closing(self._mariadb.connect()) as connection, connection.cursor(DictCursor) as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")

            def rows(query: str) -> Any:
                cursor.execute(query.format(self._database), (self._line,))
                return tuple(cursor.fetchall())

            tables = {name: rows(f"SELECT * FROM {{}}.{table} WHERE line = %s") for name, table in _CONTENTS.items()}
            return Contents(pictures=tuple(Picture(**row) for row in rows(_PICTURES)), zone=zone, **tables)

    def picture(self, path: str) -> bytes | None:
        """What stands in the folder of the pictures, if anything does."""
        try:
            return (self._pictures / path).read_bytes()
        except OSError:
            return None


def _ns(moment: datetime | None) -> int | None:
    return None if moment is None else from_datetime(moment.replace(tzinfo=UTC))
