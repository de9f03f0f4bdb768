"""Boards that go by cameras in a test's hand, as fast as the edges look at them."""

from collections.abc import Iterable, Sequence
from functools import cache, partial

import cv2
from prometheus_client import REGISTRY

from edge_publisher.sources import Picture
from simulator.moving_belt import Image, Scene, View, product_boards, views
from support.hand_fed import HandFed
from support.peer import until


@cache
def two_boards() -> tuple[View, ...]:
    """Two boards go by, in two seconds at 15 pictures a second."""
    return tuple(views(Scene(product_boards(1, 2), 2, speed=(0.5, 0.5), lead_s=0.3, gap=(60, 60), fps=15)))


def show(
    cameras: Sequence[HandFed], belt: Iterable[View], start: int, covered: Image | None = None, *, jpeg: bool = False
) -> dict[int, View]:
    """Every picture of the belt to each camera, the first at `start`; what they show, by their times.

    The edges must be in mode `presence`. `covered`: what the first camera sees instead; `jpeg`: as cameras give it.
    """
    shown = {}
    for view in belt:
        at, before = start + view.captured_at_ns, _looked_at()
        for number, camera in enumerate(cameras):
            image = view.image if covered is None or number else covered
            compressed = cv2.imencode(".jpg", image)[1].tobytes() if jpeg else None
            camera.give(Picture(at, 640, 480, image=None if jpeg else image, jpeg=compressed))
        until(partial(_all_looked, before + len(cameras)))
        shown[at] = view
    return shown


def boards_in(times: Iterable[int], shown: dict[int, View]) -> list[list[int]]:
    """The boards that are whole in the pictures of these times."""
    pictures = (shown[at] for at in times)
    return [[board for board in view.boards if view.whole(board)] for view in pictures]


def _all_looked(count: float) -> bool:
    return _looked_at() >= count


def _looked_at() -> float:
    return REGISTRY.get_sample_value("boardline_edge_look_seconds_count") or 0.0
