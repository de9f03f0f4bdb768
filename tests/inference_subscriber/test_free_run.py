"""Frames without a board id: each board that goes by is one, whoever sees it, and an empty belt is none."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.board_pictures import board_for_a_belt

from inference_subscriber import free_run
from inference_subscriber.engines.base import Image
from inference_subscriber.free_run import FreeRun, Kept
from pcb_bus.contract.messages import Frame
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.seeing.health import BLACK, COVERED, Flaw
from pcb_bus.seeing.presence import PresenceOptions
from simulator.moving_belt import Scene, View, views

MakeFrame = Callable[..., Frame]
SIDES = ("left", "right")
EPOCH = 1_790_000_000 * NS_PER_S
STILLS = PresenceOptions(stills=True)
NOTHING = np.full((48, 64, 3), 60, np.uint8)
PERIOD_MS = 100


class Belt:
    """A free run that is fed by hand, in ms, and what it has let through: the sides and times of each board's frames.

    Where a side has `STILLS`, each frame is a pass; elsewhere `NOTHING` is none.
    """

    def __init__(self, make_frame: MakeFrame, sides: tuple[str, ...] = SIDES, **options: PresenceOptions) -> None:
        self.passed_over: list[int] = []
        self.free_run = FreeRun(sides, options, lambda frame: self.passed_over.append(to_ms(frame.captured_at)))
        self.make_frame = make_frame
        self.boards: dict[str, dict[str, int]] = defaultdict(dict)
        self.qualities: list[str | None] = []
        self.now = 0

    def show(self, side: str, at: float, image: Image = NOTHING, flaw: Flaw | None = None) -> None:
        """It comes as it is taken."""
        self.pass_time(at)
        frame = self.make_frame(side, None, None, EPOCH + round(at * NS_PER_MS))
        assert self.free_run.is_new(frame)
        self._take(self.free_run.see(Kept(frame, frame.captured_at, flaw), image, self.now))

    def pass_time(self, until: float) -> None:
        while self.now < round(until * NS_PER_MS):
            self.now = min(self.now + 30 * NS_PER_MS, round(until * NS_PER_MS))
            self._take(self.free_run.due(self.now))

    def _take(self, chosen: Iterable[Kept]) -> None:
        for each in chosen:
            frame = each.frame
            assert frame.board_id is not None
            assert frame.side not in self.boards[frame.board_id], "one frame of each side"
            self.boards[frame.board_id][frame.side] = to_ms(frame.captured_at)
            self.qualities.append(frame.quality)
            assert to_ms(frame.triggered_at) in self.boards[frame.board_id].values()

    @property
    def found(self) -> list[dict[str, int]]:
        return list(self.boards.values())


def to_ms(captured_at: int | None) -> int:
    assert captured_at is not None
    return round((captured_at - EPOCH) / NS_PER_MS)


@pytest.mark.parametrize("room", [free_run.KEPT_BYTES, 1])
def test_each_board_that_goes_by_is_one(
    make_frame: MakeFrame, moving_boards: list[View], room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free_run, "KEPT_BYTES", room)
    belt, shown = Belt(make_frame, ("top",)), {}
    for view in moving_boards:
        belt.show("top", at := view.captured_at_ns / NS_PER_MS, view.image)
        shown[round(at)] = view
    chosen = [shown[each["top"]] for each in belt.found]
    assert [[index for index in view.boards if view.whole(index)] for view in chosen] == [[0], [1]]


def test_the_others_give_the_frame_that_is_nearest(make_frame: MakeFrame, moving_boards: list[View]) -> None:
    belt = Belt(make_frame)
    for view in moving_boards:
        at = view.captured_at_ns / NS_PER_MS
        belt.show("left", at, view.image)
        belt.show("right", at + 30, view.image)
    belt.pass_time(belt.now / NS_PER_MS + 3000)
    assert [each["right"] - each["left"] for each in belt.found] == [30] * 2
    assert len(belt.passed_over) + 4 <= 2 * len(moving_boards)
    assert not {at for each in belt.found for at in each.values()} & set(belt.passed_over)


def test_a_board_that_is_not_all_in_view_says_so(make_frame: MakeFrame) -> None:
    """Nearly as long as the view, and whole in none of these pictures."""
    belt = Belt(make_frame, ("top",))
    for view in views(Scene([board_for_a_belt(600, 1)], 1, speed=(0.5, 0.5), fps=10, lead_s=0.5, start=80)):
        belt.show("top", view.captured_at_ns / NS_PER_MS, view.image)
    (quality,) = belt.qualities
    assert str(quality).startswith("partial: ")


def test_an_empty_belt_is_no_board(make_frame: MakeFrame) -> None:
    belt = Belt(make_frame)
    for view in views(Scene(lead_s=5, fps=10)):
        belt.show("left", at := view.captured_at_ns / NS_PER_MS, view.image, COVERED)
        belt.show("right", at + 50, NOTHING)
    assert belt.found == []


@pytest.mark.parametrize("later_ms", [-400, 40, 400])
def test_single_frames_of_both_sides_are_one_board(make_frame: MakeFrame, later_ms: int) -> None:
    belt = Belt(make_frame)
    for side, at in sorted({"left": 5000, "right": 5000 + later_ms}.items(), key=lambda each: each[1]):
        belt.show(side, at)
    belt.pass_time(7000)
    assert belt.found == [{"left": 5000, "right": 5000 + later_ms}]


def test_a_single_frame_in_which_nothing_stands_out_is_none(make_frame: MakeFrame) -> None:
    belt = Belt(make_frame)
    for at, flaw in ((1000, COVERED), (3000, BLACK)):
        belt.show("left", at, flaw=flaw)
        belt.pass_time(at + 1500)
    assert belt.found == []


def run(belt: Belt, leads: Iterable[int], others: Iterable[int], board_at: Iterable[int], **fields: Any) -> None:
    """`left` sees nothing at `leads`; `right` sees a board at `board_at`, and shows none at `others` before."""
    frames = [(at, "left") for at in leads] + [(at, "right") for at in others] + [(at, "board") for at in board_at]
    for at, what in sorted(frames):
        if what == "left":
            belt.show("left", at, **fields)
        else:
            belt.show("right", at, flaw=None if what == "board" else BLACK)


def test_a_pass_that_only_another_side_saw_is_none(make_frame: MakeFrame) -> None:
    belt = Belt(make_frame, right=STILLS)
    run(belt, range(0, 3000, PERIOD_MS), [50], [1050])
    assert belt.found == []


def test_a_leader_that_falls_silent_hands_over(make_frame: MakeFrame) -> None:
    belt = Belt(make_frame, right=STILLS)
    run(belt, range(0, 1000, PERIOD_MS), [], [1420])
    assert belt.found == []
    belt.pass_time(1600)
    assert belt.found == [{"right": 1420}]
    run(belt, range(2000, 3000, PERIOD_MS), [], [2420])
    assert belt.found[1:] == [{"right": 2420, "left": 2400}], "and does not get it back"


def test_a_blind_leader_hands_over(make_frame: MakeFrame) -> None:
    belt = Belt(make_frame, right=STILLS)
    run(belt, range(0, 3000, PERIOD_MS), [], [1420], flaw=BLACK)
    assert belt.found == [{"right": 1420, "left": 1400}], "its picture says why that side is unjudged"


def test_a_leader_that_misses_boards_hands_over(make_frame: MakeFrame) -> None:
    belt = Belt(make_frame, right=STILLS)
    run(belt, range(0, 5000, PERIOD_MS), [], [1420, 2620, 3820], flaw=COVERED)
    assert [each["right"] for each in belt.found] == [1420, 2620, 3820], "the one that it took to find out as well"


def test_one_board_that_the_leader_misses_costs_it_nothing(make_frame: MakeFrame) -> None:
    belt = Belt(make_frame, right=STILLS)
    run(belt, [*range(0, 3000, PERIOD_MS), *range(64_000, 66_000, PERIOD_MS)], [], [1420, 65_020])
    assert belt.found == []


def test_a_leader_that_falls_silent_within_a_pass_makes_no_second_board(make_frame: MakeFrame) -> None:
    belt = Belt(make_frame, left=STILLS, right=STILLS)
    for at in (700, 800, 900):
        belt.show("left", at)
    belt.show("right", 1090)
    belt.pass_time(1500)
    assert [each["left"] for each in belt.found] == [700, 800, 900]
    belt.show("right", 1600)
    belt.pass_time(2500)
    assert belt.found[3:] == [{"right": 1600}]


def test_a_lost_frame_is_made_up_for_and_a_longer_gap_is_not(make_frame: MakeFrame) -> None:
    belt = Belt(make_frame, left=STILLS)
    times = [*range(50, 1000, PERIOD_MS), 1150, *range(1550, 2000, PERIOD_MS)]
    for at, side in sorted([(at, "right") for at in times] + [(1060, "left"), (1350, "left")]):
        belt.show(side, at)
    belt.pass_time(2500)
    assert belt.found == [{"left": 1060, "right": 1150}, {"left": 1350}]


def test_a_clock_that_is_set_back_begins_anew(make_frame: MakeFrame) -> None:
    belt = Belt(make_frame, ("top",))
    belt.show("top", 5000)
    for late in (5000, 4990, 4000):
        assert not belt.free_run.is_new(make_frame("top", None, None, EPOCH + late * NS_PER_MS))
    earlier = make_frame("top", None, None, EPOCH + 3_990 * NS_PER_MS)
    assert belt.free_run.is_new(earlier)
    belt.free_run.see(Kept(earlier, 0), NOTHING, belt.now)
    belt.pass_time(6_500)
    assert belt.found == [{"top": 3990}]


def test_frames_are_kept_within_bounds(make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    belt = Belt(make_frame, ("top",))
    for at in range(0, 6000, PERIOD_MS):
        belt.show("top", at)
    assert belt.passed_over == list(range(0, 5900 - 3000, PERIOD_MS))
    monkeypatch.setattr(free_run, "KEPT_BYTES", 3 * len(b"\xff\xd8"))
    belt.show("top", 6000)
    assert belt.passed_over == list(range(0, 5800, PERIOD_MS))


events = st.tuples(st.sampled_from(SIDES), st.integers(1, 700), st.sampled_from([None, None, BLACK, COVERED]))


@settings(max_examples=50, deadline=None)
@given(script=st.lists(events, max_size=30))
def test_whatever_comes_a_board_has_one_frame_of_a_side(
    make_frame: MakeFrame, script: list[tuple[str, int, Flaw | None]]
) -> None:
    belt, at = Belt(make_frame, left=STILLS, right=STILLS), 0
    for side, after, flaw in script:
        belt.show(side, at := at + after, flaw=flaw)
    belt.pass_time(at + 3000)
    assert all(max(each.values()) - min(each.values()) <= 500 for each in belt.found)
    assert len(belt.found) <= len(script)
