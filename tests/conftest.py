"""Fixtures of every room: a real broker, a real database, foreign clients."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
from gpiozero.pins.mock import MockFactory
from support import ports
from support.mariadb import MariaDb
from support.probe import Probe
from support.systemd import Systemd

from broker import Broker
from pcb_bus.runtime import redaction

OpenProbe = Callable[..., Probe]

# The same examples in every run: a test that fails once in many is of no use on the day of a release.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _nothing_is_known_to_be_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The passwords of one test are words of another."""
    monkeypatch.setattr(redaction, "_known", redaction._Known())


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    """The pins of a Raspberry Pi, each of which remembers its states."""
    factory = MockFactory()
    yield factory
    factory.reset()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    """Hears what services of this test tell systemd."""
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    listening = Systemd(path)
    yield listening
    listening.close()


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody listens on."""
    return ports.free_port()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A Mosquitto of this test's own, with logins for the sides left and right. It may be killed and restarted."""
    with Broker(tmp_path / "broker", ports.free_port()) as running:
        yield running


@pytest.fixture
def mqtt_probe(broker: Broker) -> Iterator[OpenProbe]:
    """Opens foreign clients by role: `mqtt_probe("viewer")`. They are closed when the test ends."""
    with ExitStack() as opened:
        yield lambda role, **options: opened.enter_context(Probe(broker, role, **options))


@pytest.fixture(scope="session")
def _mariadb_server() -> Iterator[MariaDb]:
    # Not in tmp_path: the path of a Unix socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="boardline-") as folder:
        server = MariaDb(Path(folder), ports.free_port())
        try:
            server.initialise()
            yield server
        finally:
            server.stop()


@pytest.fixture
def mariadb(_mariadb_server: MariaDb) -> MariaDb:
    """A running MariaDB server. It may be killed: the next test finds it started again."""
    _mariadb_server.start()
    return _mariadb_server


@pytest.fixture
def mariadb_url(mariadb: MariaDb) -> str:
    """The SQLAlchemy URL of a new, empty database."""
    return mariadb.fresh_database()
