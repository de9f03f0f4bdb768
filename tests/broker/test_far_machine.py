"""Another machine, played by a network namespace: one copied file each, and a command."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.netns import FarNetwork
from support.ports import free_port, wait_until_open
from support.probe import Probe

from broker import Broker
from pcb_bus.contract.codec import decode_json, decode_msgpack
from pcb_bus.contract.messages import Frame, NodeStatus

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces")
PROJECT = Path(__file__).parents[2]

# What a WinForms app, Node-RED or a script does: a library of its own, the authority, a guest's login.
FOREIGN = """
import sys
import paho.mqtt.client as mqtt
host, port, password = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.tls_set("authority.pem")
client.username_pw_set("viewer", password)
client.on_connect = lambda *_: client.subscribe("pcb/status/edge-left")
client.on_message = lambda c, u, message: (print(message.payload.decode(), flush=True), client.disconnect())
client.connect(host, port)
client.loop_forever()
"""


@pytest.fixture
def far() -> Iterator[FarNetwork]:
    with FarNetwork() as network:
        yield network


@pytest.fixture
def broker(far: FarNetwork, tmp_path: Path) -> Iterator[Broker]:
    """On every interface; its certificate names this machine as the far one sees it, which the cable made so."""
    with Broker(tmp_path / "broker", free_port(), tls_port=free_port(), listen=None) as running:
        yield running


@contextmanager
def on_far_machine(far: FarNetwork, folder: Path, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """In a folder of its own."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    inside = ["ip", "netns", "exec", far.name, *command]
    process = subprocess.Popen(inside, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()  # mosquitto_sub may hang for ever when it is asked to end while it ends
        process.communicate(timeout=10)


def test_a_camera_a_viewer_and_a_foreign_program_work_from_there(far, broker, tmp_path):
    pi = tmp_path / "pi"
    (pi / "var" / "broker" / "credentials").mkdir(parents=True)
    file = "edge-left.yaml"
    (pi / "var" / "broker" / "credentials" / file).write_text((broker.credentials_folder / file).read_text())
    way = ["--broker", far.near, "--broker.port", str(broker.tls_port)]
    edge = [sys.executable, "-m", "edge_publisher", "--side", "left", "--source", "sim://left?rate=4", *way]
    edge += ["--trigger", "free_run"]
    with Probe(broker, "inference") as inference, on_far_machine(far, pi, edge):
        inference.subscribe("pcb/frame/left")
        frame = inference.wait_for("pcb/frame/left", timeout=30)
        assert decode_msgpack(Frame, frame.payload).side == "left"

        office = tmp_path / "office"
        office.mkdir()
        (office / "authority.pem").write_text((broker.directory / "certificates" / "authority.pem").read_text())
        address, password = (far.near, str(broker.tls_port)), str(broker.credentials("viewer").password)
        viewer = ["mosquitto_sub", "-V", "5", "-h", address[0], "-p", address[1], "--cafile", "authority.pem"]
        viewer += ["-u", "viewer", "-P", password, "-t", "pcb/status/edge-left", "-C", "1", "-W", "20"]
        for command in (viewer, [sys.executable, "-c", FOREIGN, *address, password]):
            with on_far_machine(far, office, command) as looking:
                assert looking.stdout is not None
                status = decode_json(NodeStatus, looking.stdout.readline().strip().encode())
            assert (status.node, status.state) == ("edge-left", "online")


def test_without_tls_the_broker_is_not_to_be_reached_from_there(far, tmp_path):
    plain, tls = free_port(), free_port()
    command = [sys.executable, "-m", "broker", "run", "--directory", str(tmp_path), "--port", str(tls)]
    command += ["--plain_port", str(plain), "--websocket_port", str(free_port())]
    knock = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"

    def reached(port: int) -> bool:
        ask = ["ip", "netns", "exec", far.name, sys.executable, "-c", knock, far.near, str(port)]
        return subprocess.run(ask, capture_output=True, check=False, timeout=20).returncode == 0

    for extra, open_to_all in ((), False), (("--broker.plain", "lan"), True):
        process = subprocess.Popen([*command, *extra], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            assert process.stdout is not None
            said = next(line for line in process.stdout if b"Ctrl-C ends it" in line)
            assert str(plain).encode() in said
            wait_until_open(plain)
            wait_until_open(tls)
            with Probe(Broker(tmp_path, plain), "viewer"):
                assert reached(tls)
                assert reached(plain) is open_to_all
        finally:
            process.terminate()
            _, warned = process.communicate(timeout=10)
        assert (b"WARNING: broker.plain is lan" in warned) is open_to_all
