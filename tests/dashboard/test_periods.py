"""The statistics of a period: what the figures and charts show, and what they say when there is nothing to show."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert
from support.dashboard_station import Station
from support.recorded_boards import RecordedBoards

from dashboard.periods import HEIGHT, WIDTH, by_hour, chart, shares
from records.queries import Count
from records.tables import (
    BoardStatistics,
    Defect,
    DefectStatistics,
    Inspection,
    InspectionSide,
    Review,
    ReviewSample,
    YieldStatistics,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = NOON.replace(tzinfo=None)
DAY = {"since": "2026-11-20", "until": "2026-11-20"}
NAMES = ("normal", "component", "solder", "scrap", "unjudged")


@pytest.fixture
def counted(station: Station) -> Iterator[None]:
    """Ten boards of one hour: seven good, two with bad joints, one unjudged. One of the two is a false call."""
    with station.engine.begin() as connection:
        for category, number in (("normal", 7), ("solder", 2), ("unjudged", 1)):
            key = {"line": "pcb", "begins_at": HOUR, "category": category, "boards": number}
            latency = {"incomplete": 0, "latency_ms_sum": 1.0, "latency_ms_max": 1.0}
            connection.execute(insert(BoardStatistics).values(key | latency))
            kind = {"product": "<b>", "model": "m1", "camera_id": "left"}
            connection.execute(insert(YieldStatistics).values(key | kind))
        for name, boxes in (("short", 3), ("spur", 1)):
            row = {
                "line": "pcb",
                "begins_at": HOUR,
                "camera_id": "left",
                "class_name": name,
                "boxes": boxes,
                "boards": 1,
            }
            connection.execute(insert(DefectStatistics).values(row))
    boards = RecordedBoards(station.engine, Path(station.settings.recorder.images))
    verdict = boards.add("b1", "solder", [("left", "short", 0.9)], at=NOON)
    now = datetime.now(UTC)
    with station.engine.begin() as connection:
        done = {
            "line": "pcb",
            "verdict_id": verdict,
            "inspection_time": HOUR,
            "reason": "rejected",
            "weight": 1.0,
            "category": "solder",
        }
        connection.execute(insert(ReviewSample).values(done | {"queued_at": now, "done_at": now}))
        said = {"line": "pcb", "verdict_id": verdict, "decision": "false_call", "decided_at": now}
        connection.execute(insert(Review).values(said))
    yield
    tables = (
        Review,
        ReviewSample,
        BoardStatistics,
        YieldStatistics,
        DefectStatistics,
        Defect,
        InspectionSide,
        Inspection,
    )
    with station.engine.begin() as connection:
        for table in tables:
            connection.execute(delete(table))


@pytest.fixture
def viewer(station: Station) -> Iterator[httpx.Client]:
    with station.visit("viewer") as client:
        yield client


@pytest.mark.usefixtures("counted")
def test_a_period_shows_its_yield_its_chart_and_its_causes(viewer: httpx.Client) -> None:
    page = viewer.get("/statistics", params=DAY).text
    figures = [each.partition("</p>")[0] for each in page.split('<p class="big">')[1:]]
    assert figures[:2] == ["10", "70.0 %"]
    assert "1 of them reviewed" in page
    pareto = page.partition('id="pareto"')[2].partition("</table>")[0]
    cells = [each.partition("</td>")[0] for each in pareto.replace(' class="number"', "").split("<td>")[1:]]
    assert cells == ["short", "3", "75.0 %", "75.0 %", "spur", "1", "25.0 %", "100.0 %"]
    points = page.partition('id="points"')[2].partition("</table>")[0]
    assert "2026-11-20 12:00" in points
    assert ">20.0 %<" in points
    assert "<td>&lt;b&gt;</td>" in page
    sides = page.partition('id="sides"')[2].partition("</table>")[0]
    assert '<td>Left</td><td class="number">3</td><td class="number">100.0 %</td>' in sides
    assert "<td>12:00</td>" in page
    assert "style=" not in page


@pytest.mark.usefixtures("counted")
def test_a_false_call_that_a_person_found_corrects_the_yield(viewer: httpx.Client) -> None:
    page = viewer.get("/statistics", params=DAY).text

    def interval(label: str) -> tuple[float, float]:
        words = page.partition(f"<h2>{label}</h2>")[2].partition("interval ")[2].partition(" %")[0]
        low, high = map(float, words.split("–"))
        return low, high

    raw, corrected = interval("First-pass yield as judged"), interval("First-pass yield, corrected by review")
    assert raw == pytest.approx((39.7, 89.2), abs=0.1)
    assert corrected[1] > raw[1]  # nobody looked at the good ones: all of them may be, and so may what was called


def test_a_period_without_boards_says_so(viewer: httpx.Client) -> None:
    answer = viewer.get("/statistics", params={"since": "2001-01-01", "until": "2001-01-01"})
    assert (answer.status_code, "No board was inspected in this period" in answer.text) == (200, True)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"since": "2026-02-30"}, "There is no such day: 2026-02-30"),
        ({"until": "yesterday"}, "There is no such day: yesterday"),
        ({"since": "2026-11-21", "until": "2026-11-20"}, "The last day comes before the first"),
        ({"since": "2020-01-01", "until": "2026-11-20"}, "A period has at most 366 days"),
        ({"since": "0001-01-01"}, "There is no such day"),
    ],
)
def test_days_that_make_no_sense_are_one_line_on_the_page(
    viewer: httpx.Client, asked: dict[str, str], told: str
) -> None:
    answer = viewer.get("/statistics", params=asked)
    alert = answer.text.partition('role="alert">')[2].partition("</p>")[0]
    assert (answer.status_code, told in alert, "\n" in alert) == (400, True, False)


COUNTS = st.lists(
    st.builds(Count, st.integers(0, 200).map(lambda h: HOUR + timedelta(hours=h)), st.sampled_from(NAMES),
              st.integers(0, 500), st.just(0)),
    max_size=30,
)  # fmt: skip


@given(COUNTS)
def test_a_chart_lies_within_its_frame(counts: list[Count]) -> None:
    drawn = chart(counts)
    if drawn is None:
        assert sum(each.boards for each in counts) == 0
        return
    corners = [tuple(map(float, each.split(","))) for each in f"{drawn.line} {drawn.low} {drawn.high}".split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in corners)
    assert 0 <= drawn.centre_y <= HEIGHT
    assert len(corners) == 3 * len(drawn.points)


@given(COUNTS)
def test_no_board_is_lost_between_groups(counts: list[Count]) -> None:
    total = sum(each.boards for each in counts)
    found = by_hour(counts)
    assert sum(each.boards for each in found) == total
    assert [each.name for each in found] == sorted(each.name for each in found)
    by_name = shares((each.category, each.category, each.boards) for each in counts)
    assert all(each.boards for each in by_name)
    assert all(each.good == (each.boards if each.name == "normal" else 0) for each in by_name)
