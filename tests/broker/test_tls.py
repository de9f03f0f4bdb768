"""TLS by the line's own authority: who is believed, who is not, and what is said then."""

import logging
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from support.peer import Peer, until
from support.ports import free_port

from broker import Broker
from broker.certificates import RENEWED_BEFORE, Certificates
from broker.config import Listeners
from broker.server import make_trust
from pcb_bus.errors import ConfigError
from pcb_bus.mqtt.login import Login
from pcb_bus.runtime.settings import BrokerSettings, TlsSettings

# paho leaves the socket of a handshake that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
OpenPeer = Callable[[Login], Peer]


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker", free_port(), free_port(), tls_port=free_port()) as running:
        yield running


@pytest.fixture
def peer() -> Iterator[OpenPeer]:
    """A session that was started with this login; it ends with the test."""
    with ExitStack() as opened:

        def start(login: Login) -> Peer:
            made = Peer(login.username or "nobody", login)
            opened.callback(made.session.stop, 0)
            return made

        yield start


def login_at(broker: Broker, role: str, host: str = "127.0.0.1") -> Login:
    return replace(broker.credentials(role), broker=BrokerSettings(host=host, port=broker.tls_port))


def refusal(caplog: pytest.LogCaptureFixture, peer: Peer) -> str:
    """What a session that never connects says about it."""
    found: list[str] = []

    def told() -> bool:
        found[:] = [each.getMessage() for each in caplog.records if "TLS" in each.getMessage()]
        return bool(found)

    until(told)
    assert not peer.session.connected
    return found[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_node_with_its_file_alone_is_connected_over_tls(tls_broker, peer, host):
    connected = peer(login_at(tls_broker, "actuator", host))
    connected.wait_up()
    ends = connected.session.certificate_ends
    assert ends == Certificates(tls_broker.directory).server_ends.timestamp()


def test_a_broker_of_another_authority_is_not_believed(tls_broker, peer, tmp_path, caplog):
    Certificates(tmp_path / "foreign").make()
    foreign = Certificates(tmp_path / "foreign").authority.read_text()
    stranger = peer(replace(login_at(tls_broker, "actuator"), authority=foreign, file=None))
    assert "authority that we do not trust; copy our credentials file" in refusal(caplog, stranger)


def test_a_certificate_of_another_host_is_not_believed(tls_broker, peer, caplog):
    # 127.0.0.2 is this machine, too, but the certificate does not say so.
    _listen_everywhere(tls_broker)
    stranger = peer(login_at(tls_broker, "actuator", "127.0.0.2"))
    assert "does not name 127.0.0.2" in (told := refusal(caplog, stranger))
    assert "python -m broker certificates --names 127.0.0.2" in told

    Certificates(tls_broker.directory).make(["127.0.0.2"])
    tls_broker.reload()
    stranger.wait_up()


def _listen_everywhere(broker: Broker) -> None:
    broker.stop()
    again = Broker(broker.directory, broker.port, tls_port=broker.tls_port, listen=None)
    again.start()
    broker._process = again._process


def test_an_expired_certificate_is_not_believed(tls_broker, peer, caplog, monkeypatch):
    monkeypatch.setattr("broker.certificates._LIFE", timedelta(days=-1))
    monkeypatch.setattr("broker.certificates.RENEWED_BEFORE", timedelta(days=-100))
    Certificates(tls_broker.directory).make(["expired.example"])
    tls_broker.restart()
    assert "has expired" in refusal(caplog, peer(login_at(tls_broker, "actuator")))


def test_a_certificate_of_tomorrow_points_at_the_clock(tls_broker, peer, caplog, monkeypatch):
    monkeypatch.setattr("broker.certificates._BEGIN", datetime.now(UTC) + timedelta(days=1))
    Certificates(tls_broker.directory).make(["early.example"])
    tls_broker.restart()
    assert "this machine's clock is behind" in refusal(caplog, peer(login_at(tls_broker, "actuator")))


def test_a_port_without_tls_is_told(tls_broker, peer, caplog):
    wrong = replace(login_at(tls_broker, "actuator"), broker=BrokerSettings(port=tls_broker.port))
    assert "is this its port with TLS?" in refusal(caplog, peer(wrong))


@pytest.mark.parametrize("authority", ["none", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"])
def test_an_authority_that_is_none_is_one_line(authority):
    with pytest.raises(ConfigError, match=r"^broker\.credentials: .*") as caught:
        Login(BrokerSettings(), "a", "b", authority=authority).tls_context()
    assert "\n" not in str(caught.value)


def test_files_of_ones_own_are_named_when_they_cannot_be_used(tmp_path):
    with pytest.raises(ConfigError, match=r"^broker\.tls: "):
        Login(BrokerSettings(tls=TlsSettings(ca_file=tmp_path / "no.pem"))).tls_context()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_of_tls_are_refused(tls_broker, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_verify_locations(Certificates(tls_broker.directory).authority)
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)), _connect(tls_broker) as raw:
        context.wrap_socket(raw, server_hostname="localhost")


def _connect(broker: Broker) -> socket.socket:
    return socket.create_connection((broker.host, broker.tls_port or 0), timeout=10)


# Certificates of clients


@pytest.fixture
def strict_broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker", free_port(), tls_port=free_port(), certificates_required=True) as running:
        yield running


def test_where_certificates_are_asked_for_the_file_holds_one_and_its_name_is_the_login(strict_broker, peer):
    viewer = peer(replace(login_at(strict_broker, "viewer"), username="recorder", password="no matter"))
    viewer.wait_connected = viewer.session.wait_connected(10)
    assert viewer.publish("pcb/recorded", b"{}") is False  # refused: it is the viewer, whatever it says
    edge = peer(login_at(strict_broker, "edge-left"))
    edge.wait_up()
    assert edge.publish("pcb/frame/left", b"x")


def test_without_a_certificate_or_with_a_foreign_one_nobody_gets_in(strict_broker, peer, tmp_path):
    foreign = Certificates(tmp_path / "foreign")
    foreign.make()
    certificate, key = foreign.for_login("viewer")
    whole = login_at(strict_broker, "viewer")
    for login in (
        replace(whole, certificate=None, key=None, file=None),
        replace(whole, certificate=certificate, key=key, file=None),
    ):
        assert not peer(login).session.wait_connected(1)


def test_a_certificate_that_ends_soon_is_made_anew_and_no_other(strict_broker, monkeypatch):
    before = strict_broker.credentials("viewer")
    strict_broker.restart()
    assert strict_broker.credentials("viewer") == before
    soon = datetime.now(UTC) + RENEWED_BEFORE - timedelta(days=1)
    monkeypatch.setattr("broker.certificates.Certificates.login_ends", lambda *_: soon)
    strict_broker.restart()
    assert strict_broker.credentials("viewer").certificate != before.certificate
    assert strict_broker.credentials("viewer").password == before.password


# The files


def test_all_are_valid_from_1970_on(tmp_path):
    made = Certificates(tmp_path)
    made.make()
    for pem in (made.authority.read_bytes(), made.server.read_bytes(), made.for_login("viewer")[0].encode()):
        assert x509.load_pem_x509_certificate(pem).not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_certificate_is_made_anew_in_time_or_for_more_names_and_keeps_those_that_it_had(tmp_path, monkeypatch):
    made = Certificates(tmp_path)
    assert made.make(["10.8.0.1", "공장.local"])
    before = made.server_names
    assert {"localhost", "127.0.0.1", "10.8.0.1", "공장.local".encode("idna").decode()} <= set(before)
    assert not made.make()
    assert made.make(["line.example"])
    assert made.server_names == (*before, "line.example")
    assert not made.make(["line.example"])
    monkeypatch.setattr("broker.certificates.RENEWED_BEFORE", timedelta(days=740))
    assert made.make()
    assert made.server_names == (*before, "line.example")


@pytest.mark.parametrize("name", ["", "two words", "a..b", "-", "x" * 64])
def test_what_is_no_name_is_refused_and_nothing_is_lost(tmp_path, name):
    made = Certificates(tmp_path)
    made.make()
    before = made.server.read_bytes()
    with pytest.raises(ConfigError, match="neither a host name nor an address"):
        made.make([name])
    assert made.server.read_bytes() == before


@pytest.mark.parametrize("file", ["authority.pem", "authority.key", "server.pem"])
def test_a_damaged_file_is_named_and_not_replaced(tmp_path, file):
    made = Certificates(tmp_path)
    made.make()
    path = tmp_path / "certificates" / file
    path.write_text("nothing of the kind")
    with pytest.raises(ConfigError, match=file):
        made.make(["another.example"])
    assert path.read_text() == "nothing of the kind"


def test_a_machine_without_a_clock_makes_no_authority_that_has_ended_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setattr("broker.certificates._EARLIEST", datetime(9000, 1, 1, tzinfo=UTC))
    with pytest.raises(ConfigError, match="set it before certificates are made"):
        Certificates(tmp_path).make()
    assert not Certificates(tmp_path).authority.exists()


def test_the_authority_outlives_every_start(tls_broker):
    authority = Certificates(tls_broker.directory).authority.read_bytes()
    tls_broker.restart()
    assert Certificates(tls_broker.directory).authority.read_bytes() == authority


def test_a_broker_that_gets_tls_later_adds_it_to_the_logins_that_are_there(broker):
    before = broker.credentials("viewer")
    broker.stop()
    with Broker(broker.directory, broker.port, tls_port=free_port()) as later:
        after = later.credentials("viewer")
    assert (after.password, before.authority) == (before.password, None)
    assert after.authority == Certificates(broker.directory).authority.read_text()


def test_only_their_owner_reads_them(tls_broker):
    folder = tls_broker.directory / "certificates"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}


def test_without_tls_no_certificate_is_made(tmp_path):

    assert make_trust(tmp_path, Listeners(1883)) is None
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(autouse=True)
def _errors_are_seen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
