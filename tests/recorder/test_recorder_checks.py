"""What raises an alert, and what resolves it: nodes, disks, the spool, the defect rate, boards without a verdict."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, update
from support.boards import LINE, ZONE, trigger_record, verdict_record
from support.peer import until

from pcb_bus.contract.messages import NodeState, NodeStatus
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns
from recorder import checks
from recorder.alerts import Alerts
from recorder.checks import LostBoards, Nodes, Steady
from recorder.settings import AlertSettings
from recorder.store import Store
from records.database import database_url, make_engine
from records.tables import Alert

MEGABYTE = 1_000_000


def alerts_of(engine: Engine, line: str = LINE) -> Alerts:
    return Alerts(engine, line, lambda *_, **__: None)


@pytest.fixture
def alerts() -> Alerts:
    """Without a database."""
    return alerts_of(make_engine(database_url("sqlite:///nowhere/none.db")))


def opened(alerts: Alerts) -> list[tuple[str, str, str]]:
    return [(alert.subject, alert.level, alert.message) for alert in alerts.open()]


class Watched:
    """One node, with a grace of 30 s and a silence of 45 s; times in seconds."""

    def __init__(self, alerts: Alerts) -> None:
        self.alerts = alerts
        self.nodes = Nodes(alerts, AlertSettings(offline_grace_s=30, silence_s=45))

    def see(self, second: int, state: NodeState | None, detail: str = "") -> None:
        fields: dict[str, Any] = {"service": "edge", "node": "edge-left", "version": "1", "host": "pi", "started_at": 0}
        status = state and NodeStatus(**fields, state=state, updated_at=0, detail=detail)
        self.nodes.see("edge-left", status, second * NS_PER_S)

    def look(self, second: int, *, connected: bool = True) -> list[tuple[str, str]]:
        """Level and message of what is open."""
        self.nodes.look(connected, second * NS_PER_S)
        return [(alert.level, alert.message) for alert in self.alerts.open()]


@pytest.fixture
def watched(alerts: Alerts) -> Watched:
    return Watched(alerts)


def test_a_node_that_is_offline_for_longer_than_the_grace_is_absent(watched: Watched) -> None:
    watched.see(0, "online")
    watched.see(10, "offline", "connection lost")
    watched.see(20, "offline", "connection lost")
    assert watched.look(39) == []
    assert watched.look(40) == [("warning", "edge-left is offline")]
    assert watched.alerts.open()[0].details == {"reason": "connection lost"}
    watched.see(41, "degraded", "no camera")
    assert watched.look(41) == []


def test_a_node_that_was_stopped_on_purpose_is_told_as_such(watched: Watched) -> None:
    watched.see(0, "offline", "stopped")
    assert watched.look(30) == [("info", "edge-left was stopped")]


def test_a_node_without_heartbeat_is_absent_although_its_will_never_came(watched: Watched) -> None:
    watched.see(0, "online")
    assert watched.look(44) == []
    assert watched.look(45) == [("warning", "edge-left is not heard any more")]
    assert watched.nodes.is_online("edge-left")


def test_a_recorder_that_heard_nobody_blames_nobody(watched: Watched) -> None:
    watched.see(0, "online")
    assert watched.look(100, connected=False) == []
    assert watched.look(144) == []
    assert watched.look(145) != []


def test_a_node_that_left_the_line_is_forgotten(watched: Watched) -> None:
    watched.see(0, "offline", "stopped")
    assert watched.look(50) != []
    watched.see(51, None)
    assert watched.look(100) == []


def test_a_node_that_left_while_the_recorder_was_off_is_forgotten(watched: Watched) -> None:
    watched.alerts.raise_alert("node_offline", "edge-right", "info", "edge-right was stopped")
    watched.alerts.raise_alert("node_offline", "edge-left", "warning", "edge-left is offline")
    watched.look(0, connected=False)
    watched.see(1, "offline", "connection lost")
    assert len(watched.look(119)) == 2
    assert watched.look(120) == [("warning", "edge-left is offline")]


def test_strangers_do_not_fill_the_memory(alerts: Alerts) -> None:
    nodes = Nodes(alerts, AlertSettings())
    fields: dict[str, Any] = {"service": "edge", "node": "x", "version": "1", "host": "pi", "started_at": 0}
    for number in range(1000):
        nodes.see(f"node-{number}", NodeStatus(state="online", updated_at=0, **fields), 0)
    assert sum(nodes.is_online(f"node-{number}") for number in range(1000)) == 256


def test_a_disk_is_fine_again_with_some_slack(alerts: Alerts) -> None:
    open_at = []
    for free in (1000, 999, 1099, 1100):
        checks.check_disk(alerts, "images", Path("x"), free, 1000)
        open_at.append(len(alerts.open()))
    assert open_at == [0, 1, 1, 0]


def test_a_disk_that_holds_two_things_is_one_disk(alerts: Alerts, tmp_path: Path) -> None:
    alerts.raise_alert(checks.DISK, "database", "error", "of a disk that is no more")
    places = {"images": tmp_path / "not" / "there" / "yet", "spool": tmp_path}
    checks.look_at_disks(alerts, places, min_free_mb=1e12)
    ((subject, level, message),) = opened(alerts)
    assert (subject, level) == ("images, spool", "error")
    assert message.endswith(f" MB are free on the disk of images, spool ({tmp_path})")


def test_a_spool_that_fills_and_empties(alerts: Alerts) -> None:
    open_at, said = [], set[str]()
    for fill in (0.5, 0.51, 0.45, 0.39):
        checks.check_spool(alerts, fill, 3, 7000)
        open_at.append(len(alerts.open()))
        said |= {alert.message for alert in alerts.open()}
    assert open_at == [0, 1, 1, 0]
    assert said == {"the spool is 51% full: 3 messages wait for the database, 7000 pictures for their store"}


@pytest.mark.parametrize(("defective", "after"), [(30, [False, True]), (31, [True, True]), (24, [False, False])])
def test_the_defect_rate_has_slack(alerts: Alerts, defective: int, after: list[bool]) -> None:
    """Whether an alert is open that was not before, and one that was."""
    seen = []
    for before in (0, 100):
        checks.check_defect_rate(alerts, LINE, 100, before, 0.3)
        checks.check_defect_rate(alerts, LINE, 100, defective, 0.3)
        seen.append(bool(alerts.open()))
    assert seen == after


def test_the_defect_rate_is_that_of_the_lines_latest_boards(engine: Engine) -> None:
    alerts = alerts_of(engine)
    settings = AlertSettings(defect_rate_boards=4, defect_rate_least_boards=4)

    def look() -> list[str]:
        checks.look_at_defect_rate(alerts, engine, LINE, ZONE, settings, threshold=0.5)
        return [alert.message for alert in alerts.open()]

    def write(line: str, *boards: tuple[int, Any], ago_s: float = 10) -> None:
        at = now_ns() - round(ago_s * NS_PER_S)
        records = [verdict_record(number, category, at + number, line) for number, category in boards]
        Store(engine, line, ZONE).write(records)

    write(LINE, (1, "scrap"), (2, "scrap"), (3, "unjudged"))
    write("pcb/line2", *((number, "scrap") for number in range(10, 20)))
    write(LINE, *((number, "scrap") for number in range(20, 30)), ago_s=4000)
    assert look() == []
    write(LINE, (4, "normal"))
    assert look() == ["3 of the last 4 boards were not normal"]
    write(LINE, *((number, "normal") for number in range(5, 8)), ago_s=5)
    assert look() == []


def test_looks_have_to_go_on_without_a_pause_or_a_clock_that_is_set() -> None:
    steady = Steady(3 * NS_PER_S)
    wall_and_now = [(1000, 100), (1001, 101), (1003, 103), (1006, 106), (1008, 108), (1009, 109), (4610, 110)]
    wall_and_now += [(4612, 112), (4613, 113), (1014, 114)]
    seen = [steady.see(wall * NS_PER_S, now * NS_PER_S) for wall, now in wall_and_now]
    assert seen == [False, False, True, False, False, True, False, False, True, False]


class Lost(NamedTuple):
    verdict_id: str
    board_id: str


def boards(count: int) -> list[Lost]:
    return [Lost(f"verdict-{number}", f"board-{number}") for number in range(count)]


def lost_boards(engine: Engine, alerts: Alerts, found: Sequence[Lost] = (), line: str = LINE) -> LostBoards:
    """With a deadline of 20 ms. Each of `found` is found at the first look at them."""
    waiting = list(found)

    def close_overdue(now: int, deadline: int) -> list[Lost]:
        assert deadline == 20 * NS_PER_MS
        some, waiting[:] = waiting[:], []
        return some

    return LostBoards(alerts, engine, line, ZONE, close_overdue, lambda: True, deadline_ms=20)


def look_until(lost: LostBoards, alerts: Alerts) -> None:
    def found() -> bool:
        lost.look()
        return bool(alerts.open())

    until(found)


def test_a_few_lost_boards_are_an_alert_each(engine: Engine) -> None:
    alerts = alerts_of(engine)
    look_until(lost_boards(engine, alerts, boards(2)), alerts)
    assert opened(alerts) == [
        (f"verdict-{number}", "error", f"board board-{number} has no verdict") for number in range(2)
    ]


def test_many_lost_boards_are_one_alert_that_names_the_first(engine: Engine) -> None:
    alerts = alerts_of(engine)
    look_until(lost_boards(engine, alerts, boards(60)), alerts)
    ((_, _, message),) = opened(alerts)
    assert message.startswith("60 boards have no verdict: board-0, board-1, ")
    assert message.endswith("board-9 and 50 more")
    assert alerts.open()[0].details["count"] == 60


@given(st.integers(6, 2000))
def test_every_lost_board_is_in_exactly_one_alert(count: int) -> None:
    engine = make_engine(database_url("sqlite:///nowhere/none.db"))
    alerts = alerts_of(engine)
    lost_boards(engine, alerts)._raise(boards(count))
    named = [verdict_id for alert in alerts.open() for verdict_id in alert.details["verdict_ids"]]
    assert sorted(named) == sorted(board.verdict_id for board in boards(count))
    assert len(alerts.open()) <= 1 + count // 500


def close_one(engine: Engine, line: str = LINE) -> None:
    """A board was announced a minute ago on that line, and has no verdict."""
    store = Store(engine, line, ZONE)
    store.write([trigger_record(1, now_ns() - 60 * NS_PER_S, line)])
    assert len(store.close_overdue(now_ns(), 0)) == 1


def test_what_a_recorder_closed_before_it_died_is_raised_at_the_next_start_once(engine: Engine) -> None:
    for line in (LINE, "pcb/line2"):
        close_one(engine, line)
    for raised in (True, False):
        alerts = alerts_of(engine)
        lost_boards(engine, alerts).look()
        assert opened(alerts) == ([("verdict-1", "error", "board board-1 has no verdict")] if raised else [])
        alerts.sync()
    assert len(alerts.open()) == 1


def test_an_alert_is_over_once_its_verdict_came_after_all(engine: Engine) -> None:
    alerts = alerts_of(engine)
    lost = lost_boards(engine, alerts)
    close_one(engine)
    lost.look()
    Store(engine, "pcb/line2", ZONE).write([verdict_record(1, at=now_ns(), line="pcb/line2")])
    lost.look_for_late_verdicts()
    assert len(alerts.open()) == 1
    Store(engine, LINE, ZONE).write([verdict_record(1, at=now_ns())])
    lost.look_for_late_verdicts()
    assert alerts.open() == []


@pytest.mark.parametrize("ended", [25, -25], ids=["after a day", "raised while the clock was ahead"])
def test_an_alert_whose_verdict_never_comes_is_closed_after_a_day(engine: Engine, ended: int) -> None:
    told: list[str] = []
    alerts = Alerts(engine, LINE, lambda level, message, **_: told.append(message))
    lost = lost_boards(engine, alerts)
    close_one(engine)
    lost.look()
    alerts.sync()
    for hours, left in ((23, 1), (-23, 1), (ended, 0)):
        with engine.begin() as connection:
            connection.execute(update(Alert).values(raised_at=datetime.now(UTC) - timedelta(hours=hours)))
        alerts.sync()
        lost.look_for_late_verdicts()
        assert len(alerts.open()) == left
    assert told[-1] == "closed after a day, no verdict came: board board-1 has no verdict"
    lost.look()
    assert alerts.open() == []


DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("days", "level"), [(None, None), (400, None), (31, None), (29, "warning"), (6, "error"), (-1, "error")]
)
def test_a_certificate_that_ends_soon_is_an_alert(alerts: Alerts, days: float | None, level: str | None) -> None:
    checks.check_certificate(alerts, None if days is None else (1000 + days) * DAY_S, 1000 * DAY_S)
    assert [each for _, each, _ in opened(alerts)] == ([level] if level else [])


def test_the_alert_ends_with_a_new_certificate(alerts: Alerts) -> None:
    checks.check_certificate(alerts, 1005 * DAY_S, 1000 * DAY_S)
    assert "ends in 5 days" in opened(alerts)[0][2]
    checks.check_certificate(alerts, 1700 * DAY_S, 1000 * DAY_S)
    assert opened(alerts) == []
