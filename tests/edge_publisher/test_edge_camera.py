"""A camera that is kept alive."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.hand_fed import HandFed, picture

from edge_publisher.camera import Camera, DriverHangs
from edge_publisher.sources import CameraGone, CaptureRequest, Picture, Source
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

    def on_opened(self, refused: list[str]) -> None:
        if refused:
            self._note(f"refused: {', '.join(refused)}")

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

        def start(
            opener: Callable[[], Source], stall_s: float = 60, request: CaptureRequest | None = None
        ) -> tuple[Camera, Listener]:
            listener = Listener()
            camera = Camera(opener, listener, stall_s, request or CaptureRequest(), Backoff(AT_ONCE, AT_ONCE))
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


def test_a_driver_that_hangs_three_times_ends_the_process(watch: Watch) -> None:
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
    camera.check()
    camera.check()
    with pytest.raises(DriverHangs, match="hangs in 3 threads"):
        camera.check()
    listener.wait_for(["lost: no picture for 0 s"])
    assert len(opened) == 3
    release.set()


def test_a_source_that_hangs_and_comes_back_never_ends_it(watch: Watch) -> None:
    sources: list[HandFed] = []

    def opener() -> Source:
        sources.append(HandFed())
        return sources[-1]()

    camera, _ = watch(opener, stall_s=0)
    for _ in range(10):
        stuck = camera._reading.thread
        camera.check()  # closing it ends its read
        assert stuck is not None
        stuck.join(10)


class Optics(HandFed):
    """A camera that can be focused, and whose exposure has its limits."""

    def adjust(self, request: CaptureRequest) -> CaptureRequest:
        exposure = request.exposure_ms if isinstance(request.exposure_ms, str) else min(request.exposure_ms or 0, 10)
        return CaptureRequest(1280, 720, exposure_ms=exposure, focus=request.focus)

    def values(self) -> CaptureRequest:
        return CaptureRequest(1280, 720, exposure_ms=8, focus=3)


def test_what_the_camera_refuses_is_told_when_it_is_opened(watch: Watch) -> None:
    source = Optics()
    _, listener = watch(source, request=CaptureRequest(1920, 720, exposure_ms=20, gain=2, focus=7))
    listener.wait_for(["refused: width 1920 (it has 1280), exposure_ms 20 (it has 10), gain 2 (it has none)"])


def test_optics_are_set_while_pictures_come(watch: Watch) -> None:
    source = Optics()
    camera, listener = watch(source, request=CaptureRequest(1280, 720))
    source.give(picture(1))
    listener.wait_for(["back", "picture 1"])
    threading.Timer(0.02, source.give, [picture(2)]).start()
    assert camera.adjust(CaptureRequest(1280, 720, exposure_ms=5, focus="auto")) == []
    source.give(picture(3))
    threading.Timer(0.02, source.give, [picture(4)]).start()
    assert camera.adjust(CaptureRequest(1280, 720, exposure_ms=99)) == ["exposure_ms 99 (it has 10)"]


def test_what_a_camera_that_is_away_was_not_told_it_is_not_told_later(watch: Watch) -> None:
    source = Optics()
    camera, listener = watch(source, request=CaptureRequest(1280, 720))
    with pytest.raises(CameraGone, match="nothing is changed"):
        camera.adjust(CaptureRequest(1280, 720, exposure_ms=99), patience_s=0.01)
    source.give(picture(1))
    source.die("unplugged")
    source.give(picture(2))
    listener.wait_for(["back", "picture 1", "lost: unplugged", "back", "picture 2"])
    assert camera.request == CaptureRequest(1280, 720)


def test_a_source_without_optics_refuses_them(watch: Watch) -> None:
    _, listener = watch(HandFed(), request=CaptureRequest(exposure_ms=5, white_balance="auto"))
    listener.wait_for(["refused: exposure_ms 5 (it has none), white_balance auto (it has none)"])


def test_stop_ends_a_read_that_waits(watch: Watch) -> None:
    source = HandFed()
    camera, listener = watch(source)
    source.give(picture(1))
    listener.wait_for(["back", "picture 1"])
    camera.stop()
    assert source.closed >= 1
    assert listener.told == ["back", "picture 1"]
