"""What the line shows now, from messages and the moment."""

from dataclasses import replace
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.verdicts import verdict

from dashboard.feed import LAST, Feed, Recorded, seen, turn_at
from dashboard.settings import Shift
from pcb_bus.contract.messages import Category, NodeStatus, Verdict
from pcb_bus.contract.times import NS_PER_S, from_datetime

SEOUL = ZoneInfo("Asia/Seoul")
SHIFTS = (Shift(begins=time(8), target=1200), Shift(begins=time(20), target=600))
EIGHT = from_datetime(datetime(2026, 12, 1, 8, tzinfo=SEOUL))
HOUR = 3600 * NS_PER_S


def feed() -> Feed:
    return Feed(("edge-left", "inference"), SHIFTS, SEOUL)


def board(number: int, at: int, category: Category = "normal") -> Verdict:
    return verdict(f"b{number}", category, captured_at=at)


def status(node: str = "inference", state: str = "online", detail: str = "") -> NodeStatus:
    fields = {"service": node, "node": node, "version": "1", "host": "h", "started_at": 1, "updated_at": 1}
    return NodeStatus(state=state, detail=detail, **fields)  # type: ignore[arg-type]


def shown(line: Feed, now: int) -> dict[str, object]:
    return line.state(now, broker=True, database="")


@pytest.mark.parametrize(
    ("at", "begins", "ends", "target"),
    [
        ((1, 8, 0), (1, 8), (1, 20), 1200),
        ((1, 19, 59), (1, 8), (1, 20), 1200),
        ((1, 20, 0), (1, 20), (2, 8), 600),
        ((2, 3, 0), (1, 20), (2, 8), 600),
    ],
)
def test_a_shift_goes_on_after_midnight(
    at: tuple[int, int, int], begins: tuple[int, int], ends: tuple[int, int], target: int
) -> None:
    moment = [from_datetime(datetime(2026, 12, *each, tzinfo=SEOUL)) for each in (at, begins, ends)]
    turn = turn_at(SHIFTS, moment[0], SEOUL)
    assert [turn.begins_at, turn.ends_at, turn.target] == [*moment[1:], target]


YEARS = [datetime(year, 1, 1) for year in (2026, 2028)]  # noqa: DTZ001 - hypothesis wants them so


@settings(max_examples=40)
@given(st.datetimes(*YEARS), st.sets(st.times(), min_size=1, max_size=4))
def test_there_is_a_shift_at_every_moment(at: datetime, begins: set[time]) -> None:
    now = from_datetime(at.replace(tzinfo=UTC))
    turn = turn_at([Shift(begins=each) for each in sorted(begins)], now, ZoneInfo("Europe/Berlin"))
    assert turn.begins_at - HOUR <= now <= turn.ends_at + HOUR  # an hour that clocks are set by
    assert turn.begins_at < turn.ends_at


def test_boards_are_counted_against_what_is_due() -> None:
    line, now = feed(), EIGHT + 6 * HOUR
    line.connected(EIGHT)
    for number, category in enumerate(("normal", "normal", "solder", "unjudged")):
        line.verdict(board(number, now + number, category), now + number)  # type: ignore[arg-type]
    shift = shown(line, now + 10)["shift"]
    assert isinstance(shift, dict)
    assert shift["counts"] == {"normal": 2, "solder": 1, "unjudged": 1}
    assert (shift["boards"], shift["yield"], shift["target"], shift["due"]) == (4, 0.5, 1200, 600)


def test_the_same_verdict_twice_is_one_board() -> None:
    line = feed()
    assert [line.verdict(board(1, EIGHT), EIGHT) for _ in range(3)] == [True, False, False]
    assert shown(line, EIGHT)["shift"]["boards"] == 1  # type: ignore[index]
    assert len(shown(line, EIGHT)["boards"]) == 1  # type: ignore[arg-type]


SECONDS = st.integers(0, 600)


