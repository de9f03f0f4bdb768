"""Whatever URL the recorder understands, its records can be counted."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from recorder.database import bring_up_to_date, database_url
from simulator.records import RecordsUnreadable, rows_by_board


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql"])
def test_a_server_by_every_name(mariadb_url: str, scheme: str) -> None:
    bring_up_to_date(database_url(mariadb_url))
    url = make_url(mariadb_url).set(drivername=scheme)
    assert rows_by_board(url.render_as_string(hide_password=False)) == {}


def test_a_database_without_records_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecordsUnreadable, match="the records cannot be read"):
        rows_by_board(f"sqlite:///{tmp_path / 'empty.db'}")
