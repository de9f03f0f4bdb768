"""Every port of a line as it comes: what listens, where, and that nothing answers without a login."""

import ipaddress
import re
import ssl
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support.mqtt_packets import CONNACK, V5, V31, V311, Answer, Connect, Layer, Listener, Wire
from support.ports import free_port, wait_until_open
from support.probe import Probe
from support.processes import children_of
from support.tiny_network import write_tiny_network

from broker import Broker
from broker.children import start_child
from broker.server import find_mosquitto
from simulator.processes import ProcessSpec, Supervisor
from simulator.workplace import merged

pytestmark = pytest.mark.timeout(120)
PROJECT = Path(__file__).parents[2]
NODES = ("recorder", "actuator", "inference", "edge-left", "edge-right")
EXCEPTIONS: Mapping[str, str] = {
    "metrics": "Prometheus reads them without a login. They are served where `metrics.port` is set, and nowhere else; "
    "on loopback, unless `metrics.address` says otherwise.",
}
"""What answers without a login, and why. Nothing else may."""
_STATES = {"tcp": "0A", "udp": "07"}
"""LISTEN; a UDP socket that takes from anybody."""


@dataclass(frozen=True, order=True)
class Port:
    """A socket that a program of ours listens on."""

    protocol: str
    address: str
    number: int
    program: str

    @property
    def on_loopback(self) -> bool:
        return self.address in {"127.0.0.1", "::1"}


def ports_of(pids: Iterable[int]) -> list[Port]:
    """Every listening port of these processes, and of those that they have started."""
    owners: dict[str, str] = {}
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        waiting += children_of(pid)
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        owners |= dict.fromkeys(_sockets_of(pid), name)
    found = (port for kind in ("tcp", "tcp6", "udp", "udp6") for port in _listening(kind, owners))
    return sorted(set(found))