@settings(max_examples=40)
@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=40), st.lists(SECONDS, max_size=4))
def test_boards_are_counted_once_however_late_they_are_recorded(
    boards: list[tuple[int, int]], reads: list[int]
) -> None:
    """Each is taken at a second, and recorded so many seconds later; now and then the database is read."""
    line = feed()
    line.connected(EIGHT)
    taken = {EIGHT + second * NS_PER_S: EIGHT + (second + late) * NS_PER_S + 1 for second, late in boards}
    for now in sorted({*taken, *taken.values(), *(EIGHT + second * NS_PER_S + 2 for second in reads)}):
        if now in taken:
            line.verdict(board(now, now), now)
        line.committed(f"v-b{at}" for at, recorded in taken.items() if recorded == now)
        if now % NS_PER_S == 2:
            until = line.counted_until(now)
            known = sum(1 for at, recorded in taken.items() if at < until and recorded <= now)
            line.take(Recorded(line.turn(now), until, {"normal": known}, []))
        assert shown(line, now)["shift"]["boards"] == sum(1 for at in taken if at <= now)  # type: ignore[index]


def test_a_restart_finds_its_counts_and_its_last_boards() -> None:
    line, now = feed(), EIGHT + HOUR
    line.verdict(board(99, now + 1, "scrap"), now + 1)
    last = [seen(board(number, now - number)) for number in range(12)]
    line.take(Recorded(line.turn(now), line.counted_until(now), {"normal": 700, "solder": 3}, last))
    state = shown(line, now + 2)
    assert state["shift"]["counts"] == {"normal": 700, "solder": 3, "scrap": 1}  # type: ignore[index]
    assert [each["board"] for each in state["boards"]] == ["b99", *(f"b{each}" for each in range(LAST - 1))]  # type: ignore[attr-defined]
    assert state["verdict"]["category"] == "scrap"  # type: ignore[index]


def test_a_new_shift_begins_with_nothing() -> None:
    line, now = feed(), EIGHT + 12 * HOUR - NS_PER_S
    line.verdict(board(1, now), now)
    line.take(Recorded(line.turn(now), line.counted_until(now), {"normal": 1100}, []))
    later = now + 2 * NS_PER_S
    line.verdict(board(2, later, "solder"), later)
    shift = shown(line, later)["shift"]
    assert (shift["counts"], shift["target"]) == ({"solder": 1}, 600)  # type: ignore[index]


def test_a_node_that_is_not_heard_is_silent() -> None:
    line = feed()
    line.status(status(detail="no camera", state="degraded"), EIGHT)
    line.status(status("stranger"), EIGHT)
    named = {each["node"]: (each["state"], each["detail"]) for each in shown(line, EIGHT + 44 * NS_PER_S)["nodes"]}  # type: ignore[attr-defined]
    assert named == {
        "edge-left": ("unheard", ""),
        "inference": ("degraded", "no camera"),
        "stranger": ("online", ""),
    }
    later = {each["node"]: each["state"] for each in shown(line, EIGHT + 46 * NS_PER_S)["nodes"]}  # type: ignore[attr-defined]
    assert later == {"edge-left": "unheard", "inference": "silent", "stranger": "silent"}


def test_an_offline_node_stays_offline() -> None:
    line = feed()
    line.status(status(state="offline"), EIGHT)
    assert shown(line, EIGHT + HOUR)["nodes"][1]["state"] == "offline"  # type: ignore[index]


def test_names_of_strangers_are_bounded() -> None:
    line = feed()
    for number in range(1000):
        line.status(status(f"node-{number}"), EIGHT)
    assert len(shown(line, EIGHT)["nodes"]) == 64 + 2  # type: ignore[arg-type]


def test_everything_that_is_heard_is_news() -> None:
    line = feed()
    assert shown(line, EIGHT)["news"] is None
    for number, hear in enumerate((lambda at: line.verdict(board(1, at), at), line.news)):
        at = EIGHT + (number + 1) * NS_PER_S
        hear(at)
        assert shown(line, at)["news"] == at // 1_000_000


def test_a_board_that_comes_late_does_not_take_the_place_of_the_newest() -> None:
    line = feed()
    line.verdict(board(2, EIGHT + NS_PER_S), EIGHT + NS_PER_S)
    line.verdict(board(1, EIGHT, "scrap"), EIGHT + 2 * NS_PER_S)
    assert shown(line, EIGHT + 2 * NS_PER_S)["verdict"]["board"] == "b2"  # type: ignore[index]


def test_what_is_seen_of_a_verdict_is_all_that_a_page_shows() -> None:
    found = replace(seen(board(1, EIGHT)), serial="4711")
    assert found.shown()["serial"] == "4711"
