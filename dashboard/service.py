"""The dashboard as a service: what travels on the bus becomes the state that the pages show, and a server shows it.

broker ─► Feed, Pictures ─► Viewers ─► browsers
                              web ◄──► database
"""

import ipaddress
import logging
import socket
import ssl
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uvicorn
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp

from dashboard import alerts, evidence, export, history, live, live_settings, nodes, pages, periods, review, users
from dashboard.accounts import FIRST, Accounts
from dashboard.doors.app import make_doors
from dashboard.doors.rest import Line as DoorLine
from dashboard.feed import LAST, Feed, Recorded, Seen, Turn
from dashboard.live import Viewers
from dashboard.pictures import Pictures
from dashboard.review import ReviewQueue
from dashboard.settings import DashboardLine, DoorSettings
from dashboard.web import STATIC, VERSION, Desk, make_app
from pcb_bus.contract.codec import decode_msgpack
from pcb_bus.contract.messages import Evidence, NodeStatus, Verdict
from pcb_bus.contract.messages import Recorded as Committed
from pcb_bus.contract.taxonomy import Taxonomy, load_taxonomy
from pcb_bus.contract.times import from_datetime, to_datetime
from pcb_bus.contract.topics import exactly
from pcb_bus.durable.files import why_denied
from pcb_bus.errors import ConfigError
from pcb_bus.mqtt.requests import Requester
from pcb_bus.mqtt.session import Delivery
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY
from pcb_bus.runtime.workers import Worker
from records.database import for_reading, make_engine, reason
from records.errors import DatabaseDown
from records.migrate import check_tables
from records.picture_store import open_store
from records.queries import Newest, newest, tally
from records.times import local_time

log = logging.getLogger(__name__)

NODE = "dashboard"
_FEED, _WEB, _DOORS = "feed", "web", "doors"
_TELL_S = 1.0  # a page that hears nothing for longer than a few of them knows that its server is gone
_LOOK_S, _COUNT_S = 1.0, 20.0  # at a database that is away, and at one that is there
_GRACE_S = 10.0  # after the start: the recorder makes the tables meanwhile
_MOST_CONNECTIONS = 256
_LOOPBACK = "127.0.0.1"


class Server:
    """uvicorn on a socket that is open already, on a thread of ours.

    Args:
        key: of the settings that say where.

    Raises:
        ConfigError: the address cannot be used, or the certificate.
    """

    def __init__(self, key: str, address: str, port: int, certificate: Path | None) -> None:
        if certificate is not None:
            _check_certificate(certificate)
        self._socket = _listen(key, address, port)
        self._certificate = certificate
        host, port = self._socket.getsockname()[:2]
        self.address = f"http{'s' if certificate else ''}://{_shown(host)}:{port}/"
        self._uvicorn: uvicorn.Server | None = None
        self._stopping = False

    def serve(self, app: ASGIApp) -> None:
        """Until `stop`."""
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=4096,
            ws_per_message_deflate=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
            ssl_certfile=self._certificate,
        )
        self._uvicorn = server = uvicorn.Server(config)
        if not self._stopping:
            server.run([self._socket])
        if not self._stopping:
            raise RuntimeError("the web server has ended by itself")

    def stop(self) -> None:
        self._stopping = True
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True

    def close(self) -> None:
        self._socket.close()


