"""How the recorder is: online, or degraded as long as one of its parts is at fault."""

import logging

from pcb_bus.node import Node

log = logging.getLogger(__name__)


class Health:
    """Turns the faults of the parts (`database`, `images`) into the node's state, with one event each way."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._faults: dict[str, str] = {}

    def fault(self, part: str, reason: str) -> None:
        news = part not in self._faults
        self._faults[part] = reason
        self._show()
        if news:
            self._node.event("error", f"the recorder's {part} fails", reason=reason)

    def clear(self, part: str) -> None:
        if self._faults.pop(part, None) is not None:
            self._show()
            self._node.event("info", f"the recorder's {part} works again")

    def _show(self) -> None:
        detail = "; ".join(f"{part}: {reason}" for part, reason in self._faults.items())
        self._node.set_state("degraded" if self._faults else "online", detail)
