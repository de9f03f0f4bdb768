"""The review station: what is shown, what a key decides, and what is never changed."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from support.dashboard_station import Station
from support.recorded_boards import RecordedBoards
from support.red_spots import board_jpeg

from dashboard.review import ReviewQueue, view_of
from records.tables import Defect, Inspection, Review


@pytest.fixture
def bench(station: Station) -> Iterator[httpx.Client]:
    """An operator at the repair bench."""
    with station.visit("operator") as client:
        client.follow_redirects = True
        yield client


def held(station: Station) -> list[tuple[str, str | None]]:
    """The decisions that hold: what, and the class."""
    with station.engine.connect() as connection:
        rows = connection.execute(select(Review.decision, Review.class_name).where(Review.undone_at.is_(None)))
        return [(decision, class_name) for decision, class_name in rows]


def calls(station: Station, verdict_id: str) -> list[int]:
    with station.engine.connect() as connection:
        number = select(Inspection.id).where(Inspection.verdict_id == verdict_id).scalar_subquery()
        return list(connection.scalars(select(Defect.id).where(Defect.inspection_id == number).order_by(Defect.id)))


def test_each_call_is_decided_after_the_other_and_the_verdict_stays(
    station: Station, boards: RecordedBoards, bench: httpx.Client
) -> None:
    verdict = boards.add("b1", "solder", [("left", "short", 0.9), ("right", "bridge", 0.8)], jpeg=board_jpeg())
    first, second = calls(station, verdict)
    page = bench.get(f"/review/{verdict}").text
    assert f'name="defect_id" value="{first}"' in page
    page = bench.post(f"/review/{verdict}", data={"decision": "confirmed", "defect_id": first}).text
    assert f'name="defect_id" value="{second}"' in page
    said = {"decision": "other_class", "defect_id": second, "class_name": "short"}
    page = bench.post(f"/review/{verdict}", data=said).text
    assert "All calls are decided" in page
    assert held(station) == [("confirmed", None), ("other_class", "short")]
    with station.engine.connect() as connection:
        assert connection.scalar(select(Inspection.category)) == "solder"


def test_the_last_decision_can_be_undone_and_is_still_told(
    station: Station, boards: RecordedBoards, bench: httpx.Client
) -> None:
    verdict = boards.add("b1", "solder", [("left", "short", 0.9)])
    (call,) = calls(station, verdict)
    bench.post(f"/review/{verdict}", data={"decision": "false_call", "defect_id": call})
    page = bench.post("/review/undo").text
    assert held(station) == []
    assert f'name="defect_id" value="{call}"' in page
    assert "False call" in page
    assert "undone" in page


def test_the_same_place_of_a_good_board_is_beside_a_call(boards: RecordedBoards, bench: httpx.Client) -> None:
    good = boards.add("good", jpeg=board_jpeg(), product="a")
    boards.add("another", jpeg=board_jpeg(), product="b")
    verdict = boards.add("bad", "solder", [("left", "short", 0.9)], jpeg=board_jpeg(short=True), product="a")
    page = bench.get(f"/review/{verdict}").text
    shown = [part.split('"')[0] for part in page.split('<image href="')[1:]]
    assert shown == [f"/pictures/{verdict}/left/picture", f"/pictures/{good}/left/picture"]
    assert all(bench.get(each).status_code == 200 for each in shown)


@pytest.mark.parametrize("scanned", ["b1", " v-b1 ", "SN-1"])
def test_a_scanner_opens_the_last_pass_of_a_board(boards: RecordedBoards, bench: httpx.Client, scanned: str) -> None:
    boards.add("b1", serial="SN-1")
    assert bench.get("/review", params={"board": scanned}).url.path == "/review/v-b1"


def test_a_board_that_nobody_knows_is_told_and_never_taken_for_html(bench: httpx.Client) -> None:
    answer = bench.get("/review", params={"board": "<b>x"})
    assert (answer.status_code, "<b>x" in answer.text, "&lt;b&gt;x" in answer.text) == (404, False, True)


def test_the_queue_gives_a_board_to_one_person_at_a_time(
    station: Station, boards: RecordedBoards, bench: httpx.Client
) -> None:
    boards.add("bad", "scrap", [("left", "short", 0.9)])
    boards.add("good")
    ReviewQueue(station.engine, "pcb", 0.0).draw(datetime.now(UTC).replace(tzinfo=None))
    assert bench.post("/review/next", data={"reason": "rejected"}).url.path == "/review/v-bad"
    with station.visit("engineer") as other:
        other.follow_redirects = True
        assert other.post("/review/next").url.path == "/review"
        bench.post("/review/v-bad/back")
        assert other.post("/review/next").url.path == "/review/v-bad"


def test_a_missed_defect_has_its_place_and_its_class(
    station: Station, boards: RecordedBoards, bench: httpx.Client
) -> None:
    verdict = boards.add("b1", jpeg=board_jpeg())
    where = {"camera_id": "left", "x1": "1.5", "y1": "2", "x2": "20", "y2": "30"}
    said = {"decision": "missed", "class_name": "short"}
    assert bench.post(f"/review/{verdict}", data=said | dict.fromkeys(where, "")).status_code == 422
    assert bench.post(f"/review/{verdict}", data=said | where | {"x2": "nan"}).status_code == 422
    assert held(station) == []
    assert bench.post(f"/review/{verdict}", data=said | where).status_code == 200
    assert held(station) == [("missed", "short")]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"decision": "destroyed"},
        {"decision": "confirmed", "defect_id": "999999"},
        {"decision": "confirmed", "defect_id": "1 OR 1=1"},
        {"decision": "confirmed", "defect_id": str(10**30)},
        {"decision": "other_class"},
    ],
)
def test_what_makes_no_sense_is_not_written_down(
    station: Station, boards: RecordedBoards, bench: httpx.Client, data: dict[str, str]
) -> None:
    verdict = boards.add("b1", "solder", [("left", "short", 0.9)])
    assert bench.post(f"/review/{verdict}", data=data).status_code == 422
    assert held(station) == []


def test_names_that_are_html_are_shown_as_they_are(boards: RecordedBoards, bench: httpx.Client) -> None:
    verdict = boards.add("<script>1</script>", "solder", [("left", "short", 0.9)], serial='"><img src=x>')
    page = bench.get("/review", params={"board": "<script>1</script>"}).text
    assert "<script>1" not in page
    assert "<img" not in page
    assert verdict not in page.replace("&lt;script&gt;1&lt;/script&gt;", "")


@given(
    st.tuples(*[st.floats(0, 1)] * 4),
    st.tuples(st.integers(130, 4000), st.integers(130, 4000)),
)
def test_what_is_shown_of_a_picture_lies_within_it_and_holds_the_box(
    shares: tuple[float, float, float, float], whole: tuple[int, int]
) -> None:
    (x1, x2), (y1, y2) = sorted((shares[0], shares[1])), sorted((shares[2], shares[3]))
    box = x1 * whole[0], y1 * whole[1], x2 * whole[0], y2 * whole[1]
    view = view_of(box, whole)
    assert view.x >= 0
    assert view.y >= 0
    assert view.x + view.width <= whole[0] + 1e-6
    assert view.y + view.height <= whole[1] + 1e-6
    if box[2] - box[0] <= view.width and box[3] - box[1] <= view.height:
        assert view.x <= box[0] + 1e-6
        assert box[2] <= view.x + view.width + 1e-6
        assert view.y <= box[1] + 1e-6
        assert box[3] <= view.y + view.height + 1e-6
