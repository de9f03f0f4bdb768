"""How the inference node is: online, or degraded as long as one of its parts is at fault."""

import threading

from pcb_bus.runtime.node import Node


class Condition:
    """Joins the faults of the parts into the node's state; any thread."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._faults: dict[str, str] = {}
        self._lock = threading.Lock()

    def show(self, part: str, fault: str) -> None:
        """What is wrong with this part; nothing: it is well."""
        with self._lock:
            if self._faults.get(part, "") == fault:
                return
            self._faults[part] = fault
            faults = [each for each in self._faults.values() if each]
            self._node.set_state("degraded" if faults else "online", "; ".join(faults))
