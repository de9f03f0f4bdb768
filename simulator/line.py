"""A whole line on this machine: its own broker, and every service as a child process with its own files."""

import math
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from broker.server import Broker
from pcb_bus.contract.topics import Topics
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.trigger_source import TriggerSource
from pcb_bus.mqtt.login import read_login
from pcb_bus.mqtt.session import MqttSession, SessionOptions
from pcb_bus.runtime.settings import BrokerSettings
from simulator.lessons import LessonOptions
from simulator.processes import ProcessSpec, Supervisor
from simulator.schedule import BARE, Schedule
from simulator.workplace import Workplace, free_ports, merged, running_line

SIDES = ("left", "right")
FIRST, SECOND = "pcb", "pcb/line2"
"""The roots of two lines that share a broker and a database: the second joins the first, which has to run."""
TRIGGERS = PRESENCE, MQTT = "presence", "mqtt"
"""Who says that a board is there: the edges, which see it, or a photo-eye."""
MOST_SEEN = 3.0
"""Boards a second that edges see one by one."""
_VIEW, _BELT = (704, 528), 32
"""Width and height of a picture in which boards are as large as ever, and pixels of belt at each end."""
_MOVES, _MOVES_S = 0.7, 1.0  # of the period, and at most
_FPS, _FPS_MOVING = 10, 15
_LOOKS = 7.5  # pictures of each board
_BARE_CONFIDENCE = 0.6
_FPS_PER_RATE = 2  # a board stands still for more than half a period: at least one picture of each


@dataclass(frozen=True, slots=True)
class LineOptions:
    """What stands on the line.

    Args:
        root: of its topics: `FIRST` or `SECOND`.
        first: where the first line has its files; the second one joins it.
        trigger: who says that a board is there, one of `TRIGGERS`.
        sources: camera source of a side; a side without one gets the simulated camera.
        database_url: where the recorder writes; None is a fresh SQLite file in the folder.
        settings: more settings, section by section, over those of `config/line.yaml`.
        lessons: how it learns the good boards of its product.
    """

    folder: Path = Path("var/demo")
    root: str = FIRST
    first: Path = Path("var/demo")
    trigger: str = MQTT
    sources: Mapping[str, str | None] = field(default_factory=dict)
    database_url: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    lessons: LessonOptions = field(default_factory=LessonOptions)

    @property
    def all_drawn(self) -> bool:
        """Whether every side has the simulated camera."""
        return not any(self.sources.get(side) for side in SIDES)


