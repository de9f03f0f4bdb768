"""From the inbox to the database: two threads, and a spool between them while the database is down."""

import sys
from collections.abc import Callable

from pcb_bus.runtime.node import Node
from pcb_bus.runtime.queues import Inbox
from recorder.arrival import Delivered
from recorder.committer import Committer
from recorder.drain import Writer
from recorder.health import Health
from recorder.intake import Batching, Intake
from recorder.reading import Reader
from recorder.route import Route
from recorder.settings import RecorderSettings
from recorder.spool import Bounds, Spool
from recorder.store import Store

# Of the 5 s that a service has to stop; the session takes up to 3.5 s to say goodbye.
_COMMIT_S, _SPOOL_S, _WRITER_S = 0.7, 0.6, 0.2
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
        node: Node,
        inbox: Inbox[Delivered],
        reader: Reader,
        store: Store,
        prepare: Callable[[], None],
        settings: RecorderSettings,
        on_idle: Callable[[], None],
    ) -> None:
        bounds = Bounds(settings.spool.rows, settings.spool.megabytes * 2**20)
        self.health = Health(node)
        self.spool = Spool(settings.spool.path, bounds)
        self._route = Route(self.spool)
        committer = Committer(node, reader, store, self.health, prepare)
        self._writer = Writer(committer, self.spool, self._route, self.health, settings.batch_size)
        batching = Batching(settings.batch_size, settings.batch_ms / 1000)
        self._intake = Intake(inbox, self.spool, self._route, committer, self._writer, self.health, batching, on_idle)

    @property
    def caught_up(self) -> bool:
        """Whether what arrived is in the database, but for what arrived just now."""
        return self._route.direct and self._intake.idle

    def start(self) -> None:
        self._writer.start()
        self._intake.start()

    def stop(self) -> None:
        """Commit what is in the inbox, or spool it; what no disk takes in 1.5 s the broker delivers again."""
        self._intake.stop(_COMMIT_S, _SPOOL_S)
        self._writer.stop(_WRITER_S)
        self.spool.close()
