"""The values of `system_config`, for the recorder's own parts and for the line: read again and again."""

import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import LiveConfig
from pcb_bus.contract.times import now_ns
from records.live_config import Reading, read_table


class LiveValues:
    """The values that hold now, for the recorder's own parts and for the line.

    Args:
        publish: sends a payload to `pcb/config`, retained; False if it was not taken.
        say: publishes an event of the recorder.
    """

    def __init__(self, engine: Engine, line: str, publish: Callable[[bytes], bool], say: Callable[..., None]) -> None:
        self._engine, self._line, self._publish, self._say = engine, line, publish, say
        self._reading: Reading | None = None
        self._to_publish = threading.Event()

    def get(self, key: str) -> Any:
        """The live value; None where there is none, and the settings hold. On any thread."""
        return None if self._reading is None else self._reading.values.get(key)

    def connected(self) -> None:
        """A new connection: the line is told again at the next look. On any thread."""
        self._to_publish.set()

    def look(self) -> None:
        """Read the table, and tell the line what changed.

        Raises:
            SQLAlchemyError: the table cannot be read; what held before still holds.
        """
        reading, before = read_table(self._engine, self._line), self._reading
        self._reading = reading
        for key, fault in reading.faults.items():
            if before is None or before.faults.get(key) != fault:
                self._say("warning", f"system_config is ignored in part: {fault}", key=key)
        if before is None or before.values != reading.values:
            self._to_publish.set()
        if self._to_publish.is_set():
            self._to_publish.clear()
            if not self._publish(encode_json(LiveConfig(values=reading.values, updated_at=now_ns()))):
                self._to_publish.set()