class VirtualLine:
    """Broker (a second line joins the first one's), recorder, actuator, inference, dashboard and one edge a side.

    They run while the context is open.

    `pages` is where the dashboard serves them; `password` that of its `admin`, None where the database may know others.

    Args:
        on_failure: told (node, last line it printed) when a service cannot be kept running.

    Raises:
        ConfigError: another line uses the folder, or the first line does not run.
        MosquittoMissing, BrokerDied: the broker does not come up.
    """

    def __init__(self, schedule: Schedule, options: LineOptions, on_failure: Callable[[str, str], None]) -> None:
        self._schedule = schedule
        self._options = options
        self._more: Mapping[str, Any] = {}
        self._resources = ExitStack()
        self.workplace = Workplace(options.folder)
        self._resources.callback(self.workplace.release)
        if options.root == FIRST:
            plain, tls, *pages = free_ports(4)
            folder, lines = self.workplace.folder / "broker", {FIRST: SIDES, SECOND: SIDES}
            self.broker = Broker(folder, plain, tls_port=tls, lines=lines)
            credentials = self.broker.credentials_folder
            self._bus = BrokerSettings(host=self.broker.host, port=tls, credentials=credentials)
            self.database_url = options.database_url or self.workplace.database_url
        else:
            self._bus, url = running_line(options.first)
            pages = free_ports(2)
            self.database_url = options.database_url or url
        self.pages, self._page_ports = f"http://127.0.0.1:{pages[0]}/", pages
        # In a database of its own nobody may log in yet.
        self.password = secrets.token_urlsafe(9) if self.database_url == self.workplace.database_url else None
        environment = {"PCB_CONFIG": str(self.workplace.config), "GPIOZERO_PIN_FACTORY": "mock"}
        self.supervisor = Supervisor(self._specs(), environment, self.workplace.folder / "output", on_failure)

    def configure(self, more: Mapping[str, Any] | None = None) -> Path:
        """Write the line's configuration file, with more settings than its own; nothing runs yet."""
        self._more = more or {}
        self.workplace.write_config(merged(self._settings(), self._more))
        return self.workplace.config

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.push(self._resources)
            if self._options.root == FIRST:
                self._resources.enter_context(self.broker)
            self.configure(self._more)
            self._resources.callback(self.supervisor.stop)
            self.supervisor.start()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @property
    def topics(self) -> Topics:
        return Topics(self._options.root)

    @property
    def nodes(self) -> frozenset[str]:
        """Names of the nodes that boards need: the pages may come a moment later."""
        return frozenset(spec.name for spec in self._specs() if not spec.gives_way)

    def session(self, login: str, options: SessionOptions | None = None) -> MqttSession:
        """A session of one's own at the line's broker, with the login of a role; not started yet."""
        at_broker = read_login(self._bus, login, self._options.root)
        return MqttSession(f"{self.workplace.folder.name}-{login}", at_broker, options, self._options.root)

    @contextmanager
    def trigger_source(self) -> Iterator[TriggerSource]:
        """The photo-eye's voice, connecting; what it announced and nobody recorded stands in the folder."""
        with closing(Outbox(self.workplace.trigger_outbox)) as outbox:
            session = self.session("trigger")
            source = TriggerSource(session, self.topics, outbox)
            session.start()
            source.start()
            try:
                yield source
            finally:
                source.stop()
                session.stop()

    def _specs(self) -> list[ProcessSpec]:
        edges = [
            # A camera's password is for nobody who lists the processes.
            ProcessSpec(f"edge-{side}", "edge_publisher", ("--side", side), {"PCB_EDGE__SOURCE": self._source(side)})
            for side in SIDES
        ]
        services = {"recorder": "recorder", "actuator": "actuator", "inference": "inference_subscriber"}
        first_login = {"PCB_DASHBOARD__FIRST_PASSWORD": self.password} if self.password else {}
        pages = ProcessSpec("dashboard", "dashboard", environment=first_login, gives_way=True)
        return [*(ProcessSpec(name, module) for name, module in services.items()), pages, *edges]

    def _source(self, side: str) -> str:
        given = self._options.sources.get(side)
        load = urlencode({"load": self.workplace.load} if self._options.trigger == PRESENCE else {})
        return given or f"sim://{side}?{self._schedule.query}&{load}".rstrip("&")

    def _settings(self) -> dict[str, Any]:
        folder = self.workplace.folder
        own: dict[str, Any] = {
            "root": self._options.root,
            "sides": list(SIDES),
            "broker": {"host": self._bus.host, "port": self._bus.port, "credentials": str(self._bus.credentials)},
            "log": {"directory": str(folder / "log")},
            "edge": self._edge_settings(),
            "actuator": {
                "ledger": str(folder / "actuator" / "ledger.db"),
                "outbox": str(folder / "actuator" / "outbox.db"),
            },
            "inference": {
                "outbox": str(folder / "inference" / "outbox.db"),
                "evidence_outbox": str(folder / "inference" / "evidence.db"),
                **_thresholds(self._schedule.look),
                **({"max_input": _VIEW[0]} if self._schedule.margin else {}),
            },
            "dashboard": {"port": self._page_ports[0], "tls": False, "doors": {"port": self._page_ports[1]}},
            "recorder": {
                "database_url": self.database_url,
                "images": str(folder / "recorder" / "images"),
                "spool": {"path": str(folder / "recorder" / "spool.db")},
            },
        }
        return merged(own, self._options.settings)

    def _edge_settings(self) -> dict[str, Any]:
        own: dict[str, Any] = {"trigger": self._options.trigger, "outbox": str(self.workplace.folder / "edge")}
        if self._options.trigger == MQTT:
            return own | {"fps": max(_FPS, math.ceil(_FPS_PER_RATE * self._schedule.rate))}
        own["fps"] = max(_FPS_MOVING, math.ceil(_LOOKS * self._schedule.rate))
        width, height = _VIEW
        set_up = {"presence": {"direction": "right"}, "width": width, "height": height}
        return own | set_up if self._options.all_drawn else own


def moving(schedule: Schedule) -> Schedule:
    """With boards that come, stand a moment and go, whole in view, for edges that have to see them."""
    return replace(schedule, standstill=1 - min(_MOVES, max(0.1, _MOVES_S * schedule.rate)), margin=_BELT / _VIEW[0])


def _thresholds(look: str) -> dict[str, float]:
    """A model's own are chosen on boards like its line's: the starter's on assembled ones, too high for bare copper."""
    return {"confidence": _BARE_CONFIDENCE} if look == BARE else {}