class DashboardService:
    """Everything that the dashboard holds while it runs."""

    def __init__(self, settings: DashboardLine, url: URL) -> None:
        chosen = settings.dashboard
        self._settings = settings
        self._zone = settings.recorder.zone
        self._service = service = Service("dashboard", NODE, settings)
        self._engine = make_engine(url)
        self._feed = Feed(_nodes(settings), chosen.shifts, self._zone)
        self._pictures = Pictures(settings.sides)
        self.viewers = Viewers()
        self.accounts = Accounts(self._engine, settings.root, chosen.session_minutes)
        self._requester = Requester(service.session, settings.topics, NODE)
        self._store = open_store(settings.recorder.images, settings.recorder.image_options)
        taxonomy = _taxonomy(settings.taxonomy)
        labels: dict[str, str] = (
            {category: rule.label for category, rule in taxonomy.categories.items()} if taxonomy else {}
        )
        desk = Desk(
            settings,
            self.accounts,
            self.viewers,
            self._pictures,
            labels,
            tuple(taxonomy.classes) if taxonomy else (),
            self._engine,
            self._store,
            self._requester,
            lambda: self._feed.heard(self._now()),
        )
        rooms = pages, live, evidence, review, history, export, periods, nodes, alerts, live_settings, users
        app = make_app(desk, *(each.routes(desk) for each in rooms))
        self._review_queue = ReviewQueue(self._engine, settings.root, chosen.review_share)
        certificate = settings.certificate
        self.server = Server("dashboard", _address(settings, encrypted=bool(certificate)), chosen.port, certificate)
        self.doors = self._open_doors(chosen.doors, taxonomy)
        self._ready = self._reading = False
        self._count_at = 0.0
        self._started_at = time.monotonic()
        # To the service, a database that takes its time would be a thread that hangs.
        self._records = Worker("records")
        topics = settings.topics
        service.on(exactly(topics.verdict), Verdict, self._hear_verdict, thread=_FEED)
        service.on(exactly(topics.recorded), Committed, self._hear_recorded, thread=_FEED)
        service.on(topics.all_status, NodeStatus, self._hear_status, thread=_FEED, retained=True)
        service.on(topics.all_previews, None, self._hear_preview, thread=_FEED, qos=0, queue=8)
        service.on(topics.all_evidence, None, self._hear_evidence, thread=_FEED, queue=32)
        service.every(_TELL_S, self._tell, thread=_FEED)
        service.every(_LOOK_S, self._count_if_due, thread=_FEED)
        service.session.on_up(lambda: service.worker(_FEED).do(self._connected))
        service.run(_WEB, partial(self.server.serve, app))
        if self.doors is not None and taxonomy is not None:
            service.run(_DOORS, partial(self.doors.serve, self._behind_doors(chosen.doors, taxonomy)))

    def start(self) -> None:
        log.info("pages at %s", self.server.address)
        if self.doors is not None:
            log.info("programs of earlier generations at %s", self.doors.address)
        self._records.start()
        self._service.start()

    def stop(self) -> None:
        servers = [each for each in (self.server, self.doors) if each is not None]
        for each in servers:
            each.stop()
        self._service.join(_WEB, _DOORS, timeout=2.0)
        self._records.stop()
        self._service.stop()
        for each in servers:
            each.close()
        self._engine.dispose()

    def _open_doors(self, chosen: DoorSettings, taxonomy: Taxonomy | None) -> Server | None:
        """Whatever is on their port already must not keep the pages from people."""
        if chosen.port is None:
            return None
        certificate = self._settings.certificate if chosen.tls else None
        try:
            if taxonomy is None:
                raise ConfigError(f"taxonomy: {DEFAULT_TAXONOMY} is missing: copy it from the machine of inference")
            if chosen.tls and certificate is None:
                raise ConfigError("dashboard.doors.tls: there is no certificate, which `make broker` makes")
            return Server("dashboard.doors", chosen.address or _LOOPBACK, chosen.port, certificate)
        except ConfigError as error:
            self._service.health["doors"] = f"programs of earlier generations are not served: {error}"
            log.warning("%s", self._service.health["doors"])
            return None

    def _behind_doors(self, chosen: DoorSettings, taxonomy: Taxonomy) -> ASGIApp:
        settings = self._settings
        line = DoorLine(
            root=settings.root,
            sides=settings.sides,
            zone=self._zone,
            taxonomy=taxonomy,
            engine=self._engine,
            store=self._store,
            state=lambda: self.viewers.state,
            inspect=self._requester.inspect,
            now=lambda: datetime.now(UTC),
        )
        placeholder = STATIC["no_picture.jpg"].content
        return make_doors(line, self.accounts, self._pictures, placeholder, list(chosen.origins), line.now)

    # What is heard, on the feed's thread

    def _hear_verdict(self, verdict: Verdict, _: Delivery) -> None:
        if self._feed.verdict(verdict, self._now()):
            self._pictures.take_verdict(verdict)
            self._tell()

    def _hear_recorded(self, message: Committed, _: Delivery) -> None:
        self._feed.committed(message.verdicts)

    def _hear_status(self, status: NodeStatus, _: Delivery) -> None:
        self._feed.status(status, self._now())

    def _hear_preview(self, delivery: Delivery) -> None:
        self._pictures.take_preview(delivery.topic.rsplit("/", 1)[-1], delivery.payload)
        self._feed.news(self._now())
        self.viewers.wake()

    def _hear_evidence(self, delivery: Delivery) -> None:
        self._pictures.take_evidence(decode_msgpack(Evidence, delivery.payload))
        self._tell()

    def _connected(self) -> None:
        self._feed.connected(self._now())
        self._count()

    def _tell(self) -> None:
        fault = self._service.health["database"]
        state = self._feed.state(self._now(), broker=self._service.session.connected, database=fault)
        self.viewers.publish(state | {"judged": self._pictures.judged(), "page": VERSION})

    def _now(self) -> int:
        return self._service.clock.now()

    # What the database knows, on the thread `records`

    def _count_if_due(self) -> None:
        if time.monotonic() >= self._count_at and not self._reading:
            self._count()

    def _count(self) -> None:
        now = self._now()
        self._reading, self._count_at = True, time.monotonic() + _COUNT_S
        self._records.do(partial(self._read, self._feed.turn(now), self._feed.counted_until(now)))

    def _read(self, turn: Turn, until: int) -> None:
        try:
            if not self._ready:
                self._make_ready()
            since = local_time(to_datetime(turn.begins_at), self._zone)
            with for_reading(self._engine).connect() as connection:
                boards = tally(connection, self._settings.root, since, to_datetime(until))
                last = [_seen(each) for each in newest(connection, self._settings.root, LAST)]
            self._review_queue.draw(local_time(datetime.now(UTC), self._zone))
        except (DatabaseDown, SQLAlchemyError, ConfigError) as error:
            self._count_at = 0.0
            text = str(error) if isinstance(error, ConfigError) else reason(error)
            if self._ready or time.monotonic() - self._started_at > _GRACE_S:
                self._service.fault("database", f"database: {text}", "warning")
            return
        finally:
            self._reading = False
        self._service.fault("database", "", again="the database is there")
        self._service.worker(_FEED).do(partial(self._feed.take, Recorded(turn, until, boards, last)))

    def _make_ready(self) -> None:
        check_tables(self._engine)
        made_up = self.accounts.make_first(self._settings.dashboard.first_password, datetime.now(UTC))
        if made_up is not None:
            print(f"dashboard: first login, shown this once: {FIRST} {made_up}", flush=True)  # not into the log
        self._ready = True


