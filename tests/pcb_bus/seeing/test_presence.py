"""Every board that goes by gives one pass, and nothing else does."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from benchmarks.presence import PHOTOGRAPHS, photographed
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.seeing.columns import Belt as ColumnsOfBelt
from pcb_bus.seeing.presence import Pass, Presence, PresenceOptions
from pcb_bus.seeing.trains import Seam, Train
from simulator.moving_belt import DISTURBANCES, Scene, View, cloth, coloured, product_boards, views
from simulator.painter import Belt, board_drawer
from simulator.schedule import Schedule

Image = npt.NDArray[np.uint8]

BOARDS = product_boards(1, 3)
FAST = (0.3, 0.5)


@dataclass
class Played:
    """Passes, the boards that were whole in their pictures, and how long after its picture each was given, ns."""

    passes: list[Pass]
    whole: list[list[int]]
    delays: list[int]
    named: list[int]
    """The board that lies where the pass says; not where pictures are turned."""

    @property
    def boards(self) -> list[int]:
        """The board of each pass; one that was given before comes last."""
        taken: list[int] = []
        for inside in self.whole:
            taken.append(min(inside, key=lambda index: (taken.count(index), index), default=-1))
        return taken


def play(
    scene: Scene | Iterable[View], options: PresenceOptions | None = None, seen: Callable[[Image], Image] = lambda i: i
) -> Played:
    presence, played = Presence(options), Played([], [], [], [])
    shown: dict[int, View] = {}
    for view in views(scene) if isinstance(scene, Scene) else scene:
        kept = presence.may_name | {view.captured_at_ns}
        shown = {at: each for at, each in shown.items() if at in kept} | {view.captured_at_ns: view}
        found = presence.see(seen(view.image), view.captured_at_ns)
        if found is not None:
            chosen = shown[found.captured_at_ns]
            played.passes.append(found)
            played.whole.append([index for index in chosen.boards if chosen.whole(index)])
            played.delays.append(view.captured_at_ns - found.captured_at_ns)
            played.named.append(chosen.board_at(found.outline))
    return played


def test_each_board_gives_one_pass_while_it_is_whole_in_view() -> None:
    played = play(Scene(BOARDS, 4, speed=FAST))
    assert played.boards == [0, 1, 2, 3]
    assert all(each.whole for each in played.passes)
    assert max(played.delays) <= 170 * NS_PER_MS


def test_slow_boards_give_one_pass_as_well() -> None:
    assert play(Scene(BOARDS, 1, speed=(0.05, 0.06), lead_s=0.5)).boards == [0]


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_boards_count_whatever_disturbs(disturbance: str) -> None:
    assert play(Scene(BOARDS, 3, speed=FAST, disturbances=frozenset({disturbance}))).boards == [0, 1, 2]


def test_boards_count_with_all_disturbances_at_once() -> None:
    assert play(Scene(BOARDS, 4, speed=FAST, disturbances=frozenset(DISTURBANCES))).boards == [0, 1, 2, 3]


@pytest.mark.parametrize("disturbance", [(), ("shadow",), DISTURBANCES])
def test_no_pass_without_a_board(disturbance: tuple[str, ...]) -> None:
    assert play(Scene(lead_s=8, disturbances=frozenset(disturbance))).passes == []


def test_no_pass_of_a_hand() -> None:
    """It has skin all over, and a lean arm has straight sides; but it reaches in from one edge."""
    assert play(Scene(lead_s=20, disturbances=frozenset({"hand"}), fps=15)).passes == []


@pytest.mark.parametrize("begin_s", [498.3, 1183.8])
def test_no_pass_of_an_overexposed_hand_in_the_edge_of_a_shadow(begin_s: float) -> None:
    """It has straight sides that reach to no edge of the picture; but no board comes from above or below."""
    assert play(Scene(lead_s=2.1, begin_s=begin_s, disturbances=frozenset(DISTURBANCES))).passes == []


def test_a_board_that_a_hand_lays_down_counts_once_it_has_stood_for_a_second() -> None:
    belt, board = cloth(np.random.default_rng(1))[:, :640], BOARDS[0]

    def laid_down() -> Iterator[View]:
        for number in range(30):
            image = belt.copy()
            if number >= 10:
                image[100 : 100 + board.shape[0], 120 : 120 + board.shape[1]] = board
            yield View(image, NS_PER_S + number * NS_PER_S // 10, {0: (120, 460)} if number >= 10 else {})

    played = play(laid_down())
    assert played.named == [0]


def test_boards_that_touch_are_told_apart() -> None:
    assert play(Scene(BOARDS, 5, gap=(0, 2), speed=FAST)).boards == [0, 1, 2, 3, 4]


def test_a_line_that_is_not_all_there_is_no_seam() -> None:
    """On a black board rows of parts make lines that run nearly from side to side."""
    assert Train(0, 90, 0, seams=[Seam(40, total=9.4, pictures=10)]).bounds() == [0, 90]
    assert Train(0, 90, 0, seams=[Seam(40, total=9.9, pictures=10)]).bounds() == [0, 40, 90]


def test_boards_of_other_colours_count() -> None:
    boards = coloured(BOARDS[:2])
    assert play(Scene(boards, len(boards), speed=FAST)).boards == list(range(len(boards)))


def test_a_board_that_stops_stays_one() -> None:
    """Neither does the belt learn it, nor is it lost from sight."""
    stopped = Scene(BOARDS, 2, speed=FAST, stops_s=(300.0, 1.0), disturbances=frozenset({"lighting drift"}))
    assert play(stopped).boards == [0, 1]


@pytest.mark.parametrize(
    ("direction", "turned"),
    [
        ("left", lambda image: cv2.flip(image, 1)),
        ("down", lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)),
        ("up", lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)),
        (None, lambda image: cv2.flip(image, 1)),
    ],
)
def test_boards_may_go_any_way(direction: str | None, turned: Callable[[Image], Image]) -> None:
    options = PresenceOptions(direction=direction)
    assert play(Scene(BOARDS, 2, speed=FAST), options, turned).boards == [0, 1]


def test_only_the_region_counts() -> None:
    def beside_a_screen(image: Image) -> Image:
        """Something that moves all the time above the belt."""
        noise = np.random.default_rng(int(image[0, 0, 0])).integers(0, 255, (15, 20, 3), np.uint8)
        return np.vstack([cv2.resize(noise, (640, 480), interpolation=cv2.INTER_NEAREST), image])

    options = PresenceOptions(region=(0, 0.5, 1, 0.5))
    assert play(Scene(BOARDS, 2, speed=FAST), options, beside_a_screen).boards == [0, 1]


def test_sensitivity_decides_how_little_texture_makes_a_board() -> None:
    faint = [cv2.addWeighted(board, 0.6, np.full_like(board, 56), 0.4, 0).astype(np.uint8) for board in BOARDS]
    scene = Scene(faint, 2, speed=FAST)
    assert play(scene, PresenceOptions(sensitivity=0.1)).passes == []
    assert play(scene).boards == [0, 1]


def test_a_board_with_a_plain_half_is_one() -> None:
    """Between its parts it has the colour of a board, not that of the belt."""
    board = np.full_like(BOARDS[0], (60, 130, 10))
    board[:, 170:] = BOARDS[0][:, 170:]
    board[100:160, 20:60] = BOARDS[0][100:160, 20:60]
    assert play(Scene([board], 3, speed=FAST)).boards == [0, 1, 2]


@pytest.mark.parametrize(("grey", "is_board"), [(45, False), (140, False), (165, True), (230, True)])
def test_a_plain_part_of_the_belts_hue_is_a_boards_once_it_is_three_times_as_bright(grey: int, is_board: bool) -> None:
    belt, picture = ColumnsOfBelt(), np.full((120, 160, 3), 40, np.uint8)
    for _ in range(4):
        belt.look(picture)
        belt.learn(np.ones(160, np.bool_))
    picture[20:100, 40:120] = grey
    assert belt.look(picture).filled[6:18, 60:100].all() == is_board
    assert not belt.look(picture).strong[6:18, 60:100].any()


def test_boards_cut_out_of_photographs_count() -> None:
    boards = photographed(PHOTOGRAPHS)
    if not boards:
        pytest.skip(f"no photographs in {PHOTOGRAPHS}")
    assert play(Scene(boards, 4, speed=FAST)).boards == [0, 1, 2, 3]
    assert play(Scene(boards, 4, gap=(0, 2), speed=FAST)).boards == [0, 1, 2, 3]


def test_boards_as_large_as_the_view_count() -> None:
    """As on the line of the demo: each jumps into place, stands, and jumps on; it is seen from edge to edge."""
    schedule = Schedule(rate=1.5, epoch_ns=NS_PER_S)
    draw = board_drawer(schedule, "left", 640, 480)
    boards, belt = {index: draw(index) for index in range(-1, 5)}, Belt(schedule, 640, 480)
    presence, seen = Presence(), []
    for number in range(int(3.2 * 30)):
        now = NS_PER_S // 3 + number * NS_PER_S // 30
        view = belt.seen(now, {index: boards[index] for index in belt.in_view(now)})
        found = presence.see(view, now)
        if found is not None and schedule.index_at(found.captured_at_ns) >= 0:
            assert found.whole
            assert abs(schedule.offset_at(found.captured_at_ns)) < 0.05
            seen.append(schedule.index_at(found.captured_at_ns))
    assert seen == [0, 1, 2, 3]


def test_of_a_board_that_fills_the_view_the_picture_that_shows_all_of_it_is_chosen() -> None:
    large = [np.asarray(cv2.resize(each, (610, 440)), np.uint8) for each in BOARDS]
    played = play(Scene(large, 2, gap=(60, 61), speed=(0.1, 0.12), fps=15, lead_s=0.3))
    assert played.whole == [[0], [1]]
    assert max(played.delays) <= 220 * NS_PER_MS


def test_a_board_that_is_whole_in_no_picture_counts_as_soon_as_it_leaves() -> None:
    large = [np.asarray(cv2.resize(each, (600, 440)), np.uint8) for each in BOARDS]
    played = play(Scene(large, 2, gap=(200, 201), speed=(0.49, 0.5), fps=10, lead_s=0.3, seed=1))
    assert (played.named, played.whole) == ([0, 1], [[], []])
    assert max(played.delays) <= 250 * NS_PER_MS


def test_half_size_pictures_do() -> None:
    def halved(image: Image) -> Image:
        return np.asarray(cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA), np.uint8)

    assert play(Scene(BOARDS, 3, speed=FAST), seen=halved).boards == [0, 1, 2]


def test_ten_pictures_a_second_do() -> None:
    assert play(Scene(BOARDS, 4, speed=(0.05, 0.5), fps=10)).boards == [0, 1, 2, 3]


@pytest.mark.parametrize(("seed", "fps"), [(101, 10), (102, 10), (102, 15), (105, 15)])
def test_small_boards_of_one_kind_are_not_taken_for_each_other(seed: int, fps: float) -> None:
    """Not by their patterns, of half a column's width, nor as a fast one appears within the view; a belt's seam that
    crosses one makes it no less straight, and its rows of parts are no line between two."""
    small = [np.asarray(cv2.resize(each, (110, 80)), np.uint8) for each in BOARDS]
    played = play(Scene(small, 4, seed=seed, fps=fps, lead_s=0.3))
    assert played.named == [0, 1, 2, 3]
    assert all(index in whole for index, whole in zip(played.named, played.whole, strict=True))


def test_the_dark_changes_nothing() -> None:
    """Lights that go off and on over a board that stands there make no second one."""

    def switched() -> Iterator[View]:
        stands, place = 0, None
        for view in views(Scene(BOARDS, 1, speed=(0.2, 0.2), stops_s=(4.0,), seed=10)):
            stands = stands + 1 if view.boards and view.boards == place else 0
            place = view.boards
            yield replace(view, image=view.image // 128) if 30 < stands < 60 else view

    assert play(switched()).boards == [0]


def stopping(at_rest: Image) -> Iterator[View]:
    """A board that stops in view for eight pictures, in which it looks as said; fifteen a second."""
    belt, (height, width) = cloth(np.random.default_rng(1))[:, :640], BOARDS[0].shape[:2]
    ways = [*range(-width - 120, 40, 40), *[40] * 8, *range(80, 680, 40)]
    for number, left in enumerate([-width] * 10 + ways):
        image = belt.copy()
        begin, end = max(0, left), max(0, min(640, left + width))
        board = at_rest if left == 40 else BOARDS[0]
        image[100 : 100 + height, begin:end] = board[:, begin - left :][:, : end - begin]
        yield View(image, number * NS_PER_S // 15, {0: (left, left + width)})


def test_a_picture_of_a_board_at_rest_wins_over_one_in_which_it_moves() -> None:
    """Even where a moving picture looks sharper, because the camera finds its focus anew as the board stops."""
    blurred = cv2.GaussianBlur(BOARDS[0], (0, 0), 0.6)
    (found,) = play(stopping(blurred)).passes
    shown = {view.captured_at_ns: view.boards[0][0] for view in stopping(blurred)}
    assert shown[found.captured_at_ns] == 40


def test_a_board_that_comes_to_rest_no_sharper_than_it_was_is_chosen_at_once() -> None:
    """No picture to come is better, and each that is waited for costs the line its time."""
    played = play(stopping(BOARDS[0]))
    shown = {view.captured_at_ns: view.boards[0][0] for view in stopping(BOARDS[0])}
    assert [shown[each.captured_at_ns] for each in played.passes] == [40]
    assert played.delays == [0]


def test_a_board_that_stands_there_when_the_camera_starts_counts() -> None:
    assert play(Scene(BOARDS, 2, speed=FAST, start=480.0)).boards == [0, 1]


def test_a_board_with_a_plain_strip_that_stands_there_when_the_camera_starts_is_one() -> None:
    """Its parts are two until the belt's colour is known."""
    board = BOARDS[0].copy()
    board[:, 240:270] = (60, 130, 10)
    played = play(Scene([board], 1, start=480.0, lead_s=0.6, speed=FAST, fps=10))
    assert (played.named, played.whole) == ([0], [[0]])


