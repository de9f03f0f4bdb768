"""One Mosquitto process: ready, stopped, killed, frozen, refused."""

import queue
import socket
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from support.ports import free_port, wait_until_open

from broker import Broker, BrokerDied, MosquittoMissing, PortTaken
from broker.config import Listeners, mosquitto_conf
from broker.server import find_mosquitto
from pcb_bus.errors import ConfigError


def test_starts_answers_and_stops_by_its_own_process(broker, mqtt_probe):
    assert broker.pid is not None
    mqtt_probe("viewer")
    broker.stop()
    assert broker.pid is None
    with pytest.raises(ConnectionRefusedError), socket.create_connection((broker.host, broker.port)):
        pass


def test_start_and_stop_twice_are_harmless(broker):
    before = broker.pid
    broker.start()
    assert broker.pid == before
    broker.stop()
    broker.stop()


def test_a_wrong_password_is_refused(mqtt_probe):
    with pytest.raises(ConnectionRefusedError, match="Not authorized"):
        mqtt_probe("viewer", password="guess")


def test_a_folder_with_spaces_serves_as_well(tmp_path):
    with Broker(tmp_path / "line two" / "broker", free_port()) as broker:
        assert broker.pid is not None


def test_a_taken_port_is_named_and_its_owner_is_left_alone(broker, tmp_path, mqtt_probe):
    with pytest.raises(PortTaken, match=f"port {broker.port} is in use"):
        Broker(tmp_path / "second", broker.port).start()
    mqtt_probe("viewer")


def test_a_taken_websocket_port_is_named(broker, tmp_path):
    with pytest.raises(PortTaken, match=f"port {broker.port} is in use"):
        Broker(tmp_path / "second", free_port(), broker.port).start()


def test_a_broker_that_ends_at_once_tells_why(tmp_path, free_port):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mosquitto.db").write_bytes(b"this is no database")
    with pytest.raises(BrokerDied, match=r"ended at once: .*mosquitto\.db|ended at once: .*Error"):
        Broker(tmp_path, free_port).start()


