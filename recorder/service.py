"""The recorder as a service: a durable session, a bounded inbox, a spool, one database and a store of pictures.

broker ─► inbox ─► Intake ─► Spool ─► Drain ─► Store ─► database
                               └────► Pictures ─► picture store
"""

import logging
import threading
import time
from functools import partial
from pathlib import Path

from sqlalchemy import URL

from pcb_bus.contract.taxonomy import load_taxonomy
from pcb_bus.contract.topics import TopicFilter, Topics, exactly
from pcb_bus.mqtt.session import QUEUED_AT_BROKER, Delivery, SessionOptions
from pcb_bus.runtime.metrics import DROPPED
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY
from pcb_bus.runtime.workers import Worker
from recorder.drain import Drain, Steps
from recorder.faults import careful
from recorder.intake import Delivered, Intake
from recorder.oversight import Oversight
from recorder.pictures import Pictures
from recorder.retention import Retention
from recorder.rows import read
from recorder.settings import RecorderLine
from recorder.spool import Arrival, Kind, Spool
from recorder.statistics import Statistics
from recorder.store import Store
from records.database import is_sqlite, make_engine, probe
from records.errors import DatabaseDown
from records.migrate import bring_up_to_date
from records.picture_store import local_folder, open_store

log = logging.getLogger(__name__)

NODE = "recorder"
_INTAKE = "recorder-intake"
_STOP_S = 1.5  # the session takes up to 2.5 s more to say goodbye
_INTAKE_S = 0.6  # of them to take the inbox in, and as long for what is under way
_COUNT_S = 1.0


class RecorderService:
    """Everything that the recorder holds while it runs.

    The broker is asked to send two batches ahead, one to gather while the other is committed. The inbox has room for
    all that it may hold besides, twice: after a reconnect it comes anew, while that of the lost connection still waits.
    What finds no room all the same is not acknowledged; once there is room, the connection is made afresh to get it.
    """

    def __init__(self, settings: RecorderLine, url: URL) -> None:
        chosen, line = settings.recorder, settings.root
        pictures = open_store(chosen.images, chosen.image_options)
        ahead = 2 * chosen.batch_size
        self._batch_size = chosen.batch_size
        self._service = service = Service("recorder", NODE, settings, SessionOptions(True, receive_maximum=ahead))
        self._inbox: Inbox[Delivered] = Inbox(2 * (ahead + QUEUED_AT_BROKER), self._dropped)
        self._missed = threading.Event()
        self._engine = engine = make_engine(url)
        self.spool = spool = Spool(chosen.spool.path, chosen.spool.rows, chosen.spool.megabytes)
        store = Store(engine, line, chosen.zone, _unjudged_label(settings.taxonomy), chosen.image_url)
        self._oversight = oversight = Oversight(
            service,
            settings,
            engine,
            _places(settings, url),
            spool,
            store.close_overdue,
            lambda: self.caught_up,
        )
        self._pictures = Pictures(service, engine, line, pictures, spool, oversight.alerts, chosen.image_url)
        steps = Steps(
            prepare=partial(bring_up_to_date, url, line, chosen.zone, chosen.image_url),
            read=partial(read, line=line, zone=chosen.zone, sides=settings.sides),
            probe=partial(probe, engine, line),
            between=oversight.look_for_lost_boards,
            wake_pictures=self._pictures.wake,
        )
        self._drain = Drain(service, spool, store, steps, chosen.batch_size)
        self._intake = Intake(service, self._inbox, spool, chosen.batch_size, chosen.batch_ms / 1000, self._taken)
        for topic_filter, kind in _interests(settings.topics):
            service.on(topic_filter, None, partial(self._receive, kind), thread=None, manual_ack=True)
        service.run(_INTAKE, self._intake.run)
        service.run("recorder-drain", self._drain.run)
        service.run("recorder-pictures", self._pictures.run)
        # Their own threads: to the service, what takes minutes here would be a fault.
        self._counting, self._removing = Worker("statistics"), Worker("retention")
        self._counting.every(_COUNT_S, careful(service, "statistics", Statistics(engine, line).count_touched))
        live_days = partial(oversight.live.get, "retention_days")
        Retention(engine, line, pictures, chosen, oversight.alerts, live_days).declare(service, self._removing)

    @property
    def caught_up(self) -> bool:
        """Whether what was published is in the database, as far as anybody can know."""
        taken_in = self._service.session.connected and not self._missed.is_set() and self._roomy
        return taken_in and self._drain.caught_up

    def start(self) -> None:
        self._service.start()
        for part in (self._oversight, self._counting, self._removing):
            part.start()

    def stop(self) -> None:
        """What is in the inbox goes into the spool; what no disk takes in time the broker delivers again."""
        end = time.monotonic() + _STOP_S
        self._intake.stop()
        for part in (self._oversight, self._counting, self._removing, self._pictures):
            part.stop()
        self._service.join(_INTAKE, timeout=_INTAKE_S)
        self._intake.hurry()
        self._service.join(_INTAKE, timeout=_INTAKE_S)
        self._drain.stop()
        self._service.stop(end - time.monotonic())
        self._engine.dispose()
        self.spool.close()

    @property
    def _roomy(self) -> bool:
        return len(self._inbox) <= self._batch_size

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

    def _taken(self) -> None:
        self._drain.wake()
        if self._missed.is_set() and self._roomy:
            self._missed.clear()
            self._service.session.reconnect()


def build(settings: RecorderLine) -> RecorderService:
    """The service with its tables up to date, or with a database that does not answer yet: it keeps trying.

    Raises:
        ConfigError: the database, the spool or the store of pictures can never be used.
    """
    chosen = settings.recorder
    url = chosen.url
    log.info("the line's time zone is %s", chosen.zone_and_source)
    try:
        bring_up_to_date(url, settings.root, chosen.zone, chosen.image_url)
    except DatabaseDown as error:
        log.warning("the database does not answer yet, still trying: %s", error)
    return RecorderService(settings, url)


def _unjudged_label(taxonomy: Path) -> str:
    """What the taxonomy calls a board that could not be inspected. A recorder may run without a taxonomy of its own."""
    if taxonomy == DEFAULT_TAXONOMY and not taxonomy.exists():
        log.warning("there is no %s: boards without a verdict are recorded as unjudged", taxonomy)
        return "unjudged"
    return load_taxonomy(taxonomy).label("unjudged")


def _places(settings: RecorderLine, url: URL) -> dict[str, Path]:
    """What the recorder writes on disks of this machine."""
    places = {"spool": settings.recorder.spool.path}
    if (folder := local_folder(settings.recorder.images)) is not None:
        places["images"] = folder
    return places | ({"database": Path(url.database or "")} if is_sqlite(url) else {})


def _interests(topics: Topics) -> tuple[tuple[TopicFilter, Kind], ...]:
    return (
        (exactly(topics.trigger), "trigger"),
        (exactly(topics.resend_trigger), "trigger"),
        (exactly(topics.verdict), "verdict"),
        (exactly(topics.resend_verdict), "verdict"),
        (topics.all_serials, "serial"),
        (exactly(topics.actuation), "actuation"),
        (exactly(topics.resend_actuation), "actuation"),
        (topics.all_evidence, "evidence"),
        (topics.all_resent_evidence, "evidence"),
        (topics.all_events, "event"),
    )
