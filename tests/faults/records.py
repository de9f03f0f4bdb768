"""Reads what is on record: the tables, through a door of its own, and the driver's log of the pins."""

import re
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.mariadb import MariaDb

from faults.books import Evidence, InspectionRow, ReportRow
from pcb_bus.contract.times import from_datetime

_PULSE = re.compile(r"pin \d+ high for .* ms, verdict (\S+)")
_TRIGGERS = "SELECT verdict_id, COUNT(*) FROM {}.triggers GROUP BY verdict_id"
_INSPECTIONS = "SELECT verdict_id, board_id, status, category FROM {}.inspections"
_REPORTS = "SELECT verdict_id, outcome, fired_at FROM {}.actuations"


class Records:
    """What the line has written.

    Args:
        database: name of its database.
        actuator_output: where the actuator prints, at level debug.
    """

    def __init__(self, mariadb: MariaDb, database: str, actuator_output: Path) -> None:
        self._mariadb = mariadb
        self._database = database
        self._output = actuator_output

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
                reports=tuple(ReportRow(key, outcome, _ns(at)) for key, outcome, at in rows(_REPORTS)),
                pulses=self._pulses(),
            )

    def _pulses(self) -> Counter[str]:
        text = self._output.read_text(encoding="utf-8", errors="replace") if self._output.exists() else ""
        return Counter(_PULSE.findall(text))


def _ns(moment: datetime | None) -> int | None:
    return None if moment is None else from_datetime(moment.replace(tzinfo=UTC))
