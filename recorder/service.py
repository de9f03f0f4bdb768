"""The recorder as a service: a durable session, a bounded inbox, a spool, one database."""

import logging
import threading
import time
from functools import partial
from pathlib import Path

from sqlalchemy import URL

from pcb_bus.contract.taxonomy import load_taxonomy
from pcb_bus.contract.topics import TopicFilter, Topics, exactly
from pcb_bus.mqtt.session import QUEUED_AT_BROKER, Delivery, SessionOptions
from pcb_bus.runtime import workers
from pcb_bus.runtime.metrics import DROPPED
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY
from recorder import faults
from recorder.arrival import Arrival, Delivered, Kind
from recorder.database import bring_up_to_date, database_url, make_engine
from recorder.errors import DatabaseDown
from recorder.images import local_folder, open_images
from recorder.images.wanted import WantedImages
from recorder.images.watch import ImageWatch
from recorder.oversight.service import Oversight, Watched
from recorder.periods import Calendar
from recorder.reading import Reader
from recorder.reconcile.statistics import StatisticsCheck
from recorder.retention import Retention
from recorder.settings import RecorderLine
from recorder.spool import Spool
from recorder.store import Store
from recorder.worker import Worker, take_short_turns

log = logging.getLogger(__name__)

NODE = "recorder"
_STOP_S = 1.5  # the session takes up to 2.5 s more to say goodbye
_INTAKE_S = 1.2  # of them


class RecorderService:
    """Everything that the recorder holds while it runs.

    The broker is asked to send two batches ahead, one to gather while the other is committed. The inbox has room for
    all that it may hold besides, twice: after a reconnect it comes anew, while that of the lost connection still waits.
    What finds no room all the same is not acknowledged; once there is room, the connection is made afresh to get it.
    """

    def __init__(self, settings: RecorderLine, url: URL) -> None:
        images = open_images(settings.recorder.images, settings.recorder.image_options)
        ahead = 2 * settings.recorder.batch_size
        options = SessionOptions(durable=True, receive_maximum=ahead)
        self._service = service = Service("recorder", NODE, settings, options)
        self._inbox: Inbox[Delivered] = Inbox(2 * (ahead + QUEUED_AT_BROKER), self._dropped)
        self._missed = threading.Event()
        self._engine = make_engine(url)
        calendar = Calendar(settings.recorder.time_zone)
        self._store = Store(self._engine, calendar, _unjudged_label(settings.taxonomy))
        self._worker = Worker(
            service,
            self._inbox,
            Reader(images, settings.sides, settings.root, WantedImages(self._engine)),
            self._store,
            partial(bring_up_to_date, url),
            settings.recorder,
            self._fetch_missed,
        )
        for topic_filter, kind in _interests(settings.topics):
            service.on(topic_filter, None, partial(self._receive, kind), thread=None, manual_ack=True)
        self._oversight = Oversight(
            service,
            Watched(
                url,
                _places(settings),
                settings.recorder.zone,
                settings.recorder.verdict_deadline_ms,
                lambda: self.caught_up,
                self._store.close_overdue,
                lambda: self.spool.fill,
                StatisticsCheck(calendar),
            ),
            settings.recorder.alerts,
            settings.recorder.oversight,
        )
        self._retention = Retention(
            self._engine,
            images,
            settings.recorder.retention,
            lambda: self._oversight.live.get("retention_days"),
            settings.recorder.alerts.min_free_mb,
        )
        watch = ImageWatch(images, self._oversight.desk, lambda: faults.show(service, "images", ""))
        # Its own: to the service, what takes minutes here would be a fault.
        self._removal = workers.Worker("retention")
        self._removal.every(2.0, faults.careful(service, "images", watch.look))
        self._retention.declare(service, self._removal)

    @property
    def spool(self) -> Spool:
        """What waits for the database on this disk."""
        return self._worker.spool

    @property
    def caught_up(self) -> bool:
        """Whether what was published is in the database, as far as anybody can know."""
        return self._service.session.connected and not self._missed.is_set() and self._worker.caught_up

    def start(self) -> None:
        self._service.start()
        self._oversight.start()
        self._removal.start()

    def stop(self) -> None:
        end = time.monotonic() + _STOP_S
        self._oversight.stop()
        self._removal.stop()
        self._worker.stop(_INTAKE_S)
        self._service.stop(end - time.monotonic())
        self._oversight.close()
        self._engine.dispose()
        self.spool.close()

    def _receive(self, kind: Kind, delivery: Delivery) -> None:
        if not self._inbox.closed:
            arrival = Arrival(kind, delivery.topic, delivery.payload, delivery.received_at)
            self._inbox.put(Delivered(arrival, delivery.ack))

    def _dropped(self, delivered: Delivered) -> None:
        # Not acknowledged: the broker delivers it again on the next connection.
        self._missed.set()
        kind = delivered.arrival.kind
        DROPPED.labels(kind, "inbox_full").inc()
        self._service.session.complain("inbox_full", f"the inbox is full; a {kind} comes again when there is room")

    def _fetch_missed(self) -> None:
        if self._missed.is_set():
            self._missed.clear()
            self._service.session.reconnect()


def build(settings: RecorderLine) -> RecorderService:
    """The service with its tables up to date, or with a database that does not answer yet: it keeps trying.

    Raises:
        ConfigError: the database, the spool or the store of images can never be used.
    """
    take_short_turns()
    url = database_url(settings.recorder.database_url)
    try:
        bring_up_to_date(url)
    except DatabaseDown as error:
        log.warning("the database does not answer yet, still trying: %s", error)
    return RecorderService(settings, url)


def _unjudged_label(taxonomy: Path) -> str:
    """What the taxonomy calls a board that could not be inspected. A recorder may run without a taxonomy of its own."""
    if taxonomy == DEFAULT_TAXONOMY and not taxonomy.exists():
        log.warning("there is no %s: boards without a verdict are recorded as unjudged", taxonomy)
        return "unjudged"
    return load_taxonomy(taxonomy).label("unjudged")


def _places(settings: RecorderLine) -> dict[str, Path]:
    """What the recorder writes on disks of this machine."""
    folder = local_folder(settings.recorder.images)
    return {"spool": settings.recorder.spool.path} | ({} if folder is None else {"images": folder})


def _interests(topics: Topics) -> tuple[tuple[TopicFilter, Kind], ...]:
    return (
        (exactly(topics.trigger), "trigger"),
        (exactly(topics.resend_trigger), "trigger"),
        (exactly(topics.verdict), "verdict"),
        (exactly(topics.resend_verdict), "verdict"),
        (exactly(topics.actuation), "actuation"),
        (exactly(topics.resend_actuation), "actuation"),
        (topics.all_evidence, "evidence"),
        (topics.all_events, "event"),
    )
