"""The recorder as a service: a durable session, a bounded inbox, one worker, one database."""

import logging
from functools import partial

from sqlalchemy import URL

from pcb_bus.errors import ConfigError
from pcb_bus.inbox import Inbox
from pcb_bus.metrics import DROPPED
from pcb_bus.node import Identity, Node
from pcb_bus.session import QUEUED_AT_BROKER, Delivery, SessionOptions, Subscription
from pcb_bus.topics import TopicFilter, Topics, exactly
from recorder.database import bring_up_to_date, database_url, make_engine
from recorder.errors import DatabaseDown
from recorder.images import ImageStore
from recorder.reading import Kind, Reader
from recorder.settings import RecorderLine
from recorder.store import Store
from recorder.worker import Arrival, Worker

log = logging.getLogger(__name__)

NODE = "recorder"
_STOP_S = 1.5  # the session takes up to 3.5 s more to say goodbye; what is not committed by then comes again


class RecorderService:
    """Everything that the recorder holds while it runs.

    The broker is asked to send two batches ahead, one to gather while the other is committed. The inbox has room for
    all that it may hold besides, twice: after a reconnect it comes anew, while that of the lost connection still waits.
    """

    def __init__(self, settings: RecorderLine, url: URL) -> None:
        ahead = 2 * settings.recorder.batch_size
        self._node = Node(Identity("recorder", NODE), settings, SessionOptions(durable=True, receive_maximum=ahead))
        self._inbox: Inbox[Arrival] = Inbox(2 * (ahead + QUEUED_AT_BROKER), self._dropped)
        self._engine = make_engine(url)
        self._worker = Worker(
            self._node,
            self._inbox,
            Reader(ImageStore(settings.recorder.images), settings.sides),
            Store(self._engine),
            partial(bring_up_to_date, url),
            settings.recorder,
        )
        for topic_filter, kind in _interests(settings.topics):
            self._node.session.subscribe(Subscription(topic_filter, partial(self._receive, kind), manual_ack=True))

    def start(self) -> None:
        self._worker.start()
        self._node.start()

    def stop(self) -> None:
        self._worker.stop(_STOP_S)
        self._node.stop()
        self._engine.dispose()

    def _receive(self, kind: Kind, delivery: Delivery) -> None:
        if not self._inbox.closed:
            self._inbox.put(Arrival(kind, delivery))

    def _dropped(self, arrival: Arrival) -> None:
        # Not acknowledged: the broker delivers it again on the next connection.
        DROPPED.labels(arrival.kind, "inbox_full").inc()
        self._node.session.complain("inbox_full", f"the inbox is full; a {arrival.kind} waits for the next connection")


def build(settings: RecorderLine) -> RecorderService:
    """The service with its tables up to date, or with a database that does not answer yet: it keeps trying.

    Raises:
        ConfigError: the database or the folder of images can never be used.
    """
    url = database_url(settings.recorder.database_url)
    _make_folder_of_images(settings)
    try:
        bring_up_to_date(url)
    except DatabaseDown as error:
        log.warning("the database does not answer yet, still trying: %s", error)
    return RecorderService(settings, url)


def _make_folder_of_images(settings: RecorderLine) -> None:
    folder = settings.recorder.images
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"recorder.images: cannot make the folder {folder}: {error.strerror}") from None


def _interests(topics: Topics) -> tuple[tuple[TopicFilter, Kind], ...]:
    return (
        (exactly(topics.verdict), "verdict"),
        (exactly(topics.resend_verdict), "verdict"),
        (exactly(topics.actuation), "actuation"),
        (exactly(topics.resend_actuation), "actuation"),
        (topics.all_evidence, "evidence"),
        (topics.all_events, "event"),
    )
