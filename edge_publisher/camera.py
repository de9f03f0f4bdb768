"""A camera that is kept alive: one thread reads it, and what dies or freezes is opened again."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field
from typing import Protocol

from edge_publisher import metrics
from edge_publisher.sources import CameraGone, CaptureRequest, Picture, Source
from edge_publisher.sources.base import adjust
from pcb_bus.errors import BoardlineError
from pcb_bus.runtime.backoff import Backoff

_STABLE_S = 5.0  # so long without a fault, and the next outage begins with the short delays again
_MAX_STUCK = 3


class DriverHangs(BoardlineError, RuntimeError):
    """Nothing in this process can end the threads that hang in a driver: the process has to begin afresh."""


class CameraListener(Protocol):
    """Who is told. All are called on the camera's thread, `on_lost` also on that of `check`."""

    def on_picture(self, picture: Picture) -> None: ...

    def on_lost(self, detail: str) -> None:
        """No pictures for now; called once for an outage, and again where another reason is found."""
        ...

    def on_back(self) -> None:
        """Pictures flow again, or for the first time."""
        ...

    def on_opened(self, refused: list[str]) -> None:
        """The source is open; what it refuses of what was asked for, in words."""
        ...


@dataclass(eq=False, slots=True)
class _Reading:
    """One life of the reading thread. When it is over, whatever it still reads is ignored."""

    over: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    source: Source | None = None
    again: bool = False
    """The source is to be opened anew."""
    alive_at: float | None = None
    """Monotonic seconds of the last sign of life; None between two tries."""

    def end(self) -> None:
        self.over.set()
        source = self.source
        if source is not None:
            source.close()


class Camera:
    """Reads pictures from what `opener` opens, for ever.

    Args:
        opener: opens the source; an `OSError` (`CameraGone` is one) means to try again later.
        stall_s: silence, in seconds, after which `check` gives up on the source.
        request: what its optics are set to, whenever it is opened.
    """

    def __init__(
        self,
        opener: Callable[[], Source],
        listener: CameraListener,
        stall_s: float,
        request: CaptureRequest,
        backoff: Backoff | None = None,
    ) -> None:
        self._opener = opener
        self._listener = listener
        self._stall_s = stall_s
        self._request = request
        self._asked: queue.SimpleQueue[tuple[CaptureRequest, Future[list[str]]]] = queue.SimpleQueue()
        self._backoff = backoff or Backoff()
        self._lock = threading.Lock()
        self._fault: str | None = ""  # None while pictures flow
        self._stuck: list[_Reading] = []
        self._reading = _Reading()

    def start(self) -> None:
        reading = self._reading = _Reading()
        reading.thread = threading.Thread(target=self._run, args=(reading,), name="camera", daemon=True)
        reading.thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        self._reading.end()
        if self._reading.thread is not None:
            self._reading.thread.join(timeout)

    def use(self, opener: Callable[[], Source], request: CaptureRequest) -> None:
        """Open this instead, with its optics set to this. Any thread."""
        self._opener, self._request = opener, request
        self.reopen()

    def reopen(self) -> None:
        """Open the source again, although pictures come. Any thread."""
        self._reading.again = True

    @property
    def request(self) -> CaptureRequest:
        """What it is asked for now."""
        return self._request

    def adjust(self, request: CaptureRequest, patience_s: float = 2.0) -> list[str]:
        """Set the optics to this now, and whenever the source is opened again. Any thread.

        Returns:
            In words, what the camera refuses of it.

        Raises:
            CameraGone: there is no picture within `patience_s`; nothing is changed.
        """
        answer: Future[list[str]] = Future()
        self._asked.put((request, answer))
        try:
            return answer.result(patience_s)
        except NotInTime:
            if answer.cancel():
                raise CameraGone("the camera gives no pictures: nothing is changed") from None
            return answer.result()  # it is being told just now

    def check(self) -> None:
        """Give up on a source that hangs, and begin anew. Call it now and then.

        Raises:
            DriverHangs: it has hung so often that only a new process can help.
        """
        reading, now = self._reading, time.monotonic()
        if reading.alive_at is None or now - reading.alive_at < self._stall_s:
            return
        reading.alive_at = now
        self._lost(reading, "frozen", f"no picture for {self._stall_s:g} s")
        # A thread that hangs in a driver cannot be ended, and keeps the device.
        self._stuck = [*(each for each in self._stuck if each.thread and each.thread.is_alive()), reading]
        reading.end()
        if len(self._stuck) >= _MAX_STUCK:
            raise DriverHangs(f"the camera's driver hangs in {_MAX_STUCK} threads: this process has to end")
        self.start()

    def _run(self, reading: _Reading) -> None:
        while not reading.over.is_set():
            reading.alive_at = time.monotonic()
            try:
                self._read_until_gone(reading)
            except OSError as error:
                self._lost(reading, "gone", str(error))
            reading.alive_at = None
            reading.over.wait(self._backoff.next_s())

    def _read_until_gone(self, reading: _Reading) -> None:
        source = reading.source = self._opener()
        opened = time.monotonic()
        try:
            self._listener.on_opened(adjust(source, self._request))
            while not (reading.over.is_set() or reading.again):
                self._take(reading, source.read())
                self._answer(source)
                if time.monotonic() - opened > _STABLE_S:
                    self._backoff.reset()
        finally:
            reading.source, reading.again = None, False
            source.close()

    def _take(self, reading: _Reading, picture: Picture) -> None:
        reading.alive_at = time.monotonic()
        with self._lock:
            if reading.over.is_set():
                return
            if self._fault is not None:
                self._fault = None
                self._listener.on_back()
            metrics.PICTURES.inc()
            self._listener.on_picture(picture)

    def _answer(self, source: Source) -> None:
        while not self._asked.empty():
            request, answer = self._asked.get()
            if answer.set_running_or_notify_cancel():  # or whoever asked was told that nothing is changed
                try:
                    refused = adjust(source, request)
                except OSError as error:
                    answer.set_exception(error)
                    raise
                self._request = request
                answer.set_result(refused)

    def _lost(self, reading: _Reading, reason: str, detail: str) -> None:
        with self._lock:
            if reading.over.is_set():
                return
            metrics.CAMERA_LOST.labels(reason).inc()
            if self._fault != detail:
                self._fault = detail
                self._listener.on_lost(detail)