def _sockets_of(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:  # closed just now
            continue
        if match := re.fullmatch(r"socket:\[(\d+)\]", target):
            yield match[1]


def _listening(kind: str, owners: Mapping[str, str]) -> Iterator[Port]:
    protocol = kind.removesuffix("6")
    for line in Path(f"/proc/net/{kind}").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == _STATES[protocol] and fields[9] in owners:
            address, _, number = fields[1].partition(":")
            yield Port(protocol, _readable(address), int(number, 16), owners[fields[9]])


def _readable(address: str) -> str:
    """An address as the kernel writes it: words of four bytes, each in this machine's order."""
    data = b"".join(struct.pack("=I", int(address[at : at + 8], 16)) for at in range(0, len(address), 8))
    return str(ipaddress.ip_address(data))


def answers_without_login(port: Port) -> list[str]:
    """What somebody gets who has no login, by each way in."""
    if port.protocol == "udp":
        return ["a port of UDP, which nothing of ours needs"]
    return [*_let_in(port), *_pages(port)]


def refuses_somebody(port: Port, *, tls: bool) -> bool:
    """Whether MQTT is spoken there, and a login asked for, over TLS or without."""
    return any(
        answer.kind == CONNACK and answer.reason
        for listener in _ways_in(port)
        if bool(listener.tls) is tls
        for answer in _answers(listener, Connect("", "viewer", "wrong"))
    )


def _ways_in(port: Port) -> list[Listener]:
    return [
        Listener(kind, "127.0.0.1", port.number, tls) for kind in ("mqtt", "websockets") for tls in (None, _blind())
    ]


def _blind() -> ssl.SSLContext:
    """A stranger does not care who answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _strangers() -> Iterator[Connect]:
    for version in (V5, V311, V31):
        yield Connect("stranger", version=version)
        yield Connect("pcb-recorder", version=version, clean=False)
        for name in ("viewer", "recorder", "admin", ""):
            for password in ("", "wrong", name):
                yield Connect("stranger", name, password, version)


def _let_in(port: Port) -> Iterator[str]:
    for listener in _ways_in(port):
        for connect in _strangers():
            if any(each.kind == CONNACK and not each.reason for each in _answers(listener, connect)):
                yield f"{listener} lets {connect.username!r} in"


def _answers(listener: Listener, connect: Connect) -> list[Answer]:
    try:
        with Wire(listener) as wire:
            wire.send(connect.encode())
            return list(wire.finish())
    except OSError:  # it does not speak this
        return []


def _pages(port: Port) -> Iterator[str]:
    for listener in _ways_in(port)[:2]:
        for path in ("/", "/metrics"):
            try:
                with Wire(listener, Layer.STREAM) as wire:
                    wire.send(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                    wire.finish()
                    head, _, body = wire.received.partition(b"\r\n\r\n")
            except OSError:
                continue
            if re.match(rb"HTTP/1\.\d 2", head):
                yield "metrics" if b"boardline_" in body else f"{path} of {listener}"


@contextmanager
def running(specs: list[ProcessSpec], config: Path, folder: Path) -> Iterator[Supervisor]:
    given_up: list[str] = []
    environment = {"PCB_CONFIG": str(config), "GPIOZERO_PIN_FACTORY": "mock"}
    output = folder / "-".join(spec.name for spec in specs)
    supervisor = Supervisor(specs, environment, output, lambda name, words: given_up.append(f"{name}: {words}"))
    supervisor.start()
    try:
        yield supervisor
        assert not given_up
    finally:
        supervisor.stop()


def write_config(folder: Path, ports: Mapping[str, int]) -> Path:
    """The shipped settings, but for ports that are free and folders of this test's own."""
    shipped = yaml.safe_load((PROJECT / "config" / "line.yaml").read_text(encoding="utf-8"))
    own = {
        "directory": str(folder / "broker"),
        "plain_port": ports["plain"],
        "websocket_port": ports["websockets"],
        "broker": {"port": ports["tls"], "credentials": str(folder / "broker" / "credentials")},
        "log": {"directory": str(folder / "log")},
        "edge": {"outbox": str(folder / "edge")},
        "actuator": {"ledger": str(folder / "ledger.db"), "outbox": str(folder / "reports.db")},
        "inference": {
            "model": str(write_tiny_network(folder / "tiny.onnx")),
            "outbox": str(folder / "verdicts.db"),
            "evidence_outbox": str(folder / "evidence.db"),
        },
        "recorder": {
            "database_url": f"sqlite:///{folder / 'records.db'}",
            "images": str(folder / "images"),
            "spool": {"path": str(folder / "spool.db")},
        },
    }
    path = folder / "line.yaml"
    path.write_text(yaml.safe_dump(merged(shipped, own)), encoding="utf-8")
    return path


def services() -> list[ProcessSpec]:
    modules = {"recorder": "recorder", "actuator": "actuator", "inference": "inference_subscriber"}
    edges = [ProcessSpec(f"edge-{side}", "edge_publisher", ("--side", side, "--source", f"sim://{side}?look=bare"))
             for side in ("left", "right")]  # fmt: skip
    return [*(ProcessSpec(node, module) for node, module in modules.items()), *edges]


@pytest.fixture
def default_line(tmp_path: Path) -> Iterator[tuple[dict[str, int], list[int]]]:
    """A broker as `make broker` starts it, and every service, all of them online; its ports, and the process ids."""
    ports = {name: free_port() for name in ("plain", "tls", "websockets")}
    config = write_config(tmp_path, ports)
    with ExitStack() as opened:
        server = opened.enter_context(running([ProcessSpec("broker", "broker", ("run",))], config, tmp_path))
        for port in ports.values():
            wait_until_open(port, 30)
        line = opened.enter_context(running(services(), config, tmp_path))
        with Probe(Broker(tmp_path / "broker", ports["plain"]), "viewer") as viewer:
            viewer.subscribe("pcb/status/+")
            for node in NODES:
                viewer.wait_for(f"pcb/status/{node}", lambda each: b'"online"' in each.payload, timeout=60)
        yield ports, [*server.pids.values(), *line.pids.values()]


def test_nothing_answers_without_a_login(default_line: tuple[dict[str, int], list[int]]) -> None:
    ports, pids = default_line
    found = ports_of(pids)
    assert {(port.number, port.program) for port in found} == {(number, "mosquitto") for number in ports.values()}
    assert [said for port in found for said in answers_without_login(port)] == []
    for port in found:
        plain = port.number == ports["plain"]
        assert port.on_loopback is plain, port
        assert (refuses_somebody(port, tls=False), refuses_somebody(port, tls=True)) == (plain, not plain), port


def test_metrics_are_served_where_they_are_asked_for_and_on_loopback(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"plain": free_port(), "tls": free_port(), "websockets": free_port()})
    asked = free_port()
    actuator = ProcessSpec("actuator", "actuator", ("--metrics.port", str(asked)))
    with running([actuator], config, tmp_path) as line:
        wait_until_open(asked, 60)
        (port,) = ports_of(line.pids.values())
        assert (port.number, port.address) == (asked, "127.0.0.1")
        assert set(answers_without_login(port)) == EXCEPTIONS.keys()


def test_a_port_without_a_login_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    configuration = folder / "mosquitto.conf"
    number = free_port()
    configuration.write_text(f"listener {number} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    with (folder / "output").open("wb") as output:
        process = start_child([find_mosquitto(), "-c", str(configuration)], output)
    try:
        wait_until_open(number)
        (port,) = ports_of([process.pid])
        assert port == Port("tcp", "127.0.0.1", number, "mosquitto")
        assert any("lets" in said for said in answers_without_login(port))
    finally:
        process.kill()
        process.wait()
