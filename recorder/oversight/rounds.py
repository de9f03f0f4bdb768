"""One thread that does chores, each at its interval. A chore that fails harms no other, and is done again later."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.errors import BoardlineError
from pcb_bus.runtime.metrics import HANDLER_ERRORS
from recorder.database import reason
from recorder.errors import DatabaseDown

log = logging.getLogger(__name__)

Complain = Callable[[str, str], None]
"""Logs a text, seldom for each kind: `MqttSession.complain`."""


@dataclass(frozen=True, slots=True)
class Chore:
    """What is done every `every_s` seconds, and once more at the end if `at_end`."""

    name: str
    every_s: float
    action: Callable[[], None]
    at_end: bool = False


class Rounds:
    """A thread and its chores."""

    def __init__(self, name: str, chores: Sequence[Chore], complain: Complain) -> None:
        self._chores = chores
        self._complain = complain
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        self._stopping.set()

    def join(self, timeout: float) -> None:
        """Wait for the chore that is under way; a database that hangs is not waited for."""
        self._thread.join(timeout)

    def _run(self) -> None:
        due = dict.fromkeys(self._chores, time.monotonic())
        while not self._stopping.wait(max(0.0, min(due.values()) - time.monotonic())):
            for chore in [each for each, at in due.items() if at <= time.monotonic()]:
                self._do(chore)
                due[chore] = time.monotonic() + chore.every_s
        for chore in self._chores:
            if chore.at_end:
                self._do(chore)

    def _do(self, chore: Chore) -> None:
        try:
            chore.action()
        except (DatabaseDown, SQLAlchemyError) as error:
            # One complaint for all chores: they fail together.
            self._complain("oversight database", f"{chore.name}: {reason(error)}")
        except (BoardlineError, OSError) as error:
            self._complain(f"oversight {chore.name}", f"{chore.name}: {error}")
        except Exception:
            # What is wrong here is ours to mend; recording goes on meanwhile, and so do the other chores.
            HANDLER_ERRORS.labels("oversight").inc()
            log.exception("fault in %s", chore.name)
