"""Whatever URL the recorder understands, its records can be counted."""

from pathlib import Path

import pytest
from sqlalchemy import make_url
from support.boards import ZONE, verdict_record

from recorder.store import Store
from records.database import database_url, make_engine
from records.migrate import bring_up_to_date
from simulator.records import RecordsUnreadable, rows_by_board


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql"])
def test_a_server_by_every_name(mariadb_url: str, scheme: str) -> None:
    bring_up_to_date(database_url(mariadb_url), "pcb", ZONE)
    url = make_url(mariadb_url).set(drivername=scheme)
    assert rows_by_board(url.render_as_string(hide_password=False)) == {}


def test_a_database_without_records_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecordsUnreadable, match="the records cannot be read"):
        rows_by_board(f"sqlite:///{tmp_path / 'empty.db'}")


def test_boards_of_another_line_are_not_of_the_run(tmp_path: Path) -> None:
    text = f"sqlite:///{tmp_path / 'records.db'}"
    bring_up_to_date(database_url(text), "pcb", ZONE)
    engine = make_engine(database_url(text))
    for line in ("pcb", "pcb/line2"):
        Store(engine, line, ZONE).write([verdict_record(1, line=line)])
    engine.dispose()
    assert rows_by_board(text) == {"board-1": 1}
