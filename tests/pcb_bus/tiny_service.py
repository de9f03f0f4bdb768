"""The smallest service there is, for tests that need a process: `python tests/pcb_bus/tiny_service.py --help`."""

import ctypes
import signal
import sys
import threading
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pcb_bus.contract.topics import exactly
from pcb_bus.mqtt.session import Subscription
from pcb_bus.runtime.process import run_service
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import LineSettings, Section


class TinySection(Section):
    """What the tiny service does."""

    speed: Annotated[int, Field(ge=1, le=9)] = 5
    """Boards a second."""
    fault: Literal["slow to build", "dies", "deaf", "stuck", "hangs at stop", "late signal"] | None = None
    """What is wrong with it: a thread dies; a trigger ends its network thread; a worker never comes back; …"""


class TinySettings(LineSettings):
    """A service for tests."""

    shortcuts: ClassVar[dict[str, str]] = {**LineSettings.shortcuts, "recorder.speed": "speed"}

    recorder: TinySection = TinySection()


class TinyService:
    def __init__(self, settings: TinySettings) -> None:
        fault = settings.recorder.fault
        self._service = Service("recorder", "recorder", settings)
        self._hangs = fault == "hangs at stop"
        if fault == "slow to build":
            print("building", file=sys.stderr, flush=True)
            wait_for_ever()
        if fault == "dies":
            self._service.run("worker", die)
        if fault == "deaf":
            self._service.session.subscribe(Subscription(exactly(settings.topics.trigger), lambda _: None))
            self._service.session._client.on_message = die
        if fault == "stuck":
            self._service.every(1, wait_for_ever)
        if fault == "late signal":
            # The C library sends it, when Python has ended already: kill(exit code 0 = our process group, SIGTERM).
            library = ctypes.CDLL(None)
            library.on_exit(library.kill, signal.SIGTERM)

    def start(self) -> None:
        self._service.start()

    def stop(self) -> None:
        if self._hangs:
            wait_for_ever()
        self._service.stop()


def wait_for_ever() -> None:
    threading.Event().wait()


def die(*_: object) -> None:
    raise RuntimeError("the thread's last words")


if __name__ == "__main__":
    sys.exit(run_service(TinySettings, TinyService, lambda _: "recorder", program="tiny"))
