"""A camera that is kept alive."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.hand_fed import HandFed, picture

from edge_publisher.camera import Camera
from edge_publisher.sources import CameraGone, Picture, Source
from pcb_bus.runtime.backoff import Backoff

AT_ONCE = 0.001


class Listener:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._changed = threading.Condition()

    def on_picture(self, picture: Picture) -> None:
        self._note(f"picture {picture.captured_at}")

    def on_lost(self, detail: str) -> None:
        self._note(f"lost: {detail}")

    def on_back(self) -> None:
        self._note("back")

    def wait_for(self, expected: list[str]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.told) >= len(expected), 10), self.told
            assert self.told == expected

    def _note(self, what: str) -> None:
        with self._changed:
            self.told.append(what)
            self._changed.notify_all()


Watch = Callable[..., tuple[Camera, Listener]]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Starts a camera that tries again at once; gives it and its listener."""
    with ExitStack() as stack:

        def start(opener: Callable[[], Source], stall_s: float = 60) -> tuple[Camera, Listener]:
            listener = Listener()
            camera = Camera(opener, listener, stall_s, Backoff(AT_ONCE, AT_ONCE))
            camera.start()
            stack.callback(camera.stop)
            return camera, listener

        yield start


def test_pictures_come_through(watch: Watch) -> None:
    source = HandFed()
    _, listener = watch(source)
    source.give(picture(1))
    source.give(picture(2))
    listener.wait_for(["back", "picture 1", "picture 2"])


def test_a_source_that_dies_is_opened_again(watch: Watch) -> None:
    source = HandFed()
    _, listener = watch(source)
    source.give(picture(1))
    source.die("unplugged")
    source.give(picture(2))
    listener.wait_for(["back", "picture 1", "lost: unplugged", "back", "picture 2"])
    assert (source.opened, source.closed) == (2, 1)


def test_an_outage_is_told_once_however_often_opening_fails(watch: Watch) -> None:
    source, tries = HandFed(), iter(range(1000))

    def opener() -> Source:
        if next(tries) < 5:
            raise CameraGone("not plugged in")
        return source

    _, listener = watch(opener)
    source.give(picture(1))
    listener.wait_for(["lost: not plugged in", "back", "picture 1"])


def test_another_reason_is_told_in_the_same_outage(watch: Watch) -> None:
    reasons = iter(["no permission", "no permission", "there is no /dev/video0"])

    def opener() -> Source:
        raise CameraGone(next(reasons, "there is no /dev/video0"))

    _, listener = watch(opener)
    listener.wait_for(["lost: no permission", "lost: there is no /dev/video0"])


def test_any_error_of_a_device_counts_as_gone(watch: Watch) -> None:
    def opener() -> Source:
        raise PermissionError(13, "Permission denied")

    _, listener = watch(opener)
    listener.wait_for(["lost: [Errno 13] Permission denied"])


def test_a_frozen_source_is_given_up_and_opened_again(watch: Watch) -> None:
    frozen, fresh = HandFed(), HandFed()
    sources = iter([frozen, fresh])
    camera, listener = watch(lambda: next(sources), stall_s=0.05)
    frozen.give(picture(1))
    listener.wait_for(["back", "picture 1"])
    pause = threading.Event()
    while len(listener.told) < 3:
        camera.check()
        pause.wait(0.005)
    listener.wait_for(["back", "picture 1", "lost: no picture for 0.05 s"])
    assert frozen.closed >= 1
    fresh.give(picture(2))
    listener.wait_for(["back", "picture 1", "lost: no picture for 0.05 s", "back", "picture 2"])


def test_threads_that_hang_in_a_driver_stay_few(watch: Watch) -> None:
    release, opened = threading.Event(), []

    class Deaf:
        def read(self) -> Picture:
            release.wait(30)
            raise CameraGone("at last")

        def close(self) -> None:
            pass

    def opener() -> Source:
        opened.append(1)
        return Deaf()

    camera, listener = watch(opener, stall_s=0)
    for _ in range(50):
        camera.check()
    assert len(opened) <= 4
    listener.wait_for(["lost: no picture for 0 s"])
    release.set()


def test_stop_ends_a_read_that_waits(watch: Watch) -> None:
    source = HandFed()
    camera, listener = watch(source)
    source.give(picture(1))
    listener.wait_for(["back", "picture 1"])
    camera.stop()
    assert source.closed >= 1
    assert listener.told == ["back", "picture 1"]
