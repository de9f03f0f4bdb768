"""The simulated camera shows the scheduled board, in place and in time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from edge_publisher.sources import CameraGone, CaptureRequest, Picture
from pcb_bus.contract.times import now_ns
from pcb_bus.errors import ConfigError
from simulator.camera import open_simulated_camera
from simulator.painter import board_drawer
from simulator.schedule import ASSEMBLED, BARE, Schedule

REQUEST = CaptureRequest(width=480, height=360, fps=200)


@pytest.mark.parametrize("look", [ASSEMBLED, BARE])
def test_a_standing_board_is_shown_whole(look: str) -> None:
    schedule = Schedule(seed=4, rate=0.01, epoch_ns=now_ns(), defect_share=1.0, look=look)
    with closing(open_simulated_camera(f"sim://left?{schedule.query}", REQUEST)) as camera:
        picture = camera.read()
    drawn = board_drawer(schedule, "left", 480, 360)(0)
    assert picture.image is not None
    assert picture.image.shape == (360, 480, 3)
    assert np.abs(picture.image.astype(int) - drawn).mean() < 5


def test_two_pictures_of_a_board_differ_by_noise_alone() -> None:
    schedule = Schedule(rate=0.1, epoch_ns=now_ns())
    with closing(open_simulated_camera(f"sim://left?{schedule.query}", REQUEST)) as camera:
        one, other = (camera.read().image for _ in range(2))
    assert one is not None
    assert other is not None
    assert 0 < np.abs(one.astype(int) - other).mean() < 5


def test_between_two_boards_there_is_belt() -> None:
    period_ns = 10**10
    schedule = Schedule(rate=0.1, epoch_ns=now_ns() - period_ns // 2)
    with closing(open_simulated_camera(f"sim://left?{schedule.query}", REQUEST)) as camera:
        picture = camera.read()
    assert picture.image is not None
    assert np.abs(picture.image.astype(int) - (52, 56, 60)).mean() < 10


def test_pictures_come_no_faster_than_was_asked_for() -> None:
    with closing(open_simulated_camera("sim://?look=bare", CaptureRequest(320, 240, fps=50))) as camera:
        times = [camera.read().captured_at for _ in range(6)]
    # A late picture may be followed by one at once; on a busy machine they come later, never sooner.
    assert times[-1] - times[0] >= 4 * 20_000_000


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
