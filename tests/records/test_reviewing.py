"""The queue of boards to look at, and what people decide of them, on each database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, event, insert, select, update
from support.filled_tables import LINE, SECOND_LINE, ZONE, fill
from support.mariadb import MariaDb

from records.database import database_url, make_engine
from records.errors import ReviewRefused
from records.migrate import bring_up_to_date
from records.reviewing import (
    Decision,
    Sampling,
    decide,
    decisions,
    drawn,
    drawn_boards,
    put_back,
    queue,
    reviewed,
    standing,
    start_of,
    take,
    undo,
    waiting,
)
from records.tables import Defect, Inspection, InspectionSide, ReviewSample, User

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
MIDNIGHT = datetime.fromisoformat("2026-11-21 00:00:00")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
KIM, LEE = 1, 2
ALL = Sampling(share=1.0)
NONE = Sampling(share=0.0)


def person(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "username": name, "password_hash": "", "role": "viewer", "active": True, "created_at": NOW}


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """100 boards, a minute apart; of ten, six are normal, and the tenth is scrap with two calls."""
    text = f"sqlite:///{tmp_path_factory.mktemp('records') / 'records.db'}"
    if request.param == "mariadb":
        server: MariaDb = request.getfixturevalue("_mariadb_server")
        server.start()
        text = server.fresh_database()
    bring_up_to_date(database_url(text), LINE, ZONE)
    engine = make_engine(database_url(text))
    fill(engine, 103, MINUTE)
    with engine.begin() as connection:
        connection.execute(insert(User), [person(KIM, "kim"), person(LEE, "lee")])
    yield engine
    engine.dispose()


@pytest.fixture
def connection(filled: Engine) -> Iterator[Connection]:
    """A transaction that is taken back."""
    with filled.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


def calls_of(connection: Connection, verdict: str) -> list[int]:
    board = select(Inspection.id).where(Inspection.verdict_id == verdict)
    return list(connection.scalars(select(Defect.id).where(Defect.inspection_id.in_(board)).order_by(Defect.id)))


# drawing


@given(st.text(max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_the_draw_is_the_same_again_and_grows_with_its_share(verdict: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    first, again = (drawn(verdict, "normal", 1.0, None, Sampling(share=small)) for _ in range(2))
    assert first == again
    if first is not None:
        assert first == ("random", 1 / small)
        assert drawn(verdict, "normal", 1.0, None, Sampling(share=large)) is not None


def test_a_share_of_the_normal_boards_is_drawn_and_their_weights_stand_for_all() -> None:
    weights = [why[1] for n in range(20_000) if (why := drawn(f"verdict-{n}", "normal", 1.0, 0.1, Sampling()))]
    assert 340 < len(weights) < 460
    assert set(weights) == {50.0}


@pytest.mark.parametrize(
    ("category", "confidence", "oddity", "reason"),
    [
        ("scrap", 0.9, None, "rejected"),
        ("solder", 0.5, 0.9, "rejected"),
        ("solder", 0.499, None, "doubted"),
        ("unjudged", 0.0, None, "doubted"),
        ("normal", 1.0, 0.4, "doubted"),
        ("normal", 1.0, 0.399, None),
        ("normal", 1.0, None, None),
    ],
)
def test_what_was_rejected_or_doubted_is_always_drawn(
    category: str, confidence: float, oddity: float | None, reason: str | None
) -> None:
    assert drawn("v", category, confidence, oddity, NONE) == (reason and (reason, 1.0))


def test_each_board_is_queued_once_however_often_it_is_asked(connection: Connection) -> None:
    after = start_of(connection, LINE, MIDNIGHT)
    assert after == 0
    assert start_of(connection, LINE, MIDNIGHT + 10 * MINUTE) == 10
    new, after = queue(connection, LINE, NONE, after, NOW)
    assert (new, after) == (30, 99)
    assert queue(connection, LINE, NONE, after, NOW) == (0, 99)
    assert queue(connection, LINE, NONE, 0, NOW) == (0, 99)
    assert waiting(connection, LINE) == {"rejected": 30}
    assert waiting(connection, SECOND_LINE) == {}
    # An id that came a moment late is drawn all the same.
    connection.execute(update(Inspection).where(Inspection.id == 1).values(category="unjudged"))
    assert queue(connection, LINE, NONE, after, NOW) == (1, 99)
    connection.execute(update(InspectionSide).where(InspectionSide.inspection_id == 2).values(anomaly_score=0.45))
    assert queue(connection, LINE, NONE, after, NOW) == (1, 99)
    assert waiting(connection, LINE) == {"rejected": 30, "doubted": 2}
    assert waiting(connection, LINE, most=3) == {"rejected": 3, "doubted": 2}


def test_what_is_left_comes_next_time(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("records.reviewing._OVERLAP", 3)
    after, new = 0, []
    while after < 99:
        count, after = queue(connection, LINE, ALL, after, NOW, limit=20)
        new.append(count)
    assert (len(new), sum(new)) == (4, 75)


# taking


def test_the_oldest_comes_first_and_what_somebody_took_is_theirs_for_ten_minutes(connection: Connection) -> None:
    queue(connection, LINE, NONE, 0, NOW)
    connection.execute(update(ReviewSample).where(ReviewSample.verdict_id == "verdict-9").values(queued_at=NOW - DAY))
    connection.execute(
        update(ReviewSample).where(ReviewSample.verdict_id == "verdict-8").values(queued_at=NOW - MINUTE)
    )
    connection.execute(update(ReviewSample).where(ReviewSample.verdict_id == "verdict-8").values(reason="random"))
    first = take(connection, LINE, KIM, NOW)
    assert first is not None
    assert (first.verdict_id, first.reason, first.queued_at, first.inspection_id) == (
        "verdict-9",
        "rejected",
        NOW - DAY,
        10,
    )
    second = take(connection, LINE, LEE, NOW)
    assert second is not None
    assert second.verdict_id == "verdict-8"
    again = take(connection, LINE, KIM, NOW + 9 * MINUTE)
    assert again == first
    later = take(connection, LINE, LEE, NOW + 18 * MINUTE, "rejected")
    assert later is not None
    assert later.verdict_id not in {"verdict-8", "verdict-9"}
    put_back(connection, LINE, later.verdict_id, LEE)
    stale = take(connection, LINE, LEE, NOW + 19 * MINUTE + timedelta(seconds=1), "rejected")
    assert stale == first
    assert take(connection, SECOND_LINE, KIM, NOW) is None


def test_two_people_at_once_never_get_the_same_board(filled: Engine) -> None:
    if filled.dialect.name == "sqlite":
        pytest.skip("it has one writer at a time")
    found: list[str] = []

    def note(connection: Connection, user: int) -> None:
        board = take(connection, LINE, user, NOW)
        assert board is not None
        found.append(board.verdict_id)

    def be_quicker(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("UPDATE") and not found:
            found.append("")
            with filled.begin() as other:
                note(other, LEE)

    with filled.begin() as before:
        queue(before, LINE, NONE, 0, NOW)
    try:
        with filled.begin() as connection:
            event.listen(connection, "before_cursor_execute", be_quicker)
            note(connection, KIM)
        assert len(found) == len(set(found)) == 3
    finally:
        with filled.begin() as after:
            after.execute(delete(ReviewSample))


# deciding


def test_a_board_is_done_when_each_call_was_decided_and_waits_again_when_that_is_undone(connection: Connection) -> None:
    queue(connection, LINE, NONE, 0, NOW)
    one, other = calls_of(connection, "verdict-9")
    for call, kind in ((one, "confirmed"), (other, "false_call")):
        assert waiting(connection, LINE) == {"rejected": 30}
        decide(connection, LINE, Decision("verdict-9", kind, call), KIM, NOW)  # type: ignore[arg-type]
    assert waiting(connection, LINE) == {"rejected": 29}
    taken_back = undo(connection, LINE, KIM, NOW + MINUTE)
    assert taken_back is not None
    assert (taken_back.defect_id, taken_back.undone_at, taken_back.username) == (other, NOW + MINUTE, "kim")
    assert waiting(connection, LINE) == {"rejected": 30}
    past = decisions(connection, LINE, "verdict-9")
    assert [(each.decision, each.username, each.decided_at, each.undone_at) for each in past] == [
        ("confirmed", "kim", NOW, None),
        ("false_call", "kim", NOW, NOW + MINUTE),
    ]
    assert standing(past) == past[:1]
    assert undo(connection, LINE, LEE, NOW) is None
    assert undo(connection, LINE, KIM, NOW, "verdict-8") is None
    assert undo(connection, LINE, KIM, NOW) is not None
    assert undo(connection, LINE, KIM, NOW) is None


def test_the_last_word_holds_and_every_missed_defect(connection: Connection) -> None:
    queue(connection, LINE, NONE, 0, NOW)
    (call, _) = calls_of(connection, "verdict-8")
    found = {"class_name": "spur", "camera_id": "left"}
    decide(connection, LINE, Decision("verdict-8", "false_call", call), KIM, NOW)
    decide(connection, LINE, Decision("verdict-8", "missed", box=(1, 2, 3, 4), **found), KIM, NOW)  # type: ignore[arg-type]
    decide(connection, LINE, Decision("verdict-8", "missed", box=(5, 6, 7, 8), **found), LEE, NOW)  # type: ignore[arg-type]
    decide(connection, LINE, Decision("verdict-8", "other_class", call, "spur", note="길다"), LEE, NOW)
    held = standing(decisions(connection, LINE, "verdict-8"))
    assert [(each.decision, each.x1, each.y2, each.class_name, each.note) for each in held] == [
        ("other_class", None, None, "spur", "길다"),
        ("missed", 1, 4, "spur", None),
        ("missed", 5, 8, "spur", None),
    ]
    # What was missed says nothing of the calls beside it.
    assert waiting(connection, LINE) == {"rejected": 30}
    decide(connection, LINE, Decision("verdict-8", "repaired"), KIM, NOW)
    assert waiting(connection, LINE) == {"rejected": 29}


def test_a_missed_defect_is_all_that_there_is_to_say_of_a_normal_board(connection: Connection) -> None:
    queue(connection, LINE, ALL, 0, NOW)
    missed = Decision("verdict-0", "missed", None, "spur", "left", (1, 2, 3, 4))
    decide(connection, LINE, missed, KIM, NOW)
    decide(connection, LINE, Decision("verdict-1", "confirmed"), KIM, NOW)
    assert waiting(connection, LINE) == {"rejected": 30, "random": 43}


BOX = (1.0, 2.0, 3.0, 4.0)


REFUSED: list[tuple[Decision, str]] = [
    (Decision("verdict-9", "nonsense"), "nonsense: not a decision; it is one of confirmed"),  # type: ignore[arg-type]
    (Decision("verdict-9", "other_class"), "other_class: name the class"),
    (Decision("verdict-9", "missed", None, "spur"), "a missed defect has a side and a box"),
    (Decision("verdict-9", "missed", 1, "spur", "left", BOX), "a missed defect has a side and a box"),
    (Decision("verdict-9", "confirmed", None, None, "left", BOX), "nothing else has a box"),
    (Decision("verdict-9", "missed", None, "spur", "left", (3, 2, 3, 4)), "left edge left of its right one"),
    (Decision("verdict-9", "missed", None, "spur", "left", (float("nan"), 2, 3, 4)), "left edge left of"),
    (Decision("verdict-x", "confirmed"), "no board with the verdict verdict-x"),
    (Decision("verdict-7", "confirmed"), "no board with the verdict verdict-7"),  # of the other line
    (Decision("verdict-9", "confirmed", 1), "call 1 is of another board"),
]


def test_what_makes_no_sense_is_refused_in_one_line(connection: Connection) -> None:
    for decision, why in REFUSED:
        with pytest.raises(ReviewRefused, match=why) as refused:
            decide(connection, LINE, decision, KIM, NOW)
        assert "\n" not in str(refused.value)
        assert decisions(connection, LINE, decision.verdict_id) == []


def test_what_the_statistics_need_of_the_sample(connection: Connection) -> None:
    queue(connection, LINE, Sampling(share=1.0), 0, NOW)
    connection.execute(update(InspectionSide).where(InspectionSide.inspection_id == 9).values(anomaly_score=0.7))
    (one, _) = calls_of(connection, "verdict-8")
    decide(connection, LINE, Decision("verdict-8", "confirmed", one), KIM, NOW)
    decide(connection, LINE, Decision("verdict-8", "false_call"), KIM, NOW)
    decide(connection, LINE, Decision("verdict-4", "confirmed"), KIM, NOW)
    decide(connection, LINE, Decision("verdict-5", "unsure"), KIM, NOW)
    undo(connection, LINE, KIM, NOW)
    found = reviewed(connection, LINE, MIDNIGHT, MIDNIGHT + DAY)
    assert [(each.verdict_id, each.reason, each.category, each.oddity) for each in found] == [
        ("verdict-4", "random", "normal", None),
        ("verdict-8", "rejected", "component", 0.7),
    ]
    assert [[call.class_name for call in each.calls] for each in found] == [[], ["short", "spur"]]
    assert [[past.decision for past in each.decisions] for each in found] == [
        ["confirmed"],
        ["confirmed", "false_call"],
    ]
    assert reviewed(connection, LINE, MIDNIGHT, MIDNIGHT + 8 * MINUTE) == found[:1]
    assert drawn_boards(connection, LINE, MIDNIGHT, MIDNIGHT + DAY) == {
        ("normal", "random"): 45,
        ("solder", "rejected"): 15,
        ("component", "rejected"): 10,
        ("scrap", "rejected"): 5,
    }
