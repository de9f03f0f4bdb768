"""From the inbox to the database: two threads, and a spool between them while the database is down."""

import sys
import time
from collections.abc import Callable

from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.service import Service
from recorder.arrival import Delivered
from recorder.committer import Committer
from recorder.drain import Writer
from recorder.intake import Batching, Intake
from recorder.reading import Reader
from recorder.route import Route
from recorder.settings import RecorderSettings
from recorder.spool import Bounds, Spool
from recorder.store import Store

_INTAKE, _WRITER = "recorder-intake", "recorder-writer"
_TURN_S = 0.0005


def take_short_turns() -> None:
    """Threads of this process change more often than Python's 5 ms.

    The writer waits for the database a dozen times a batch, and then for the thread that reads ahead to let it go on.
    """
    sys.setswitchinterval(_TURN_S)


class Worker:
    """Takes what arrived in batches, and acknowledges each once it is committed, or in the spool.

    Args:
        prepare: brings the tables up to date; raises DatabaseDown or ConfigError as long as it cannot.
        on_idle: called after a batch when no more than another one waits.

    Raises:
        ConfigError: the spool's file cannot be used.
    """

    def __init__(
        self,
        service: Service,
        inbox: Inbox[Delivered],
        reader: Reader,
        store: Store,
        prepare: Callable[[], None],
        settings: RecorderSettings,
        on_idle: Callable[[], None],
    ) -> None:
        bounds = Bounds(settings.spool.rows, settings.spool.megabytes * 2**20)
        self._service = service
        self.spool = Spool(settings.spool.path, bounds)
        self._route = Route(self.spool)
        committer = Committer(service, reader, store, prepare)
        self._writer = Writer(service, committer, self.spool, self._route, settings.batch_size)
        batching = Batching(settings.batch_size, settings.batch_ms / 1000)
        self._intake = Intake(service, inbox, self.spool, self._route, committer, self._writer, batching, on_idle)
        service.run(_WRITER, self._writer.run)
        service.run(_INTAKE, self._intake.run)

    @property
    def caught_up(self) -> bool:
        """Whether what arrived is in the database, but for what arrived just now."""
        return self._route.direct and self._intake.idle

    def stop(self, timeout: float) -> None:
        """Commit what is in the inbox, or spool it; what no disk takes in that time (s) the broker delivers again."""
        end = time.monotonic() + timeout
        self._intake.stop()
        self._service.join(_INTAKE, timeout=timeout / 2)
        self._intake.hurry()
        self._service.join(_INTAKE, timeout=end - time.monotonic())
        self._writer.stop()
