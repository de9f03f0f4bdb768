"""History and a board's story: what is found, page by page, and what an address that makes no sense is told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete, insert, select
from support.dashboard_station import Station
from support.recorded_boards import RecordedBoards
from support.red_spots import board_jpeg

from records.tables import Actuation, Defect, DefectImage, Inspection, InspectionSide, Review, Serial, Trigger

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def boards(station: Station) -> Iterator[RecordedBoards]:
    """On empty tables."""
    yield RecordedBoards(station.engine, Path(station.settings.recorder.images))
    with station.engine.begin() as connection:
        for table in (Review, Serial, Actuation, Trigger, DefectImage, Defect, InspectionSide, Inspection):
            connection.execute(delete(table))


@pytest.fixture
def viewer(station: Station) -> Iterator[httpx.Client]:
    with station.visit("viewer") as client:
        yield client


def shown(page: str) -> list[str]:
    """The boards of a list, in its order."""
    rows = page.partition("<tbody>")[2].split("<tr>")[1:]
    return [row.split("<td>")[3].partition("</td>")[0] for row in rows]


def number_of(station: Station, verdict_id: str) -> int:
    with station.engine.connect() as connection:
        found = connection.scalar(select(Inspection.id).where(Inspection.verdict_id == verdict_id))
    assert found is not None
    return found


def link(page: str, name: str) -> str:
    return page.partition(f'id="{name}"')[2].partition('href="')[2].partition('"')[0].replace("&amp;", "&")


def test_pages_lead_to_each_other_and_keep_what_was_asked(boards: RecordedBoards, viewer: httpx.Client) -> None:
    for number in range(51):
        boards.add(f"b{number}", product="a", at=NOON + timedelta(seconds=number))
    boards.add("other", product="b", at=NOON)
    first = viewer.get("/history", params={"product": "a"}).text
    assert shown(first) == [f"b{number}" for number in range(50, 0, -1)]
    assert link(first, "newer") == ""
    second = viewer.get(link(first, "older")).text
    assert shown(second) == ["b0"]
    assert link(second, "older") == ""
    assert shown(viewer.get(link(second, "newer")).text) == shown(first)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"since": "2026-11-20", "until": "2026-11-20"}, ["bad", "good"]),
        ({"since": "2026-11-21"}, []),
        ({"category": "solder"}, ["bad"]),
        ({"class_name": "short"}, ["bad"]),
        ({"side": "left"}, ["bad"]),
        ({"board": " good "}, ["good"]),
        ({"serial": "SN-1"}, ["good"]),
        ({"model": "m2"}, ["bad"]),
        ({"status": "incomplete"}, ["bad"]),
        ({"board": "' OR 1=1 --"}, []),
    ],
)
def test_a_list_has_what_was_asked_for(
    boards: RecordedBoards, viewer: httpx.Client, asked: dict[str, str], found: list[str]
) -> None:
    boards.add("good", at=NOON, serial="SN-1", model="m1")
    boards.add(
        "bad", "solder", [("left", "short", 0.9)], at=NOON + timedelta(seconds=1), model="m2", status="incomplete"
    )
    answer = viewer.get("/history", params=asked)
    assert (answer.status_code, shown(answer.text)) == (200, found)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"since": "2026-02-30"}, "There is no such day: 2026-02-30"),
        ({"until": "<b>"}, "There is no such day: &lt;b&gt;"),
        ({"since": "9999-12-31"}, "There is no such day"),
        ({"since": "2026-11-21", "until": "2026-11-20"}, "The last day comes before the first"),
        ({"shift": "03:33"}, "There is no shift that begins at 03:33"),
        ({"older": "1000000000"}, "The address names no page"),
        ({"board": "x" * 129}, "at most 128 characters"),
        ({"board": "a\0b"}, "all of them printable"),
    ],
)
def test_what_makes_no_sense_is_one_line_on_the_page(viewer: httpx.Client, asked: dict[str, str], told: str) -> None:
    answer = viewer.get("/history", params=asked)
    alert = answer.text.partition('role="alert">')[2].partition("</p>")[0]
    assert answer.status_code == 400
    assert told in alert
    assert "\n" not in alert


def test_a_story_tells_everything_that_happened_to_a_board(
    station: Station, boards: RecordedBoards, viewer: httpx.Client
) -> None:
    captured, judged = NOON + timedelta(milliseconds=40), NOON + timedelta(milliseconds=190)
    box = [("left", "short", 0.9)]
    verdict = boards.add("b1", "solder", box, at=captured, jpeg=board_jpeg(), serial="SN-1", judged_at=judged)
    again = boards.add("b2", at=NOON + timedelta(hours=1), serial="SN-1")
    key = {"line": "pcb", "verdict_id": verdict, "board_id": "b1"}
    fired = NOON + timedelta(milliseconds=230)
    gate = {
        "category": "solder",
        "pin": 22,
        "outcome": "fired",
        "fired_at": fired,
        "duration_ms": 500,
        "received_at": fired,
    }
    trigger = {"source": "plc", "triggered_at": NOON, "received_at": NOON, "open": False}
    with station.engine.begin() as connection:
        connection.execute(insert(Trigger).values(key | trigger))
        connection.execute(insert(Actuation).values(key | gate))
    page = viewer.get(f"/history/{number_of(station, verdict)}").text
    times = page.partition("waterfall")[2].partition("</svg>")[0]
    assert [each.partition("<")[0] for each in times.split('text-anchor="end">')[1:]] == [
        "0 ms", "40 ms", "40 ms", "190 ms", "230 ms",
    ]  # fmt: skip
    assert f'href="/history/{number_of(station, again)}"' in page
    assert f'href="/pictures/{verdict}/left/picture"' in page
    assert "GPIO 22 · 500 ms" in page
    assert '<rect class="mark" x="16.0" y="8.0" width="16.0" height="16.0">' in page


@pytest.mark.parametrize(("number", "status"), [("999999", 404), ("0", 422), ("..%2f..", 404), (str(10**30), 422)])
def test_a_board_that_is_not_there(viewer: httpx.Client, number: str, status: int) -> None:
    assert viewer.get(f"/history/{number}").status_code == status


def test_a_board_of_another_line_is_not_shown(station: Station, boards: RecordedBoards, viewer: httpx.Client) -> None:
    verdict = boards.add("foreign", line="pcb/line2")
    assert viewer.get(f"/history/{number_of(station, verdict)}").status_code == 404
    assert shown(viewer.get("/history").text) == []


def test_names_that_are_html_are_shown_as_they_are(boards: RecordedBoards, viewer: httpx.Client) -> None:
    boards.add("<script>1</script>", product="<img src=x>", serial='"><b>')
    page = viewer.get("/history").text
    assert "<script>1" not in page
    assert "<img" not in page
    assert "<b>" not in page.replace("<b>viewer</b>", "")
