"""Which frames make a board, and when it is judged."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_subscriber.board import Board, BoardKey, Inspected
from inference_subscriber.engines.base import Findings
from inference_subscriber.joiner import Action, AskResend, Close, Joiner, JoinOptions, Repeated
from pcb_bus.contract.identity import free_run_board_id
from pcb_bus.contract.messages import Frame, Trigger
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S

MakeFrame = Callable[..., Frame]
SIDES = ("left", "right")
OPTIONS = JoinOptions(max_open=4)
EPOCH = 1_790_000_000 * NS_PER_S
NOTHING = Inspected(Findings(), 10.0)


class Station:
    """A joiner, with wall clock and monotonic clock in one hand."""

    def __init__(self, make_frame: MakeFrame, sides: tuple[str, ...] = SIDES) -> None:
        self.joiner = Joiner(sides, OPTIONS)
        self.make_frame = make_frame
        self.now = 5 * NS_PER_S
        self.actions: list[Action] = []

    @property
    def wall(self) -> int:
        return EPOCH + self.now

    def trigger(
        self, board_id: str, triggered_at: int | None = None, receipt: Callable[[], None] = lambda: None
    ) -> int:
        at = self.wall if triggered_at is None else triggered_at
        trigger = Trigger(board_id=board_id, triggered_at=at, source="eye")
        self.joiner.trigger(trigger, receipt, received_at=self.wall, now=self.now)
        self.settle()
        return at

    def offer(self, side: str, board_id: str = "b", at: int | None = None, **fields: Any) -> tuple[Frame, str | None]:
        """A frame with the trigger time `at`."""
        frame = self.make_frame(side, board_id, at, fields.pop("captured_at", self.wall), **fields)
        return frame, self.offer_frame(frame)

    def offer_frame(self, frame: Frame) -> str | None:
        dropped = self.joiner.offer(frame, received_at=self.wall, now=self.now)
        self.settle()
        return dropped

    def inspect(self, frame: Frame) -> bool:
        awaited = self.joiner.inspected(frame, NOTHING)
        self.settle()
        return awaited

    def lose(self, frame: Frame) -> None:
        self.joiner.lost(frame)
        self.settle()

    def wait(self, ms: float) -> None:
        self.now += round(ms * NS_PER_MS)
        self.settle()

    def settle(self) -> None:
        self.actions.extend(self.joiner.due(self.now))
        assert len(self.joiner) <= OPTIONS.max_open
        due_at = self.joiner.next_due()
        assert due_at is None or due_at > self.now

    @property
    def closed(self) -> list[Board]:
        return [action.board for action in self.actions if isinstance(action, Close)]

    @property
    def asked(self) -> list[str]:
        return [action.side for action in self.actions if isinstance(action, AskResend)]


@pytest.fixture
def station(make_frame: MakeFrame) -> Station:
    return Station(make_frame)


def seen_sides(board: Board) -> set[str]:
    return {side for side, sighting in board.sightings.items() if sighting.inspected is not None}


def test_a_board_closes_as_soon_as_every_side_is_inspected(station: Station) -> None:
    at = station.trigger("b")
    left, _ = station.offer("left", "b", at)
    right, _ = station.offer("right", "b", at)
    station.inspect(right)
    assert not station.closed
    station.inspect(left)
    assert [seen_sides(board) for board in station.closed] == [{"left", "right"}]


def test_a_frame_may_come_before_its_trigger(station: Station) -> None:
    at = station.wall
    left, dropped = station.offer("left", "b", at)
    assert dropped is None
    acknowledged: list[str] = []
    station.trigger("b", at, lambda: acknowledged.append("b"))
    for frame in (left, station.offer("right", "b", at)[0]):
        station.inspect(frame)
    (board,) = station.closed
    assert len(board.receipts) == 1
    assert not acknowledged, "only the sender acknowledges, once the verdict is out"


def test_trigger_times_that_agree_to_the_millisecond_are_the_same_board(station: Station) -> None:
    at = station.trigger("b", EPOCH + 5 * NS_PER_S)
    station.offer("left", "b", at + NS_PER_MS - 1)
    assert len(station.joiner) == 1


def test_a_frame_that_does_not_know_the_trigger_time_joins_by_board_id(station: Station) -> None:
    at = station.trigger("b")
    for frame in (station.offer("left", "b")[0], station.offer("right", "b", at)[0]):
        station.inspect(frame)
    assert [board.triggered_at for board in station.closed] == [at]


def test_a_missing_side_is_asked_for_once_at_half_time(station: Station) -> None:
    at = station.trigger("b")
    station.offer("left", "b", at)
    station.wait(299)
    assert station.asked == []
    station.wait(1)
    assert station.actions[-1] == AskResend("right", "b", at)
    station.wait(200)
    assert station.asked == ["right"]


def test_an_asked_frame_is_welcome_however_old(station: Station) -> None:
    station.wait(5_000)
    at = station.trigger("b", station.wall - 5 * NS_PER_S)
    assert station.asked == ["left", "right"], "a trigger that is late itself is asked for at once"
    frames = [station.offer(side, "b", at, captured_at=at)[0] for side in SIDES]
    assert [station.inspect(frame) for frame in frames] == [True, True]
    assert [seen_sides(board) for board in station.closed] == [{"left", "right"}]


def test_a_trigger_of_long_ago_is_closed_at_once(station: Station) -> None:
    station.trigger("b", station.wall - 11 * NS_PER_S)
    assert [seen_sides(board) for board in station.closed] == [set()]
    assert station.asked == []


def test_a_board_without_frames_closes_at_the_timeout(station: Station) -> None:
    station.trigger("b")
    station.wait(599)
    assert station.asked == ["left", "right"]
    assert not station.closed
    station.wait(1)
    assert [seen_sides(board) for board in station.closed] == [set()]


def test_a_frame_that_came_in_time_is_waited_for(station: Station) -> None:
    at = station.trigger("b")
    left, _ = station.offer("left", "b", at)
    station.wait(700)
    assert not station.closed
    station.inspect(left)
    assert [seen_sides(board) for board in station.closed] == [{"left"}]


def test_a_hung_engine_does_not_hold_a_board_for_ever(station: Station) -> None:
    left, _ = station.offer("left", "b", station.trigger("b"))
    station.wait(10_000)
    assert [seen_sides(board) for board in station.closed] == [set()]
    assert not station.inspect(left)


def test_a_lost_frame_may_come_again(station: Station) -> None:
    at = station.trigger("b")
    left, _ = station.offer("left", "b", at)
    station.lose(left)
    assert station.offer_frame(left) is None


@pytest.mark.parametrize(("age_ms", "reason"), [(2_001, "too_old"), (-2_001, "from_the_future"), (2_000, None)])
def test_age_of_a_frame(station: Station, age_ms: int, reason: str | None) -> None:
    assert station.offer("left", "b", captured_at=station.wall - age_ms * NS_PER_MS)[1] == reason


def test_repeated_and_late_frames_are_dropped(station: Station) -> None:
    at = station.trigger("b")
    frames = [station.offer(side, "b", at)[0] for side in SIDES]
    assert station.offer("left", "b", at)[1] == "repeated"
    for frame in frames:
        station.inspect(frame)
    assert station.offer("left", "b", at)[1] == "late"
    assert len(station.closed) == 1


def test_the_repeated_trigger_of_a_closed_board_is_only_to_be_acknowledged(station: Station) -> None:
    at = station.trigger("b")
    station.wait(600)
    acknowledged: list[str] = []
    station.trigger("b", at, lambda: acknowledged.append("again"))
    last = station.actions[-1]
    assert isinstance(last, Repeated)
    assert last.key == BoardKey.of("b", at)
    last.receipt()
    assert acknowledged == ["again"]
    assert len(station.closed) == 1


def test_the_same_board_id_at_another_time_is_another_pass(station: Station) -> None:
    station.trigger("b")
    station.wait(600)
    station.trigger("b")
    station.wait(600)
    assert len(station.closed) == 2


def test_too_many_open_boards_close_the_oldest(station: Station) -> None:
    for number in range(OPTIONS.max_open + 2):
        station.trigger(f"b{number}")
    assert [board.key.board_id for board in station.closed] == ["b0", "b1"]


def test_no_camera_is_asked_for_a_board_that_nobody_announced(station: Station) -> None:
    station.inspect(station.offer("left", free_run_board_id("f1"), station.wall)[0])
    station.wait(600)
    assert station.asked == []
    assert [seen_sides(board) for board in station.closed] == [{"left"}]


def test_a_board_of_which_every_frame_is_lost_is_a_board(station: Station) -> None:
    station.lose(station.offer("left", free_run_board_id("f1"), station.wall)[0])
    station.wait(600)
    assert [seen_sides(board) for board in station.closed] == [set()]


boards = st.integers(0, 7)
events = st.one_of(
    st.tuples(st.just("trigger"), boards),
    st.tuples(st.just("frame"), boards, st.sampled_from(SIDES), st.booleans()),
    st.tuples(st.sampled_from(["inspect", "lose"]), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.integers(0, 700)),
)


@settings(max_examples=300, deadline=None)
@given(script=st.lists(events, max_size=60))
def test_every_board_closes_exactly_once_whatever_happens(make_frame: MakeFrame, script: list[tuple[Any, ...]]) -> None:
    station = Station(make_frame)
    starts = [station.wall + number * 300 * NS_PER_MS for number in range(8)]
    under_way: list[Frame] = []
    announced: set[str] = set()

    def admit(frame: Frame) -> None:
        if station.offer_frame(frame) is None:
            under_way.append(frame)
            announced.update([frame.board_id] if frame.board_id else [])

    for event in script:
        match event:
            case "trigger", number:
                station.trigger(f"b{number}", starts[number])
                announced.add(f"b{number}")
            case "frame", number, side, knows_time:
                admit(make_frame(side, f"b{number}", starts[number] if knows_time else None, starts[number]))
            case ("inspect" | "lose") as what, index if index < len(under_way):
                frame = under_way.pop(index)
                if what == "inspect":
                    station.inspect(frame)
                else:
                    station.lose(frame)
            case "wait", ms:
                station.wait(ms)
    station.wait(20_000)

    assert len(station.joiner) == 0
    assert station.joiner.next_due() is None
    times_closed = Counter(board.key.board_id for board in station.closed)
    assert times_closed == dict.fromkeys(announced, 1)
    assert set(Counter(action for action in station.actions if isinstance(action, AskResend)).values()) <= {1}


class TestTwoLeaders:
    """The lead changes in the middle of a pass: both edges announce the board."""

    def announce(self, station: Station, side: str, at: int, receipt: Callable[[], None] = lambda: None) -> str:
        trigger = Trigger(board_id=f"{side}-{at}", triggered_at=at, source=f"edge-{side}")
        station.joiner.trigger(trigger, receipt, received_at=station.wall, now=station.now)
        station.settle()
        return trigger.board_id

    def test_they_are_one_board_whichever_name_its_frames_have(self, station: Station) -> None:
        at = station.wall
        first, second = self.announce(station, "left", at), self.announce(station, "right", at + 90 * NS_PER_MS)
        assert len(station.joiner) == 1
        left, _ = station.offer("left", first, at)
        right, _ = station.offer("right", second, at + 90 * NS_PER_MS)
        assert station.offer("left", second, at + 90 * NS_PER_MS)[1] == "repeated"
        assert [station.inspect(left), station.inspect(right)] == [True, True]
        (board,) = station.closed
        assert (board.key, board.triggered_at, len(board.receipts)) == (BoardKey.of(first, at), at, 2)

    def test_a_second_announcement_of_a_judged_board_is_acknowledged_with_it(self, station: Station) -> None:
        at = station.wall
        first = self.announce(station, "left", at)
        for side in SIDES:
            station.inspect(station.offer(side, first, at)[0])
        second = self.announce(station, "right", at + 90 * NS_PER_MS)
        assert [each.key for each in station.actions if isinstance(each, Repeated)] == [BoardKey.of(first, at)]
        assert station.offer("left", second, at + 90 * NS_PER_MS)[1] == "late"
        assert (len(station.closed), len(station.joiner)) == (1, 0)

    def test_frames_that_come_before_their_trigger_go_to_the_board_that_was_first(self, station: Station) -> None:
        at, later = station.wall, station.wall + 90 * NS_PER_MS
        first = self.announce(station, "left", at)
        left, _ = station.offer("left", first, at)
        early = [station.offer(side, f"right-{later}", later)[0] for side in SIDES]
        assert len(station.joiner) == 2
        self.announce(station, "right", later)
        assert len(station.joiner) == 1
        assert [station.inspect(each) for each in (left, *early)] == [True, False, True]
        assert [(board.key, seen_sides(board)) for board in station.closed] == [(BoardKey.of(first, at), set(SIDES))]
