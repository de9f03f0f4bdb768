"""The smallest service there is, for tests that need a process: `python tests/pcb_bus/tiny_service.py --help`."""

import sys
import threading
from typing import Annotated, ClassVar

from pydantic import Field

from pcb_bus.contract.topics import exactly
from pcb_bus.mqtt.session import Subscription
from pcb_bus.runtime.node import Identity, Node
from pcb_bus.runtime.process import run_service
from pcb_bus.runtime.settings import LineSettings, Section


class TinySection(Section):
    """What the tiny service does."""

    speed: Annotated[int, Field(ge=1, le=9)] = 5
    """Boards a second."""
    dies: bool = False
    """A worker thread of it dies at once."""
    deaf: bool = False
    """A trigger ends its network thread."""


class TinySettings(LineSettings):
    """A service for tests."""

    shortcuts: ClassVar[dict[str, str]] = {**LineSettings.shortcuts, "recorder.speed": "speed"}

    recorder: TinySection = TinySection()


class TinyService:
    def __init__(self, settings: TinySettings) -> None:
        self._node = Node(Identity("recorder", "recorder"), settings)
        if settings.recorder.deaf:
            self._node.session.subscribe(Subscription(exactly(settings.topics.trigger), lambda _: None))
            self._node.session._client.on_message = self._die
        self._worker = threading.Thread(target=self._work, args=(settings.recorder.dies,), name="worker")

    def start(self) -> None:
        self._node.start()
        self._worker.start()

    def stop(self) -> None:
        self._node.stop()

    @staticmethod
    def _die(*_: object) -> None:
        raise RuntimeError("the network thread's last words")

    @staticmethod
    def _work(dies: bool) -> None:
        if dies:
            raise RuntimeError("the worker's last words")


if __name__ == "__main__":
    sys.exit(run_service(TinySettings, TinyService, lambda _: "recorder", program="tiny"))
