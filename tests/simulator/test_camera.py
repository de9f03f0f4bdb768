"""The simulated camera shows the scheduled board, in place and in time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from edge_publisher.sources import CameraGone, CaptureRequest, Picture
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.errors import ConfigError
from pcb_bus.seeing.codes import Code, SerialReader
from pcb_bus.seeing.presence import Presence
from simulator.camera import open_simulated_camera
from simulator.conveyor import Load
from simulator.line import moving
from simulator.painter import Belt, board_drawer, exposed, sensor_noise
from simulator.schedule import ASSEMBLED, BARE, Schedule

REQUEST = CaptureRequest(width=480, height=360, fps=200)
BELT = (52, 56, 60)


@pytest.mark.parametrize("look", [ASSEMBLED, BARE])
def test_a_standing_board_is_shown_whole(look: str) -> None:
    schedule = Schedule(seed=4, rate=0.01, epoch_ns=now_ns(), defect_share=1.0, look=look)
    with closing(open_simulated_camera(f"sim://left?{schedule.query}", REQUEST)) as camera:
        picture = camera.read()
    drawn = board_drawer(schedule, "left", 480, 360)(0)
    assert picture.image is not None
    assert picture.image.shape == (360, 480, 3)
    assert np.abs(picture.image.astype(int) - drawn).mean() < 5


@pytest.mark.parametrize(("look", "serials"), [(ASSEMBLED, "datamatrix"), (BARE, "qr")])
def test_a_board_carries_its_serial_if_it_is_asked_to(look: str, serials: str) -> None:
    schedule = Schedule(rate=0.01, epoch_ns=now_ns(), look=look, serials=serials)
    with closing(open_simulated_camera(f"sim://left?{schedule.query}", REQUEST)) as camera:
        picture = camera.read()
    assert picture.image is not None
    assert SerialReader("any").read(picture.image).codes == [Code(schedule.serial(0), serials)]


def test_two_pictures_of_a_board_differ_by_noise_alone() -> None:
    schedule = Schedule(rate=0.1, epoch_ns=now_ns())
    with closing(open_simulated_camera(f"sim://left?{schedule.query}", REQUEST)) as camera:
        one, other = (camera.read().image for _ in range(2))
    assert one is not None
    assert other is not None
    assert 0 < np.abs(one.astype(int) - other).mean() < 5


def test_between_two_boards_there_is_belt() -> None:
    """One goes, the next one comes."""
    schedule = Schedule(rate=0.1)
    going, coming = (board_drawer(schedule, "left", 480, 360)(index) for index in (0, 1))
    image = Belt(schedule, 480, 360).seen(5 * NS_PER_S, {0: going, 1: coming})
    assert np.array_equal(image[:, 276:], going[:, :204])
    assert np.array_equal(image[:, :204], coming[:, 276:])
    assert np.abs(image[:, 210:270].astype(int) - BELT).mean() < 10


def test_a_board_is_seen_with_belt_around_it_and_moves() -> None:
    schedule = moving(Schedule(epoch_ns=NS_PER_S))
    belt, board = Belt(schedule, 528, 396), board_drawer(schedule, "left", 528, 396)(0)
    assert np.array_equal(belt.seen(schedule.trigger_time(0), {0: board}), board)
    assert np.array_equal(np.unique(board[:, :24].reshape(-1, 3), axis=0), [BELT])
    moments = [schedule.trigger_time(0) + round(schedule.period_ns * phase) for phase in (0.2, 0.5, 0.8)]
    one, other = (belt.seen(each, {0: board}) for each in moments[:2])
    assert (one != other).any()
    assert [belt.in_view(each) for each in moments] == [(0, 1)] * 3


def test_only_boards_that_are_put_on_it_ride_on_the_belt(tmp_path: Path) -> None:
    load, schedule = tmp_path / "the load", Schedule(rate=0.01, epoch_ns=now_ns())
    source = f"sim://left?{schedule.query}&{urlencode({'load': load})}"
    with closing(open_simulated_camera(source, REQUEST)) as camera:
        for boards in (None, Load(1), Load(0, 3), Load(-5, -1)):
            if boards:
                boards.write(load)
            image = camera.read().image
            assert image is not None
            empty = np.abs(image.astype(int) - BELT).mean() < 10
            assert empty == (boards != Load(0, 3))


def test_presence_sees_each_board_of_the_demo_once() -> None:
    """Whole, and where the anomaly score has learned it."""
    schedule, fps = moving(Schedule(epoch_ns=NS_PER_S)), 15
    belt, draw = Belt(schedule, 704, 528), board_drawer(schedule, "left", 704, 528)
    boards, noise = {index: draw(index) for index in range(3)}, sensor_noise(704, 528, 1)
    presence, seen = Presence(), []
    for number in range(-fps, 2 * fps):
        now = schedule.epoch_ns + number * NS_PER_S // fps
        shown = {index: boards[index] for index in belt.in_view(now) if index in boards}
        found = presence.see(exposed(belt.seen(now, shown), noise[number % 4]), now)
        if found is not None:
            assert found.whole
            assert schedule.offset_at(found.captured_at_ns) == 0
            assert now - found.captured_at_ns < 1.1 * NS_PER_S / fps  # the next one, of a board at rest, is no better
            seen.append(schedule.index_at(found.captured_at_ns))
    assert seen == [0, 1, 2]


def test_pictures_come_no_faster_than_was_asked_for() -> None:
    with closing(open_simulated_camera("sim://?look=bare", CaptureRequest(320, 240, fps=50))) as camera:
        began = now_ns()
        last = [camera.read().captured_at for _ in range(6)][-1]
    assert last - began >= 4 * 20_000_000  # on a busy machine they come later, never sooner


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("sim://left?speed=3", "speed"),
        ("sim://left?rate=fast", "rate"),
        ("sim://left?rate=0", "rate"),
        ("sim://left?rate=nan", "rate"),
        ("sim://left?defect_share=1.5", "defect_share"),
        ("sim://left?oddity_share=-1", "oddity_share"),
        ("sim://left?look=pretty", "assembled, bare"),
        ("sim://left?product=green", "product"),
        ("sim://left?product=-1", "product"),
        ("sim://left?standstill=1", "standstill"),
        ("sim://left?margin=0.5", "margin"),
        ("sim://left?serials=aztec", "serials"),
    ],
)
def test_impossible_options_are_named(spec: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        open_simulated_camera(spec, REQUEST)


@pytest.mark.parametrize(("look", "width"), [(ASSEMBLED, 320), (BARE, 64)])
def test_a_picture_too_small_for_a_board_is_refused(look: str, width: int) -> None:
    with pytest.raises(ConfigError, match=r"edge\.width"):
        open_simulated_camera(f"sim://left?look={look}", CaptureRequest(width, width, fps=10))


def test_a_camera_that_is_closed_is_gone_also_for_one_who_reads_it() -> None:
    camera = open_simulated_camera("sim://left?look=bare&rate=100", CaptureRequest(320, 240, fps=240))
    pictures: list[Picture] = []
    reads = threading.Event()

    def read_on() -> None:
        while True:
            pictures.append(camera.read())
            reads.set()

    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read_on)
        assert reads.wait(10)
        camera.close()
        with pytest.raises(CameraGone):
            reading.result(10)
