"""The pure halves of the checks: nodes, disks, rates, gates, lost boards, nights."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pcb_bus.contract.messages import NodeState, NodeStatus
from pcb_bus.contract.times import NS_PER_S
from recorder.alerts import Alert, Key
from recorder.oversight.defect_rate import Rate
from recorder.oversight.disks import disks_of, level_of
from recorder.oversight.gate_accounts import GateAccounts, Missing
from recorder.oversight.nightly import Nightly, next_run, nightly_span
from recorder.oversight.nodes import NodeWatch
from recorder.oversight.patience import HeldFor, WallClock
from recorder.oversight.settings import OversightSettings
from recorder.oversight.unaccounted import alerts_for, answered, verdict_ids_of

SEOUL, BERLIN = ZoneInfo("Asia/Seoul"), ZoneInfo("Europe/Berlin")


def status(state: NodeState, detail: str = "") -> NodeStatus:
    return NodeStatus(
        state=state,
        service="edge",
        node="edge-left",
        version="1",
        host="pi",
        started_at=0,
        updated_at=0,
        detail=detail,
    )


class Watched:
    """A watch with a grace of 30 s and a silence of 45 s; times in seconds."""

    def __init__(self) -> None:
        self.watch = NodeWatch(grace_s=30, silence_s=45)

    def see(self, second: int, state: NodeState | None, detail: str = "") -> None:
        self.watch.see("edge-left", None if state is None else status(state, detail), second * NS_PER_S)

    def absent(self, second: int) -> list[tuple[str, str]]:
        return [(each.level, each.reason) for each in self.watch.absent(second * NS_PER_S)]

    def present(self, second: int) -> list[str]:
        return self.watch.present(second * NS_PER_S)


def test_a_node_that_is_offline_for_longer_than_the_grace_is_absent() -> None:
    nodes = Watched()
    nodes.see(0, "online")
    nodes.see(10, "offline", "connection lost")
    nodes.see(20, "offline", "connection lost")
    assert (nodes.absent(39), nodes.present(39)) == ([], [])
    assert nodes.absent(40) == [("warning", "connection lost")]
    nodes.see(41, "degraded", "no camera")
    assert (nodes.absent(41), nodes.present(41)) == ([], ["edge-left"])


def test_a_node_that_was_stopped_on_purpose_is_told_as_such() -> None:
    nodes = Watched()
    nodes.see(0, "offline", "stopped")
    assert nodes.absent(30) == [("info", "stopped")]


def test_a_node_without_heartbeat_is_absent_although_its_will_never_came() -> None:
    nodes = Watched()
    nodes.see(0, "online")
    assert nodes.absent(44) == []
    assert nodes.absent(45) == [("warning", "no heartbeat")]
    assert nodes.watch.is_online("edge-left")


def test_a_recorder_that_heard_nobody_blames_nobody() -> None:
    nodes = Watched()
    nodes.see(0, "online")
    nodes.watch.deaf_until(100 * NS_PER_S)
    assert nodes.absent(144) == []
    assert nodes.absent(145) == [("warning", "no heartbeat")]


def test_a_node_that_left_the_line_is_forgotten() -> None:
    nodes = Watched()
    nodes.see(0, "offline", "stopped")
    nodes.see(1, None)
    assert nodes.absent(100) == []


def test_strangers_do_not_fill_the_memory() -> None:
    watch = NodeWatch(30, 45)
    for number in range(1000):
        watch.see(f"node-{number}", status("online"), 0)
    assert len(watch.present(0)) == 256


@pytest.mark.parametrize(("free", "level"), [(999, "low"), (1000, None), (1099, None), (1100, "fine")])
def test_a_disk_is_fine_again_with_some_slack(free: int, level: str | None) -> None:
    assert level_of(free, 1000) == level


def test_a_disk_that_holds_two_things_is_one_disk(tmp_path: Path) -> None:
    (disk,) = disks_of({"images": tmp_path / "not" / "there" / "yet", "spool": tmp_path})
    assert (disk.subject, disk.path) == ("images, spool", tmp_path)
    assert disk.free > 0


@pytest.mark.parametrize(
    ("boards", "defective", "level"),
    [(9, 9, None), (100, 30, None), (100, 31, "over"), (100, 25, None), (100, 24, "fine"), (100, 0, "fine")],
)
def test_the_defect_rate_has_slack_and_waits_for_enough_boards(boards: int, defective: int, level: str | None) -> None:
    assert Rate(boards, defective).level(0.3, least_boards=10) == level


def test_a_condition_has_to_hold_without_a_break() -> None:
    held = HeldFor(10)
    assert [held.see(holds, now) for holds, now in [(True, 0), (True, 9), (False, 10), (True, 11), (True, 20)]] == [
        False
    ] * 5
    assert held.see(True, 21)


def test_a_wall_clock_that_was_set_is_noticed_once() -> None:
    clock = WallClock()
    seconds = [(1000, 0), (1001, 1), (4601, 2), (4602, 3), (4602, 4), (4603, 5)]
    seen = [clock.runs_on(wall * NS_PER_S, now * NS_PER_S) for wall, now in seconds]
    assert seen == [True, True, False, True, False, True]


def missing(verdict_id: str, *, judged: bool = True) -> Missing:
    return Missing(verdict_id, f"board of {verdict_id}", "solder", judged)


def test_a_verdict_without_a_report_is_named_at_growing_intervals_and_not_for_ever() -> None:
    accounts = GateAccounts(first_wait_s=10)
    accounts.note(["a"], 0)
    named = []
    for second in range(10_000):
        due = accounts.due(second * NS_PER_S, 100)
        if due:
            named += [second for _ in accounts.settle(due, [missing("a")], second * NS_PER_S)]
    assert named == [10, 20, 40, 80, 160, 320, 640]
    assert len(accounts) == 0


def test_a_verdict_that_has_its_report_is_not_named() -> None:
    accounts = GateAccounts(first_wait_s=0)
    accounts.note(["a", "b"], 0)
    assert accounts.settle(["a", "b"], [missing("b")], 0) == [missing("b")]
    assert accounts.due(10**15, 100) == ["b"]


def test_a_pass_without_a_verdict_waits_and_is_not_named() -> None:
    accounts = GateAccounts(first_wait_s=0)
    accounts.note(["a"], 0)
    assert accounts.settle(["a"], [missing("a", judged=False)], 0) == []
    assert accounts.settle(["a"], [missing("a")], 10) == [missing("a")]


@given(st.lists(st.integers(0, 30_000)))
def test_what_waits_for_reports_is_bounded(numbers: list[int]) -> None:
    accounts = GateAccounts(first_wait_s=0)
    accounts.note((str(number) for number in range(9_990)), 0)
    accounts.note(map(str, numbers), 0)
    assert len(accounts) <= 10_000
    assert len(accounts.due(0, 100)) == 100


class Lost(NamedTuple):
    verdict_id: str
    board_id: str


def lost(count: int) -> list[Lost]:
    return [Lost(f"verdict-{number}", f"board-{number}") for number in range(count)]


def test_a_few_lost_boards_are_an_alert_each() -> None:
    alerts = list(alerts_for(lost(2)))
    assert [alert.subject for alert in alerts] == ["verdict-0", "verdict-1"]
    assert alerts[0].message == "board board-0 has no verdict"


def test_many_lost_boards_are_one_alert_that_names_the_first() -> None:
    (alert,) = alerts_for(lost(60))
    assert alert.message.startswith("60 boards have no verdict: board-0, board-1, ")
    assert alert.message.endswith("board-9 and 50 more")
    assert alert.details["count"] == 60


@given(st.integers(0, 2000))
def test_every_lost_board_is_in_exactly_one_alert_and_answered_by_its_verdict(count: int) -> None:
    boards = lost(count)
    alerts = [Alert(Key("k", each.subject), "error", each.message, 0, each.details) for each in alerts_for(boards)]
    waited_for = [verdict_id for alert in alerts for verdict_id in verdict_ids_of(alert)]
    assert waited_for == [board.verdict_id for board in boards]
    assert len(alerts) <= max(5, count // 100)
    assert list(answered(alerts, set(waited_for))) == [alert.key.subject for alert in alerts]
    assert len(list(answered(alerts, set(waited_for[1:])))) == max(0, len(alerts) - 1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "zone", "expected"),
    [
        ("2026-11-21T02:59:59+09:00", SEOUL, "2026-11-21T03:00:00+09:00"),
        ("2026-11-21T03:00:00+09:00", SEOUL, "2026-11-22T03:00:00+09:00"),
        ("2026-11-21T23:30:00Z", SEOUL, "2026-11-22T18:00:00Z"),
        ("2026-10-25T01:30:00+02:00", BERLIN, "2026-10-25T03:00:00+01:00"),
    ],
)
def test_the_night_is_that_of_the_line(now: str, zone: ZoneInfo, expected: str) -> None:
    assert next_run(at(now), time(3), zone) == at(expected)


@given(st.integers(0, 5_000_000), st.times(), st.sampled_from([SEOUL, BERLIN]))
def test_there_is_one_night_a_day(minutes: int, wanted: time, zone: ZoneInfo) -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    first = next_run(now, wanted, zone)
    assert timedelta() < first - now <= timedelta(hours=26)
    assert timedelta(hours=22) <= next_run(first, wanted, zone) - first <= timedelta(hours=26)


def test_a_night_comes_once() -> None:
    nightly = Nightly(time(3), SEOUL, at("2026-11-21T02:00:00+09:00"))
    moments = [at(f"2026-11-21T{clock}:00+09:00") for clock in ("02:59", "03:00", "03:01", "12:00")]
    assert [nightly.is_due(moment) for moment in moments] == [False, True, False, False]
    assert nightly.is_due(at("2026-11-22T03:10:00+09:00"))


def test_a_night_that_is_turned_off_never_comes() -> None:
    assert not Nightly("none", SEOUL, at("2026-11-21T02:00:00+09:00")).is_due(at("2036-11-21T02:00:00+09:00"))


def test_every_moment_is_in_the_span_of_a_night() -> None:
    one = nightly_span(at("2026-11-21T03:00:00Z"))
    assert nightly_span(at("2026-11-22T03:00:00Z")).since <= one.until < at("2026-11-21T03:00:00Z")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("03:00", time(3)), (1410, time(23, 30)), (90, time(1, 30)), ("none", "none"), (None, "none")],
)
def test_the_time_of_the_night_as_yaml_gives_it(written: object, meant: object) -> None:
    assert OversightSettings.model_validate({"reconcile_at": written}).reconcile_at == meant


@pytest.mark.parametrize("wrong", ["25:00", "03:00Z", "night", 1440, True])
def test_a_time_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        OversightSettings.model_validate({"reconcile_at": wrong})
