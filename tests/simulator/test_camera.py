"""The simulated camera shows the scheduled board, in place and in time."""

import numpy as np
import pytest

from edge_publisher.sources import CaptureRequest
from pcb_bus.clock import now_ns
from pcb_bus.errors import ConfigError
from simulator.bare_board import draw_board
from simulator.camera import open_simulated_camera
from simulator.schedule import Schedule

REQUEST = CaptureRequest(width=320, height=240, fps=200)


def test_a_standing_board_is_shown_whole() -> None:
    schedule = Schedule(seed=4, rate=0.1, epoch_ns=now_ns(), defect_share=1.0)
    picture = open_simulated_camera(f"sim://left?{schedule.query}", REQUEST).read()
    drawn = draw_board(schedule.board_seed(0, "left"), 320, 240, schedule.defects(0, "left")).image
    assert picture.image is not None
    assert picture.image.shape == (240, 320, 3)
    assert np.abs(picture.image.astype(int) - drawn).mean() < 5


def test_between_two_boards_there_is_belt() -> None:
    period_ns = 10**10
    schedule = Schedule(rate=0.1, epoch_ns=now_ns() - period_ns // 2)
    picture = open_simulated_camera(f"sim://left?{schedule.query}", REQUEST).read()
    assert picture.image is not None
    assert np.abs(picture.image.astype(int) - (52, 56, 60)).mean() < 10


def test_pictures_come_no_faster_than_was_asked_for() -> None:
    camera = open_simulated_camera("sim://", CaptureRequest(320, 240, fps=50))
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
    ],
)
def test_impossible_options_are_named(spec: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        open_simulated_camera(spec, REQUEST)


def test_a_picture_too_small_for_a_board_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"edge\.width"):
        open_simulated_camera("sim://left", CaptureRequest(64, 64, fps=10))