def test_without_mosquitto_the_error_says_what_to_install(tmp_path, free_port, monkeypatch):
    monkeypatch.setattr("broker.server.ADMIN_PATHS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MosquittoMissing, match="apt-get install mosquitto"):
        Broker(tmp_path, free_port).start()


def test_unknown_role_is_a_clear_error(broker):
    with pytest.raises(ConfigError, match=r"nobody\.yaml"):
        broker.credentials("nobody")


def test_tcp_and_websockets_listen_on_loopback_alone(tmp_path):
    with Broker(tmp_path, free_port(), free_port()) as broker:
        listening = _listening_addresses(broker.pid)
    assert set(listening) == {("127.0.0.1", broker.port), ("127.0.0.1", broker.websocket_port)}


def _listening_addresses(pid: int | None) -> list[tuple[str, int]]:
    """IPv4 and IPv6 listeners of a process, from the kernel's tables."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # the broker closes files meanwhile
            inodes.add(link.readlink().name)
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            address, port = columns[1].split(":")
            if columns[3] == "0A" and f"socket:[{columns[9]}]" in inodes:
                found.append((_address(address), int(port, 16)))
    return found


def _address(hexadecimal: str) -> str:
    if len(hexadecimal) != 8:
        return hexadecimal
    return socket.inet_ntoa(bytes.fromhex(hexadecimal)[::-1])


def test_a_real_line_listens_on_every_interface(tmp_path):
    text = mosquitto_conf(tmp_path, Listeners(1883, 8883, 9001, tls_address=None))
    assert "listener 1883 127.0.0.1\n" in text
    assert "listener 8883\ncertfile" in text
    assert "listener 9001\nprotocol websockets\ncertfile" in text
    assert "bind_interface" not in text


def test_only_the_owner_reads_what_it_writes(broker):
    private = ["acl", "passwords", "mosquitto.conf", *broker.credentials_folder.iterdir()]
    assert {stat.S_IMODE((broker.directory / each).stat().st_mode) for each in private} == {0o600}
    assert stat.S_IMODE(broker.credentials_folder.stat().st_mode) == 0o700


def test_qos_1_messages_and_retained_states_survive_a_clean_restart(broker, mqtt_probe):
    # clean_start: Mosquitto 2.0 writes no session to disk that began with a clean start.
    recorder = {"client_id": "recorder-1", "session_expiry_s": 600, "clean_start": False}
    with mqtt_probe("recorder", **recorder) as listener:
        listener.subscribe("pcb/verdict", "pcb/status/+")
    inference = mqtt_probe("inference")
    for number in range(50):
        inference.publish("pcb/verdict", str(number))
    inference.publish("pcb/status/inference", b"online", retain=True)
    inference.close()

    broker.restart()

    back = mqtt_probe("recorder", **recorder)
    verdicts = back.wait_for_count("pcb/verdict", 50)
    assert [int(each.payload) for each in verdicts] == list(range(50))
    viewer = mqtt_probe("viewer")
    viewer.subscribe("pcb/status/+")
    assert viewer.wait_for("pcb/status/inference").retain


def test_after_a_kill_it_starts_again_on_the_same_port(broker, mqtt_probe):
    mqtt_probe("viewer").close()
    broker.kill()
    broker.start()
    mqtt_probe("viewer")


def test_a_frozen_broker_answers_again(broker, mqtt_probe):
    client = mqtt_probe("trigger")
    with broker.frozen():
        info = client.client.publish("pcb/trigger", b"{}", qos=1)
        assert not info.is_published()
    info.wait_for_publish(10)
    assert info.is_published()


def test_small_round_trips_do_not_wait_for_nagle(mqtt_probe):
    listener, sender = mqtt_probe("viewer"), mqtt_probe("trigger")
    listener.subscribe("pcb/trigger")
    times_ms = []
    for number in range(21):
        sent = time.monotonic_ns()
        sender.publish("pcb/trigger", str(number))
        received = listener.wait_for("pcb/trigger", lambda each, n=number: each.payload == str(n).encode())
        times_ms.append((received.at_ns - sent) / 1e6)
    # 0.2 ms with TCP_NODELAY at both ends, 40 to 88 ms without it.
    assert sorted(times_ms)[len(times_ms) // 2] < 20


def test_an_oversize_packet_ends_its_sender_alone(mqtt_probe):
    listener, sender = mqtt_probe("inference"), mqtt_probe("edge-left")
    listener.subscribe("pcb/frame/+")
    sender.client.reconnect_delay_set(60, 60)
    sender.client.publish("pcb/frame/left", bytes(5 * 1024 * 1024))
    sender.wait_disconnected()

    mqtt_probe("edge-right").publish("pcb/frame/right", bytes(2 * 1024 * 1024))

    assert len(listener.wait_for("pcb/frame/right").payload) == 2 * 1024 * 1024
    assert listener.received("pcb/frame/left") == []
    assert listener.disconnects == []


def test_the_shipped_configuration_is_valid_as_it_stands_and_lets_nobody_in(tmp_path, free_port):
    shipped = (Path(__file__).parents[2] / "broker" / "mosquitto.conf").read_text()
    (tmp_path / "mosquitto.conf").write_text(shipped.replace("listener 1883 ", f"listener {free_port} "))
    command = [find_mosquitto(), "-c", str(tmp_path / "mosquitto.conf")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            wait_until_open(free_port)
            stranger = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
            answers: queue.SimpleQueue[str] = queue.SimpleQueue()
            stranger.on_connect = lambda *arguments: answers.put(str(arguments[3]))
            stranger.connect("127.0.0.1", free_port)
            stranger.loop_start()
            assert answers.get(timeout=10) == "Not authorized"
            stranger.loop_stop()
            stranger.disconnect()
            assert process.poll() is None
        finally:
            process.terminate()
