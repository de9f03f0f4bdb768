"""Files of a history: every board that was asked for, what begins like a formula as text, and where they end."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from openpyxl import load_workbook
from sqlalchemy import delete
from support.dashboard_station import Station
from support.recorded_boards import RecordedBoards

from dashboard.export import csv_of, write_excel
from records.queries import Filter
from records.tables import Defect, DefectImage, Inspection, InspectionSide

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SEOUL = ZoneInfo("Asia/Seoul")


@pytest.fixture
def boards(station: Station) -> Iterator[RecordedBoards]:
    """Three, of which one has two defects and names that are formulas."""
    made = RecordedBoards(station.engine, Path(station.settings.recorder.images))
    made.add("b1", at=NOON)
    box = [("left", "short", 0.9), ("right", "spur", 0.8)]
    made.add("=1+1", "solder", box, at=NOON + timedelta(seconds=1), serial="@x", product="납\x01")
    made.add("b3", at=NOON + timedelta(days=1))
    yield made
    with station.engine.begin() as connection:
        for table in (DefectImage, Defect, InspectionSide, Inspection):
            connection.execute(delete(table))


@pytest.fixture
def operator(station: Station) -> Iterator[httpx.Client]:
    with station.visit("operator") as client:
        yield client


@pytest.mark.usefixtures("boards")
def test_a_csv_opens_in_excel_and_has_no_formulas(operator: httpx.Client) -> None:
    answer = operator.get("/export/boards.csv", params={"until": "2026-11-20"})
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert answer.headers["content-disposition"].startswith('attachment; filename="boards-')
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["board_id"] for row in rows] == ["b1", "'=1+1"]
    assert (rows[1]["serial"], rows[1]["inspection_time"]) == ("'@x", "2026-11-20 12:00:01.000")
    assert "image_path" not in rows[0]


@pytest.mark.usefixtures("boards")
def test_an_excel_file_has_boards_defects_and_statistics(operator: httpx.Client) -> None:
    answer = operator.get("/export/boards.xlsx", params={"until": "2026-11-20"})
    book = load_workbook(io.BytesIO(answer.content))
    assert book.sheetnames == ["Boards", "Defects", "Statistics"]
    cell = book["Boards"]["C3"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")
    assert [row[4] for row in book["Defects"].iter_rows(values_only=True)] == ["class_name", "short", "spur"]
    figures = [row[:2] for row in book["Statistics"].iter_rows(values_only=True)]
    assert figures[:4] == [("Boards", 2), ("normal", 1), ("solder", 1), ("First-pass yield as judged", 0.5)]
    assert figures[-2:] == [("short", 1), ("spur", 1)]


@pytest.mark.usefixtures("boards")
def test_a_file_that_is_full_says_so(station: Station) -> None:
    asked = Filter(line="pcb")
    full = "".join(csv_of(station.engine.connect, asked, SEOUL, "en", most=2)).splitlines()
    assert len(full) == 4
    assert "There are more than one file holds" in full[-1]
    whole = "".join(csv_of(station.engine.connect, asked, SEOUL, "en", most=3)).splitlines()
    assert len(whole) == 4
    assert "There are more" not in whole[-1]
    for most, says in ((2, True), (3, False)):
        file = io.BytesIO()
        with station.engine.connect() as connection:
            write_excel(file, connection, asked, SEOUL, "en", most=most)
        first = load_workbook(file)["Statistics"]["A1"].value
        assert isinstance(first, str)
        assert first.startswith("There are more") == says


def test_a_file_of_nothing_has_its_header(operator: httpx.Client) -> None:
    answer = operator.get("/export/boards.csv", params={"until": "2001-01-01"})
    assert answer.text.count("\n") == 1
    assert operator.get("/export/boards.xlsx", params={"until": "2001-01-01"}).status_code == 200


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_day_that_is_none_makes_no_file(operator: httpx.Client, ending: str) -> None:
    assert operator.get(f"/export/boards.{ending}", params={"since": "2026-02-30"}).status_code == 400
