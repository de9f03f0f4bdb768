"""Messages to record, and the databases to record them in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine
from support.boards import empty
from support.mariadb import MariaDb
from support.mysql import fresh_database, given_server
from support.probe import Probe

from broker import Broker
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Actuation, Box, Evidence, GpioSignal, ModelRef, SideResult, Verdict
from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.runtime.settings import BrokerSettings
from recorder.service import RecorderService, build
from recorder.settings import RecorderLine, RecorderSettings, SpoolSettings
from recorder.spool import Arrival, Kind
from records.database import database_url, make_engine
from records.tables import Base

MakeVerdict = Callable[..., Verdict]
OpenProbe = Callable[..., Probe]
StartRecorder = Callable[..., RecorderService]
MYSQL = given_server()
DATABASES = ["sqlite", "mariadb", *(["mysql"] if MYSQL else [])]
AT = 1_795_248_000_123_000_000  # 2026-11-21T08:00:00.123Z


@pytest.fixture(autouse=True)
def _counted_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """All hours, however slow the machine is."""
    monkeypatch.setattr("recorder.statistics._A_CALL_S", 60.0)


@pytest.fixture
def make_side() -> Callable[..., SideResult]:
    def make(camera_id: str, category: str = "normal", **changes: Any) -> SideResult:
        boxes = () if category == "normal" else (Box(x1=1, y1=2, x2=30, y2=40, confidence=0.9, class_name="short"),)
        fields = {
            "camera_id": camera_id,
            "frame_id": f"frame-{camera_id}",
            "captured_at": AT,
            "defect_type": "정상" if category == "normal" else "납땜불량",
            "category": category,
            "confidence": 0.9,
            "boxes": boxes,
            "anomaly_score": None,
            "inference_time_ms": 14.2,
        }
        return SideResult(**(fields | changes))

    return make


@pytest.fixture
def make_verdict(make_side: Callable[..., SideResult]) -> MakeVerdict:
    def make(name: str = "1", left: str = "solder", right: str = "normal", **changes: Any) -> Verdict:
        fields = {
            "verdict_id": f"verdict-{name}",
            "board_id": f"board-{name}",
            "status": "ok",
            "final_defect_type": "납땜불량",
            "category": "solder",
            "confidence": 0.9,
            "gpio_signal": GpioSignal(pin=27, action="HIGH", duration_ms=500),
            "sides": {"left": make_side("left", left), "right": make_side("right", right)},
            "captured_at": AT,
            "judged_at": AT + 41 * NS_PER_MS,
            "deadline_at": AT + 2000 * NS_PER_MS,
            "latency_ms": 41.3,
            "model": ModelRef(name="starter", sha256="0" * 64),
        }
        return Verdict(**(fields | changes))

    return make


@pytest.fixture
def make_actuation() -> Callable[..., Actuation]:
    def make(name: str = "1", outcome: str = "fired", **changes: Any) -> Actuation:
        fields = {
            "verdict_id": f"verdict-{name}",
            "board_id": f"board-{name}",
            "category": "solder",
            "pin": 27,
            "outcome": outcome,
            "fired_at": AT + 50 * NS_PER_MS,
            "duration_ms": 500,
            "latency_ms": 1.5,
        }
        return Actuation(**(fields | changes))

    return make


@pytest.fixture
def make_jpeg() -> Callable[..., bytes]:
    """The least that says it is a JPEG of a size; `salt` makes one differ from another."""

    def make(salt: bytes = b"", width: int = 640, height: int = 480) -> bytes:
        header = b"\xff\xc0\x00\x0b\x08" + height.to_bytes(2) + width.to_bytes(2) + b"\x01\x11\x00\x00"
        return b"\xff\xd8" + header + salt + b"\xff\xd9"

    return make


@pytest.fixture
def make_evidence(make_jpeg: Callable[..., bytes]) -> Callable[..., Evidence]:
    def make(name: str = "1", side: str = "left", heat_map: bytes | None = None) -> Evidence:
        jpeg = make_jpeg(f"{name} {side}".encode())
        return Evidence(verdict_id=f"verdict-{name}", board_id=f"board-{name}", side=side, jpeg=jpeg, heat_map=heat_map)

    return make


@pytest.fixture
def arrive() -> Callable[..., Arrival]:
    """An arrival of that kind."""

    def make(kind: Kind, message: Any, topic: str = "") -> Arrival:
        payload = message if isinstance(message, bytes) else encode_json(message)
        return Arrival(kind, topic or f"pcb/{kind}", payload, AT)

    return make


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database of each kind."""
    match request.param:
        case "mysql":
            mysql: URL = request.getfixturevalue("mysql_url")
            return mysql
        case "mariadb":
            return database_url(request.getfixturevalue("mariadb_url"))
    return database_url(f"sqlite:///{tmp_path / 'records.db'}")


@pytest.fixture
def mysql_url() -> Iterator[URL]:
    """An empty database in the MySQL server that the environment names."""
    assert MYSQL is not None
    with fresh_database(MYSQL) as url:
        yield url


@pytest.fixture(scope="session")
def _mariadb_with_tables(_mariadb_server: MariaDb) -> URL:
    _mariadb_server.start()
    return _with_tables(database_url(_mariadb_server.fresh_database()))


@pytest.fixture(scope="session")
def _mysql_with_tables() -> Iterator[URL]:
    assert MYSQL is not None
    with fresh_database(MYSQL) as url:
        yield _with_tables(url)


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Empty tables in each kind of database. Those of a server are made once, for that takes a second."""
    if request.param == "sqlite":
        url = _with_tables(database_url(f"sqlite:///{tmp_path / 'records.db'}"))
    else:
        if request.param == "mariadb":
            request.getfixturevalue("mariadb")
        url = request.getfixturevalue(f"_{request.param}_with_tables")
    engine = make_engine(url)
    yield engine
    empty(engine)
    engine.dispose()


def _with_tables(url: URL) -> URL:
    engine = make_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()
    return url


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


@pytest.fixture
def start_recorder(broker: Broker, tmp_path: Path, database: Path) -> Iterator[StartRecorder]:
    """Starts recorders; what still runs at the end of the test is stopped."""
    quick = {"images": tmp_path / "images", "batch_ms": 10, "spool": SpoolSettings(path=tmp_path / "spool.db")}
    with ExitStack() as running:

        def start(url: str = f"sqlite:///{database}", **changes: Any) -> RecorderService:
            service = build(
                RecorderLine(
                    broker=BrokerSettings(host=broker.host, port=broker.port, credentials=broker.credentials_folder),
                    recorder=RecorderSettings(database_url=url, **(quick | changes)),
                )
            )
            service.start()
            running.callback(service.stop)
            return service

        yield start


@pytest.fixture
def viewer(mqtt_probe: OpenProbe) -> Probe:
    probe = mqtt_probe("viewer")
    probe.subscribe("pcb/recorded", "pcb/status/recorder", "pcb/event/recorder")
    return probe