def test_a_board_that_a_hand_covers_once_it_is_known_counts_while_it_is_whole() -> None:
    """Not as it leaves, when less of it is in view."""
    reached_for = Scene(product_boards(1), 20, seed=12, fps=10, disturbances=frozenset({"hand"}))
    played = play(islice(views(reached_for), 170))
    assert played.boards == list(range(8))
    assert max(played.delays) <= 250 * NS_PER_MS


def test_a_board_that_sticks_out_of_the_picture_on_one_side_is_not_whole() -> None:
    def cut(number: int, view: View) -> View:
        if number < 2:
            return view
        return replace(view, image=np.vstack([view.image[200:], view.image[:20].repeat(10, axis=0)]))

    scenes = [Scene(BOARDS[:1], 1, speed=(0.4, 0.41), fps=15, lead_s=0.4, seed=7) for _ in range(3)]
    shown = [(number, view) for number, scene in enumerate(scenes) for view in views(scene)]
    presence = Presence(PresenceOptions(direction="right"))
    passes = []
    for place, (number, view) in enumerate(shown):
        found = presence.see(cut(number, view).image, place * NS_PER_S // 15)
        passes += [] if found is None else [found]
    assert [each.whole for each in passes] == [True, True, False]
    assert passes[2].coverage < 0.9


def test_a_pass_comes_in_time_although_no_picture_does() -> None:
    presence = Presence()
    for view in views(Scene(BOARDS, 1, speed=(0.1, 0.1))):
        assert presence.see(view.image, view.captured_at_ns) is None
        if view.whole(0) and presence.wait_until is not None:
            break
    due = presence.wait_until
    assert due is not None
    assert presence.due(due - 1) is None
    found = presence.due(due)
    assert found is not None
    assert due - found.captured_at_ns <= 150 * NS_PER_MS
    assert presence.wait_until is None


def test_a_picture_with_none_near_it_is_a_board_by_itself() -> None:
    presence, picture = Presence(), np.zeros((480, 640, 3), np.uint8)
    assert presence.see(picture, 10 * NS_PER_S) is None
    assert presence.due(11 * NS_PER_S) is None
    assert presence.wait_until is not None
    assert presence.due(presence.wait_until) == Pass(10 * NS_PER_S)
    assert presence.see(picture, 20 * NS_PER_S) is None
    assert presence.see(picture, 30 * NS_PER_S) == Pass(20 * NS_PER_S)
    assert presence.see(picture, 30 * NS_PER_S + 1) is None
    assert presence.due(40 * NS_PER_S) is None


def test_each_picture_of_a_folder_is_a_board() -> None:
    presence, picture = Presence(PresenceOptions(stills=True)), np.zeros((480, 640, 3), np.uint8)
    assert [presence.see(picture, now) for now in (1, 2, 3)] == [Pass(1), Pass(2), Pass(3)]


@pytest.mark.parametrize("region", [(0.5, 0, 0.6, 1), (0, 0.5, 1, 0), (0, 0, 1.5, 1)])
def test_a_region_outside_the_picture_is_refused(region: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValidationError, match="region"):
        PresenceOptions(region=region)
