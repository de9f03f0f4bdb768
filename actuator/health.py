"""What is wrong with the station, as its state on the bus says."""

from collections.abc import Callable

from pcb_bus.contract.messages import NodeState

SetState = Callable[[NodeState, str], None]


class Health:
    """Used by one thread; says nothing twice."""

    def __init__(self, set_state: SetState) -> None:
        self._set_state = set_state
        self._wrong: dict[str, str] = {}

    def note(self, what: str, detail: str) -> bool:
        """`detail` says what is wrong with `what`, empty when nothing is. Returns whether that is news."""
        if self._wrong.get(what, "") == detail:
            return False
        self._wrong[what] = detail
        self._show()
        return True

    def _show(self) -> None:
        wrong = ", ".join(detail for detail in self._wrong.values() if detail)
        self._set_state("degraded" if wrong else "online", wrong)
