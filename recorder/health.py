"""How the recorder is: online, or degraded as long as one of its parts is at fault."""

import threading

from pcb_bus.contract.messages import Level
from pcb_bus.runtime.node import Node


class Health:
    """Turns the faults of the parts (`database`, `spool`, `images`) into the node's state, with one event each way."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._faults: dict[str, str] = {}
        self._lock = threading.Lock()

    def fault(self, part: str, reason: str, level: Level = "error") -> None:
        with self._lock:
            news = part not in self._faults
            self._faults[part] = reason
            self._show()
        if news:
            self._node.event(level, f"the recorder's {part} fails", reason=reason)

    def clear(self, part: str) -> None:
        if part not in self._faults:
            return
        with self._lock:
            gone = self._faults.pop(part, None)
            self._show()
        if gone is not None:
            self._node.event("info", f"the recorder's {part} works again")

    def _show(self) -> None:
        detail = "; ".join(f"{part}: {reason}" for part, reason in self._faults.items())
        self._node.set_state("degraded" if self._faults else "online", detail)