def build(settings: DashboardLine) -> DashboardService:
    """The service; its database may be away, or without tables until the recorder has made them.

    Raises:
        ConfigError: the database's URL, the certificate, the address or the port can never be used.
    """
    return DashboardService(settings, settings.recorder.url)


def _nodes(settings: DashboardLine) -> list[str]:
    return [*(f"edge-{side}" for side in settings.sides), "inference", "actuator", "recorder", NODE]


def _taxonomy(file: Path) -> Taxonomy | None:
    """A machine with the dashboard alone may have none: the pages have words of their own."""
    return None if file == DEFAULT_TAXONOMY and not file.exists() else load_taxonomy(file)


def _seen(row: Newest) -> Seen:
    classes = tuple(dict.fromkeys(str(box.get("class", "")) for box in row.boxes))
    at = from_datetime(row.captured_at)
    return Seen(row.verdict_id, row.board_id, row.serial, row.product, row.category, at, classes)  # type: ignore[arg-type]


def _address(settings: DashboardLine, *, encrypted: bool) -> str:
    chosen = settings.dashboard
    address = chosen.address or ("0.0.0.0" if encrypted else _LOOPBACK)
    if not encrypted and not ipaddress.ip_address(address).is_loopback:
        likely = "no certificate is there for TLS; start `make broker` on this machine, which makes one"
        raise ConfigError(f"dashboard.address: {address}: {likely}, or name one in dashboard.certificate")
    return address


def _listen(key: str, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen()  # who comes before the server runs waits for it
    except OSError as error:
        listening.close()
        raise ConfigError(f"{key}.port: cannot listen on {address}:{port}: {error.strerror}") from None
    return listening


def _check_certificate(file: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)
    except ssl.SSLError as error:
        raise ConfigError(f"dashboard.certificate: {file} holds no certificate with its key: {error.reason}") from None
    except OSError as error:
        raise ConfigError(f"dashboard.certificate: cannot read {file}: {why_denied(error, file)}") from None


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
