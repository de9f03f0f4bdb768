"""What waits for the engine is bounded in bytes, however large the pictures are."""

from collections.abc import Callable

import numpy as np
import pytest

from inference_subscriber.pictures import Picture, PictureInbox
from pcb_bus.contract.messages import Frame

MakeFrame = Callable[..., Frame]
MakePicture = Callable[..., Picture]
IMAGE = np.zeros((10, 10, 3), np.uint8)
SIZE = 300 + len(b"\xff\xd8")


@pytest.fixture
def picture(make_frame: MakeFrame) -> MakePicture:
    def make(frame_id: str) -> Picture:
        return Picture(make_frame("left", "b", None, 0, frame_id), IMAGE)

    return make


class Drops:
    """Whoever gave way."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, picture: Picture) -> None:
        self.names.append(picture.frame.frame_id)


def names(inbox: PictureInbox) -> list[str]:
    return [each.frame.frame_id for each in inbox.take_many(99, timeout=0)]


def test_the_oldest_gives_way_when_the_bytes_are_used_up(picture: MakePicture) -> None:
    drops = Drops()
    inbox = PictureInbox(32, drops, max_bytes=3 * SIZE)
    for name in "abcde":
        inbox.put(picture(name))
    assert drops.names == ["a", "b"]
    assert names(inbox) == ["c", "d", "e"]


def test_the_count_is_bounded_as_before(picture: MakePicture) -> None:
    drops = Drops()
    inbox = PictureInbox(2, drops)
    for name in "abc":
        inbox.put(picture(name))
    assert (drops.names, names(inbox)) == (["a"], ["b", "c"])


def test_a_large_picture_takes_the_room_of_several(make_frame: MakeFrame, picture: MakePicture) -> None:
    drops = Drops()
    inbox = PictureInbox(32, drops, max_bytes=4 * SIZE)
    for name in "abcd":
        inbox.put(picture(name))
    inbox.put(Picture(make_frame("left", "b", None, 0, "large"), np.zeros((10, 30, 3), np.uint8)))
    assert drops.names == ["a", "b", "c"]


def test_a_picture_larger_than_all_room_still_has_its_turn(picture: MakePicture) -> None:
    drops = Drops()
    inbox = PictureInbox(32, drops, max_bytes=1)
    inbox.put(picture("a"))
    inbox.put(picture("b"))
    assert (drops.names, names(inbox)) == (["a"], ["b"])
